"""A real Git repository that holds this project's policies and manifests, and nothing else."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from presage.release.repository import Repository

ROOT = Path(__file__).parents[2]
ONE, TWO, THREE = (f"presage://incident:{number}@sha256:{str(number) * 64}" for number in (1, 2, 3))


@dataclass(frozen=True)
class Checkout:
    """root: a checkout of branch main."""

    root: Path

    @property
    def repository(self) -> Repository:
        return Repository(self.root, "main")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, message: str, **files: str) -> str:
        """Write files (path with `/`) and commit them, as a person does."""
        for path, text in files.items():
            place = self.root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)
        return self.git("rev-parse", "HEAD")

    def replace(self, path: str, old: str, new: str) -> None:
        place = self.root / path
        text = place.read_text()
        assert old in text, path
        place.write_text(text.replace(old, new))


def checkout(root: Path, *overlays: str) -> Checkout:
    """overlays: those that are kept, the others are left out for the sake of time; default: all."""
    shutil.copytree(ROOT / "policies", root / "policies")
    shutil.copytree(ROOT / "manifests", root / "manifests")
    for folder in ("overlays", "rendered"):
        for overlay in (root / "manifests" / folder).iterdir():
            if overlays and overlay.name not in overlays:
                shutil.rmtree(overlay)
    made = Checkout(root)
    made.git("init", "--quiet", "--initial-branch", "main")
    made.git("config", "user.name", "platform")
    made.git("config", "user.email", "platform@presage.invalid")
    made.commit("begin")
    return made


def serving(root: Path) -> Checkout:
    """Overlay production alone, release ONE serving in both domains."""
    made = checkout(root, "production")
    for folder in ("models-network", "models-databases"):
        made.replace(f"manifests/overlays/production/{folder}/release.yaml", "presage://incident:0@unresolved", ONE)
        made.replace(f"manifests/rendered/production/{folder}/manifest.yaml", "presage://incident:0@unresolved", ONE)
    made.commit("the first release serves")
    return made


def copied(source: Checkout, root: Path) -> Checkout:
    """The same repository elsewhere, to be changed."""
    shutil.copytree(source.root, root)
    return Checkout(root)
