"""What images there are, and building them.

    [build(podman, recipe, base_image(podman)) for recipe in RECIPES]
"""

import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from images.index import handover
from images.podman import Podman

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Recipe:
    """name: as manifests write it, without a tag. modules: what the image is for; they must be importable there."""

    name: str
    modules: tuple[str, ...]

    @property
    def dockerfile(self) -> Path:
        return Path(__file__).parent / self.name.rpartition("/")[2] / "Dockerfile"

    @property
    def ignorefile(self) -> Path:
        return self.dockerfile.with_name("Dockerfile.dockerignore")

    @property
    def inputs(self) -> list[str]:
        """Paths of the repository that go in: what the ignore file lets through, and its own folder."""
        let_through = [line[1:] for line in self.ignorefile.read_text().splitlines() if line.startswith("!")]
        return [*let_through, self.dockerfile.parent.relative_to(ROOT).as_posix()]

    @property
    def tag(self) -> str:
        return f"{self.name}:{version()}"


RECIPES = (
    Recipe("presage/serving", ("inference.server.program", "presage.package.gate", "inference.stream.program", "inference.journal.ship")),
    Recipe("presage/training", ("pipelines.catalogue", "kfp.dsl.executor_main", "components.detect.fit", "lightgbm", "xgboost", "sklearn", "torch")),
)


def build(podman: Podman, recipe: Recipe, base: str, *, cached: bool = True) -> str:
    """Build one image; its name in the store. cached: whether steps built before may be taken. Raises ImageError with the failing step's words.

    Labels come as options: a cached step would keep the value that an argument had before. History would name steps by ids of their own.
    """
    labels = {"version": version(), "revision": revision(recipe)}
    annotations = {"base.name": base, "base.digest": podman.image(base)["Digest"]}
    name = f"localhost/{recipe.tag}"
    with tempfile.TemporaryDirectory(dir=podman.folder) as folder, handover(Path(folder)) as index:
        podman(
            "build", "--isolation=chroot", "--network=host", "--timestamp=0", "--format=oci", "--layers", *([] if cached else ["--no-cache"]), *index,
            "--omit-history", "--identity-label=false", f"--build-arg=BASE={base}",
            *(f"--label=org.opencontainers.image.{key}={value}" for key, value in labels.items()),
            *(f"--annotation=org.opencontainers.image.{key}={value}" for key, value in annotations.items()),
            f"--ignorefile={recipe.ignorefile}", f"--file={recipe.dockerfile}", f"--tag={name}", str(ROOT), timeout=1800,
        )  # fmt: skip
    return name


def version() -> str:
    """The distribution's version."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def revision(recipe: Recipe) -> str:
    """The last commit that changed what goes in, so that other commits make the same image; `-modified` where files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words, "--", *recipe.inputs], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("log", "-1", "--format=%H") or "unknown"
    return f"{commit}-modified" if git("status", "--porcelain") else commit
