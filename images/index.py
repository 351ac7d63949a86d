"""Where this machine's pip finds packages, handed to a build and left in no image.

    with handover(folder) as options:
        podman("build", *options, ...)

A build reads two secrets: `index`, the index and find-links as options of a requirements file (pip and uv both read it; empty where
PyPI itself is meant), and `ca`, the certificates by which its host is checked. Folders among them are mounted at their own paths.
"""

import ast
import ssl
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from images import ImageError


@dataclass(frozen=True)
class PackageIndex:
    """url: None is PyPI. links: pip's find-links. certificate: a file of PEM certificates, None where the machine has none."""

    url: str | None
    links: tuple[str, ...]
    certificate: Path | None

    @property
    def options(self) -> str:
        """As lines of a requirements file."""
        return "".join(f"{line}\n" for line in [*([f"--index-url {self.url}"] if self.url else []), *(f"--find-links {link}" for link in self.links)])

    @property
    def folders(self) -> list[str]:
        """Folders of this machine that the options name."""
        places = (_folder(place) for place in (*self.links, *([self.url] if self.url else [])))
        return sorted({place for place in places if place is not None})


def machine_index() -> PackageIndex:
    """What `pip config` says. Raises ImageError where this Python has no pip."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise ImageError(f"{sys.executable} has no pip to ask where packages are found. `make install` puts it there.")
    return read_settings(done.stdout.splitlines())


def read_settings(lines: Iterable[str]) -> PackageIndex:
    """From lines like `global.index-url='https://…'`; the environment's (`:env:.…`) go before files', as pip has it."""
    settings: dict[str, list[str]] = {}
    for line in sorted(lines):
        name, _, value = line.partition("=")
        settings.setdefault(name.rpartition(".")[2], []).append(str(ast.literal_eval(value)))
    links = tuple(dict.fromkeys(link for value in settings.get("find-links", []) for link in value.split()))
    certificates = [*settings.get("cert", []), ssl.get_default_verify_paths().cafile]
    known = [Path(place) for place in certificates if place and Path(place).is_file()]
    return PackageIndex(next(iter(settings.get("index-url", [])), None), links, known[0] if known else None)


@contextmanager
def handover(folder: Path, index: PackageIndex | None = None) -> Iterator[list[str]]:
    """Options of `podman build`. The file of options lies in `folder` meanwhile: an index's address may hold a password."""
    index = index or machine_index()
    place = folder / "index"
    place.touch(mode=0o600)
    try:
        place.write_text(index.options)
        secrets = {"index": place, "ca": index.certificate or Path("/dev/null")}
        yield [
            *(f"--secret=id={name},src={path}" for name, path in secrets.items()),
            *(f"--volume={place}:{place}:ro" for place in index.folders),
        ]
    finally:
        place.unlink()


def _folder(place: str) -> str | None:
    path = place if place.startswith("/") else unquote(urlsplit(place).path) if place.startswith("file:") else None
    return path if path and Path(path).is_dir() else None


if __name__ == "__main__":
    print(machine_index().options, end="")
