"""Which program of this machine stands for a container's image and command."""

import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from presage.errors import PlaneError

# Our images hold this very environment; the variables are those their Dockerfiles set.
OURS = frozenset({"presage/serving", "presage/training"})
IMAGE_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_WAIT_POLICY": "PASSIVE", "ORT_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
# Foreign images: the programs of theirs that the environment or this machine holds, as the image calls them.
TRITON = "nvidia/tritonserver"
FOREIGN: Mapping[str, tuple[str, ...]] = {
    "openbao/openbao": ("bao",), "chrislusf/seaweedfs": ("weed",), "redis": ("redis-server",), TRITON: ("tritonserver", "curl"),
}  # fmt: skip
# Programs of theirs for which one of ours stands, as a module.
STAND_INS: Mapping[str, str] = {"tritonserver": "inference.triton"}


def ours(image: str) -> bool:
    """Whether it is an image of this repository."""
    return _name(image) in OURS


def program(place: str, image: str, command: Sequence[str]) -> list[str]:
    """`command` with its program replaced by a path of this machine. Raises PlaneError for an image or a program that is not known.

    place: the container, for the sentence.
    """
    name = _name(image)
    if not _pinned(image):
        raise PlaneError(f"{place}: image {image!r} has no fixed tag. Write one.")
    if name not in OURS and name not in FOREIGN:
        raise PlaneError(f"{place}: no program of this machine stands for the image {image!r}. Known: {', '.join(sorted(OURS | FOREIGN.keys()))}.")
    if not command:
        raise PlaneError(f"{place}: the container has no command, and the plane reads no image for its entry point. Write it.")
    if name in FOREIGN:
        return [*_foreign(place, image, command[0]), *command[1:]]
    if command[0] in ("python", "python3"):
        return [sys.executable, *command[1:]]
    script = Path(sysconfig.get_path("scripts")) / Path(command[0]).name
    if not script.is_file():
        raise PlaneError(f"{place}: {command[0]!r} is no program of {image}. Use python -m, or a console script of the environment.")
    return [str(script), *command[1:]]


def _foreign(place: str, image: str, word: str) -> list[str]:
    known = FOREIGN[_name(image)]
    if Path(word).name not in known:
        raise PlaneError(f"{place}: {word!r} is no program that the plane knows of {image}. It knows {', '.join(known)}.")
    if (module := STAND_INS.get(Path(word).name)) is not None:
        return [sys.executable, "-m", module]
    here = Path(sysconfig.get_path("scripts")) / Path(word).name
    found = str(here) if here.is_file() else shutil.which(Path(word).name)
    if found is None:
        remedy = "`make install` brings what Python packages hold, `make tools` what Debian's do"
        raise PlaneError(f"{place}: {word!r}, a program of {image}, is not on this machine. {remedy}.")
    return [found]


def _name(image: str) -> str:
    """Without registry host, tag and digest: `presage/serving` of `registry.example:5000/presage/serving:0.1.0@sha256:…`."""
    path = image.partition("@")[0]
    first, _, rest = path.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        path = rest
    return path.rpartition(":")[0] if ":" in path else path


def _pinned(image: str) -> bool:
    tagged, _, digest = image.partition("@")
    tag = tagged.rpartition("/")[2].partition(":")[2]
    return bool(digest) or (bool(tag) and tag != "latest")
