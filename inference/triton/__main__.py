"""`python -m inference.triton ARGUMENTS…`: what stands for `tritonserver ARGUMENTS…` on a machine that has the bundled Triton.

It lays the twin over the model repository that the arguments name, then becomes the server: same arguments, same process. The plane
starts it for the image nvidia/tritonserver; a cluster runs the real one and knows nothing of this.

    --model-repository=FOLDER   the release's (`/mnt/models/triton`); the server gets the overlay in its place
    TMPDIR                      where the overlay lies, in a folder of its own
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from inference.triton.bundled import Bundle
from inference.triton.repository import overlay
from presage.errors import PresageError, UsageError

_REPOSITORY = "--model-repository="
_SHARED = Path("/dev/shm")  # noqa: S108 - where Triton and its stubs meet; the names carry our own prefix


class Start(NamedTuple):
    """What to become."""

    command: list[str]
    environment: dict[str, str]


def prepare(arguments: list[str], environment: Mapping[str, str], bundle: Bundle) -> Start:
    """Lay everything out. Raises PresageError."""
    named = [word.removeprefix(_REPOSITORY) for word in arguments if word.startswith(_REPOSITORY)]
    if len(named) != 1:
        raise UsageError(f"the arguments name {len(named)} model repositories. Give exactly one {_REPOSITORY}FOLDER.")
    folder = Path(tempfile.gettempdir()) / "triton"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    backends = bundle.lay_out(folder)
    overlay(Path(named[0]), folder / "models")
    region = f"presage-triton-{os.getuid()}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}-"
    for left in _SHARED.glob(f"{region}*"):  # of a server that was killed
        left.unlink(missing_ok=True)
    ours = [f"{_REPOSITORY}{folder / 'models'}", f"--backend-directory={backends}", f"--backend-config=python,shm-region-prefix-name={region}"]
    rest = [word for word in arguments if not word.startswith(_REPOSITORY)]
    return Start([str(bundle.program), *ours, *rest], bundle.environment(environment))


def main(arguments: list[str]) -> int:
    """Does not return where the server could be started."""
    try:
        start = prepare(arguments, os.environ, Bundle.find())
    except PresageError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    os.execve(start.command[0], start.command, start.environment)  # noqa: S606 - by argument list


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
