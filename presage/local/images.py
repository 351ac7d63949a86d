"""Which program of this machine stands for a container's image and command."""

import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from presage.errors import PlaneError

# Our images hold this very environment; the variables are those their Dockerfiles set.
OURS = frozenset({"presage/serving", "presage/training"})
IMAGE_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def program(place: str, image: str, command: Sequence[str]) -> list[str]:
    """`command` with its program replaced by a path of this machine. Raises PlaneError for an image or a program that is not known.

    place: the container, for the sentence.
    """
    name, _, tag = image.rpartition(":")
    if not name or tag == "latest":
        raise PlaneError(f"{place}: image {image!r} has no fixed tag. Write one.")
    if name not in OURS:
        raise PlaneError(f"{place}: no program of this machine stands for the image {image!r}. Known: {', '.join(sorted(OURS))}.")
    if not command:
        raise PlaneError(f"{place}: the container has no command, and the plane reads no image for its entry point. Write it.")
    if command[0] in ("python", "python3"):
        return [sys.executable, *command[1:]]
    script = Path(sysconfig.get_path("scripts")) / Path(command[0]).name
    if not script.is_file():
        raise PlaneError(f"{place}: {command[0]!r} is no program of {image}. Use python -m, or a console script of the environment.")
    return [str(script), *command[1:]]
