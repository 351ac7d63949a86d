"""podman with a store of its own: what is made here never mixes with the machine's images, and goes with one folder.

    podman = Podman(Path("build/images"))
    podman("build", "--tag", "presage/serving:0.1.0", ...)      its stdout
    podman.image("presage/serving:0.1.0")                       what `podman image inspect` says of it
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images import ImageError, programs

# A container as the restricted profile has it. runc cannot raise limits it was not given, so they are said.
CONFINED = (
    "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000",
)  # fmt: skip


@dataclass(frozen=True)
class Podman:
    """folder: where the store lies; made on first use."""

    folder: Path

    @property
    def command(self) -> list[str]:
        """The program with the options that every call needs."""
        runtime = programs.find("runc") or "runc"
        return ["podman", f"--root={self.folder / 'store'}", f"--runroot={self.folder / 'run'}", "--cgroup-manager=cgroupfs", f"--runtime={runtime}"]

    def __call__(self, *words: str, timeout: float = 600) -> str:
        """Run one command; its stdout. Raises ImageError with podman's last words."""
        try:
            done = subprocess.run([*self.command, *words], capture_output=True, text=True, check=False, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise ImageError(f"podman {words[0]} did not end within {timeout:.0f} s. Look at the machine's load, then try again.") from None
        if done.returncode:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise ImageError(f"podman {' '.join(_short(words))} failed: {' · '.join(said[-6:]) or f'exit code {done.returncode}'}")
        return done.stdout

    def has(self, image: str) -> bool:
        """Whether the store holds `image`."""
        return subprocess.run([*self.command, "image", "exists", image], check=False).returncode == 0

    def image(self, image: str) -> dict[str, Any]:
        """What podman knows of an image: `Id`, `Size` (bytes, unpacked), `Config` (`User`, `Env`, `Cmd`, …), `Labels`, `RootFS`."""
        found: list[dict[str, Any]] = json.loads(self("image", "inspect", image))
        return found[0]

    def remove(self) -> None:
        """Every container and image, and the store itself."""
        if self.folder.is_dir():
            self("container", "rm", "--all", "--force", "--time=0")
            self("image", "umount", "--all")
            self("image", "rm", "--all", "--force")
            shutil.rmtree(self.folder)


def _short(words: Sequence[str]) -> list[str]:
    """Without the values of secrets' and volumes' options: they name places of this machine."""
    return [word for word in words if not word.startswith(("--secret", "--volume"))][:3]
