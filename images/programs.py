"""The programs that building needs, all Debian packages of the same name.

    python -m images.programs            says what is missing
    python -m images.programs --install  installs it where this user may
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from images import ImageError

NEEDED = ("podman", "runc", "mmdebstrap", "docker-registry")


def missing(needed: Sequence[str] = NEEDED) -> list[str]:
    """Those of `needed` that are not on PATH (nor in sbin, where Debian puts runc)."""
    return [name for name in needed if find(name) is None]


def find(name: str) -> str | None:
    """The path of a program; None where it is not installed."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def require(needed: Sequence[str] = NEEDED) -> None:
    """Raises ImageError with what to install."""
    if absent := missing(needed):
        raise ImageError(f"images are built with {', '.join(absent)}, which this machine lacks. Run: apt-get install {' '.join(absent)}")


def install() -> None:
    """Install what is missing with apt-get. Raises ImageError where this user may not, or apt-get cannot."""
    absent = missing()
    if not absent:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        require()
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", *absent]):
        done = subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ImageError(f"`{' '.join(command)}` failed: {done.stderr.strip().splitlines()[-1:]}. Install {', '.join(absent)} by hand.")


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 with a sentence where something is missing still."""
    try:
        if "--install" in arguments:
            install()
        require()
    except ImageError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
