"""Which files a package and a release may hold, how large they may be, and what their bytes must look like.

An allow-list without fallback: a file that is not named here is refused, whatever it holds. Reading a folder follows no
link, takes regular files with one name only, and reads no byte beyond a file's limit.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from presage.errors import ArtifactRefused
from presage.package.formats import check_json, check_safetensors, check_text
from presage.package.onnx_check import check_onnx
from presage.package.signing import SIGNATURE_FILE

KIB, MIB = 1 << 10, 1 << 20
# The gate's container has 512 MiB. A release is held in memory while it is checked, and once more by the memory-backed volume that it is
# written to; a sealed file is held twice while it is opened.
TOTAL_LIMIT = 192 * MIB
FILE_LIMIT = 400
_MODELPACK = "application/vnd.cncf.model"


@dataclass(frozen=True)
class FileKind:
    """limit: bytes; check: raises ValueError where the bytes are of another format; media_type: ModelPack's, of the layer;
    open: never sealed, because it is read before a key is asked for."""

    limit: int
    check: Callable[[bytes], object]
    media_type: str
    required: bool = True
    open: bool = False


PACKAGE_FILES: Mapping[str, FileKind] = {
    "model.onnx": FileKind(128 * MIB, check_onnx, f"{_MODELPACK}.weight.v1.raw"),
    "contract.json": FileKind(4 * MIB, check_json, f"{_MODELPACK}.weight.config.v1.raw", open=True),
    "calibration.safetensors": FileKind(64 * MIB, check_safetensors, f"{_MODELPACK}.weight.config.v1.raw"),
    "trees.safetensors": FileKind(128 * MIB, check_safetensors, f"{_MODELPACK}.weight.v1.raw", required=False),
    "detectors.safetensors": FileKind(64 * MIB, check_safetensors, f"{_MODELPACK}.weight.v1.raw", required=False),
    "envelope.safetensors": FileKind(64 * MIB, check_safetensors, f"{_MODELPACK}.weight.config.v1.raw", required=False),
    "config.pbtxt": FileKind(64 * KIB, check_text, f"{_MODELPACK}.weight.config.v1.raw"),
    "metrics.json": FileKind(4 * MIB, check_json, f"{_MODELPACK}.doc.v1.raw"),
    "lineage.json": FileKind(1 * MIB, check_json, f"{_MODELPACK}.doc.v1.raw"),
    "card.md": FileKind(1 * MIB, check_text, f"{_MODELPACK}.doc.v1.raw", open=True),
}
SIGNATURE = FileKind(1 * MIB, check_json, "application/vnd.dev.sigstore.bundle.v0.3+json", open=True)
RELEASE = "release.json"
RELEASE_SIGNATURE = "release.dsse.json"
RELEASE_FILES: Mapping[str, FileKind] = {
    RELEASE: FileKind(4 * MIB, check_json, "application/vnd.presage.release.v1+json", open=True),
    RELEASE_SIGNATURE: FileKind(1 * MIB, check_json, "application/vnd.dsse.envelope.v1+json", open=True),
}
_PACKAGE_PATH = re.compile(r"packages/([0-9a-f]{64})/([a-z]+\.[a-z]+)")
_FOLDER = re.compile(r"packages(/[0-9a-f]{64})?|triton(/[a-z][a-z0-9-]{0,99}(/1)?)?")
_TRITON_PATH = re.compile(r"triton/[a-z][a-z0-9-]{0,99}/(config\.pbtxt|1/model\.onnx)")


def kind_of(path: str) -> FileKind:
    """What may lie at this path of the Pod layout. Raises ArtifactRefused("format") for every other path."""
    if kind := RELEASE_FILES.get(path):
        return kind
    if match := _PACKAGE_PATH.fullmatch(path):
        if match[2] == SIGNATURE_FILE:
            return SIGNATURE
        if kind := PACKAGE_FILES.get(match[2]):
            return kind
    if match := _TRITON_PATH.fullmatch(path):
        return PACKAGE_FILES[PurePosixPath(match[1]).name]
    raise ArtifactRefused("format", f"{path[:200]!r} is not on the list of files that a release may hold. Remove it.")


def check_format(path: str, content: bytes) -> None:
    """Size and structure of one file. Raises ArtifactRefused("size" or "format")."""
    kind = kind_of(path)
    check_size(path, len(content))
    if not content:
        raise ArtifactRefused("format", f"{path} is empty. Fetch it again.")
    try:
        kind.check(content)
    except ValueError as error:
        raise ArtifactRefused("format", f"{path} {error}. Package the model again.") from None


def check_size(path: str, size: int) -> None:
    limit = kind_of(path).limit
    if size > limit:
        raise ArtifactRefused("size", f"{path} has {size} bytes, {limit} are allowed. Package a smaller model.")


def read_folder(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, path (with /) → content. Raises ArtifactRefused("size" or "format"); checks no content."""
    contents: dict[str, bytes] = {}
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ArtifactRefused("format", f"{folder}: no release lies here ({error.strerror}). Let the gate fetch one.") from None
    try:
        _read(root, "", contents, TOTAL_LIMIT)
    finally:
        os.close(root)
    return contents


def _read(directory: int, prefix: str, contents: dict[str, bytes], budget: int) -> int:
    """Read one directory, without following links between looking and opening; what is left of the byte budget."""
    for name in sorted(os.listdir(directory)):
        path = prefix + name
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            if not _FOLDER.fullmatch(path):
                raise ArtifactRefused("format", f"{path[:200]!r} is a folder that no release holds. Remove it.")
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            try:
                budget = _read(inner, path + "/", contents, budget)
            finally:
                os.close(inner)
            continue
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactRefused("format", f"{path[:200]!r} is a link or a device, not a file. Remove it.")
        content = _read_file(name, directory, path)
        budget -= len(content)
        contents[path] = content
        if budget < 0 or len(contents) > FILE_LIMIT:
            raise ArtifactRefused("size", f"more than {TOTAL_LIMIT // MIB} MiB or {FILE_LIMIT} files lie here. Release fewer or smaller models.")
    return budget


def _read_file(name: str, directory: int, path: str) -> bytes:
    limit = kind_of(path).limit
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError as error:
        raise ArtifactRefused("format", f"{path} cannot be opened ({error.strerror}). Let the gate fetch the release again.") from None
    with os.fdopen(descriptor, "rb") as handle:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise ArtifactRefused("format", f"{path} is a hard link or no file. Let the gate fetch the release again.")
        content = handle.read(limit + 1)
    check_size(path, len(content))
    return content
