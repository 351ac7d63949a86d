"""The lane (`make test-images`): what `make images` just made, pulled by digest onto a node of its own. It takes minutes: `make test` leaves it out."""

from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from images import programs
from images.podman import Podman
from images.registry import Registry

FOLDER = Path(__file__).parents[2] / "build" / "images"


@dataclass(frozen=True)
class Made:
    """What `python -m images` made. builder: the store it built in; base: name of the base there; images: name → {"digest", "id", "sbom", …}."""

    builder: Podman
    registry: Registry
    base: str
    images: dict[str, dict[str, object]]


@pytest.fixture(scope="session")
def made():
    if absent := programs.missing():
        pytest.skip(f"images are neither built nor run here: {', '.join(absent)} is not installed. Run: make test-images")
    if not (FOLDER / "images.json").exists():
        pytest.skip("no images were built yet. Run: make test-images")
    document = orjson.loads((FOLDER / "images.json").read_bytes())
    with Registry.start(FOLDER / "registry") as registry:
        yield Made(Podman(FOLDER), registry, document["base"], {image["name"]: image for image in document["images"]})


@pytest.fixture(scope="session")
def node(made, tmp_path_factory):
    """A machine that has no image until it pulls one: a store of its own. Gone afterwards, with whatever ran there."""
    podman = Podman(tmp_path_factory.mktemp("node"))
    yield podman
    podman.remove()


@pytest.fixture(scope="session")
def serving(made, node):
    """The serving image on the node, by the digest that was pushed."""
    return made.registry.pull(node, f"presage/serving@{made.images['presage/serving']['digest']}")
