"""The base image, made of Debian packages where no public image can be pulled.

    base_image(podman)  ->  "localhost/presage/base:3f1c9a02be77"

Its name holds a digest of the recipe (`images/base/`), so that a changed recipe makes a new one. The same packages make the same
image, byte for byte; which versions Debian has today is Debian's matter, and in the SBOM.
"""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from images import ImageError, programs
from images.podman import Podman

RECIPE = Path(__file__).parent / "base"
SUITE = "bookworm"
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")


def base_image(podman: Podman) -> str:
    """Its name in podman's store, made where it is not there yet."""
    name = f"localhost/presage/base:{recipe_digest()[:12]}"
    if not podman.has(name):
        programs.require(["mmdebstrap"])
        podman.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=podman.folder) as folder:
            _unpack(Path(folder) / "rootfs.tar")
            how = ["--isolation=chroot", "--timestamp=0", "--omit-history", "--identity-label=false"]
            podman("build", *how, f"--tag={name}", f"--file={RECIPE / 'Dockerfile'}", folder)
    return name


def recipe_digest() -> str:
    """Hex digest over the recipe's files and this module."""
    digest = hashlib.sha256()
    for path in sorted([*RECIPE.iterdir(), Path(__file__)]):
        digest.update(f"{path.name}\0{path.read_text()}\0".encode())
    return digest.hexdigest()


def _unpack(rootfs: Path) -> None:
    """A Debian root as a tar; essential packages and those of the recipe, no apt."""
    packages = ",".join((RECIPE / "packages.txt").read_text().split())
    command = [
        "mmdebstrap", "--quiet", "--variant=essential", f"--include={packages}", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT), "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        f"--customize-hook={RECIPE / 'tidy'}", SUITE, str(rootfs),
    ]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": "0"}, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise ImageError(f"mmdebstrap cannot make the base: {' · '.join(done.stderr.strip().splitlines()[-4:])}")
