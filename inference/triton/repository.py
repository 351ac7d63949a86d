"""A release's Triton repository as the bundled Triton can read it: the twin's `model.py` beside a link to each model.

    overlay(Path("/mnt/models/triton"), Path("/tmp/triton/models"))

    <model>/config.pbtxt     the release's, with its one backend line replaced (presage.package.triton)
    <model>/1/model.onnx     a link: an opened model stays in memory, where the gate put it
    <model>/1/model.py       a link to inference/triton/twin.py

The release itself is only read. So it, and its digest, are the same here as in a cluster.
"""

from pathlib import Path

from inference.triton import twin_file
from presage.errors import PlaneError
from presage.package.triton import twin_config

_LARGEST = 64 << 10


def overlay(release: Path, target: Path) -> list[str]:
    """Write the overlay into the new folder `target`; the names of its models. Raises PlaneError, ArtifactRefused."""
    models = sorted(path.name for path in release.iterdir() if path.is_dir()) if release.is_dir() else []
    if not models:
        raise PlaneError(f"{release} holds no model. The gate fills it for the GPU family alone: run the Pod with the runtime presage-gpu.")
    for model in models:
        config, onnx = release / model / "config.pbtxt", release / model / "1" / "model.onnx"
        for path in (config, onnx):
            if path.is_symlink() or not path.is_file():
                raise PlaneError(f"{path} is missing or no plain file. Let the gate fetch the release again.")
        with config.open("rb") as handle:
            text = handle.read(_LARGEST).decode()
        version = target / model / "1"
        version.mkdir(mode=0o700, parents=True)
        (target / model / "config.pbtxt").write_text(twin_config(text, str(config)))
        (version / "model.onnx").symlink_to(onnx)
        (version / "model.py").symlink_to(twin_file())
    return models
