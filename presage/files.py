"""Files that are whole or absent: written aside, synced, renamed; readable by their owner only.

    with written_aside(path) as aside:      # a file or a folder beside `path`, same file system
        aside.write_bytes(...)
    # here `path` is the new content; after an exception it is what it was

A full disk becomes a StateError that names the path, and what was half-written is removed.
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from presage.errors import InputError, StateError


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a fresh name beside `path`; on success rename it over `path`, on any error remove it.

    Raises InputError where something lies at `path` that is not to be replaced: a device, or a folder by a file.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is neither a file nor a folder. Name another place.")
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    aside = holder / path.name
    try:
        yield aside
        if aside.is_dir():
            _replace_folder(aside, path, holder / "replaced")
        elif path.is_dir():
            raise InputError(f"{path} is a folder. Name a file.")
        else:
            aside.chmod(0o600)
            with aside.open("rb") as handle:
                os.fsync(handle.fileno())
            aside.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StateError(f"{path}: no space left on the device. Free some space and run again; nothing was changed.") from error
        raise
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _replace_folder(aside: Path, path: Path, replaced: Path) -> None:
    """A rename cannot replace a folder that holds something: the old one steps aside, and comes back if the new one fails."""
    if path.is_dir():
        path.rename(replaced)
    try:
        aside.rename(path)
    except OSError:
        if replaced.is_dir():
            replaced.rename(path)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` with `content`, whole or not at all (mode 0600)."""
    with written_aside(path) as aside:
        aside.write_bytes(content)


def write_json(path: Path, document: Any) -> None:
    """Replace `path` with indented JSON; numpy scalars and dataclasses are allowed."""
    write_bytes(path, orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))


def read_text(path: Path, what: str, remedy: str) -> str:
    """The text of a file that a person named. what: `model policy`. Raises InputError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no {what} here. {remedy}") from None
    except OSError as error:
        raise InputError(f"{path}: the {what} cannot be read ({error.strerror}). {remedy}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: the {what} is no UTF-8 text. {remedy}") from None


def read_json(path: Path) -> Any:
    """The document in `path`."""
    return orjson.loads(path.read_bytes())


def canonical_json(document: Any) -> bytes:
    """One document, one byte string (sorted keys, no spaces): what digests and signatures are taken over."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def sha256_bytes(content: bytes) -> str:
    """Hex digest of `content`."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex digest of a file's content, in constant memory."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
