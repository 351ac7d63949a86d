"""`presage://NAME:local`: which release of this state directory stands behind it."""

from pathlib import Path
from typing import Any

from presage.errors import ArtifactRefused
from presage.files import read_json
from presage.manifests.objects import Manifest
from presage.package.reference import Reference, parse_reference
from presage.reports import finished_runs
from presage.state import State

_SCHEME, _LOCAL = "presage://", ":local"


def local_names(objects: list[Manifest]) -> list[str]:
    """The releases that the InferenceServices among `objects` leave to this machine: `incident` of `presage://incident:local`."""
    uris = {_storage_uri(found) for found in objects if found["kind"] == "InferenceService"}
    return sorted(uri.removeprefix(_SCHEME).removesuffix(_LOCAL) for uri in uris if uri.startswith(_SCHEME) and uri.endswith(_LOCAL))


def bind(objects: list[Manifest], bindings: dict[str, str]) -> list[Manifest]:
    """The objects with every bound release name replaced by the release it stands for; InferenceServices alone change."""
    return [_bound(found, bindings) if found["kind"] == "InferenceService" else found for found in objects]


def training_source(stream: str) -> str:
    """What a model is trained on to score the live source `stream`: `host` has no incidents, so a simulated fleet of the same metrics."""
    return "simulated:metrics=host" if stream == "host" else stream


def trained_release(state: State, name: str, source: str) -> Reference | None:
    """The newest release of `name` in `state` that was trained on the fleet that `source` streams; None without one."""
    from presage.package.store import ReleaseStore

    kept = set(ReleaseStore(state.releases).versions(name))
    for folder in reversed(finished_runs(state)):
        try:
            reference = _released(folder, read_json(folder / "result.json"), name, source)
        except ValueError:  # damaged: a run that says nothing made no release to serve
            continue
        if reference is not None and reference.version in kept:
            return reference
    return None


def local_uri(name: str) -> str:
    """How manifests write the release of `name` that is left to this machine."""
    return f"{_SCHEME}{name}{_LOCAL}"


def pipeline_of(name: str) -> str:
    """The pipeline that makes releases of `name`: a model's training makes its sequence model, too."""
    return f"{name.removesuffix('-sequence')}-training"


def _released(folder: Path, result: object, name: str, source: str) -> Reference | None:
    """The release of `name` that a run in `folder` made, if the run read the fleet of `source`. Raises ValueError where what it left is damaged."""
    if not isinstance(result, dict):
        return None
    model, read = result.get("model"), result.get("source")
    if not isinstance(model, dict) or not isinstance(read, str) or (read != source and _fleet(read) != _fleet(source)):
        return None
    return next((found for found in map(_reference, (model, *_packaged(folder, result))) if found is not None and found.name == name), None)


def _reference(model: dict[str, Any]) -> Reference | None:
    try:
        return parse_reference(str(model.get("uri")))
    except ArtifactRefused:
        return None


def _packaged(folder: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    """All that the run's last step packaged, the winner among it."""
    place = (result.get("artifacts") or {}).get("packaged")
    path = folder / str(place) / "result.json"
    if not isinstance(place, str) or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return []
    models = read_json(path).get("models")
    return [one for one in models if isinstance(one, dict)] if isinstance(models, list) else []


def _fleet(source: str) -> object:
    """Which servers and metrics a source tells of. How long a history of them was read, and how eventful, makes no other fleet."""
    from presage.telemetry.simulator.source import SimulatedSource
    from presage.telemetry.sources import parse_source

    parsed = parse_source(source)
    return (parsed.servers, parsed.seed, parsed.metrics) if isinstance(parsed, SimulatedSource) else source


def _storage_uri(manifest: Manifest) -> str:
    found = manifest
    for key in ("spec", "predictor", "model"):
        found = found.get(key) or {}
    return str(found.get("storageUri", ""))


def _bound(manifest: Manifest, bindings: dict[str, str]) -> Manifest:
    uri = _storage_uri(manifest)
    if uri not in bindings:
        return manifest
    spec = manifest["spec"]
    model = {**spec["predictor"]["model"], "storageUri": bindings[uri]}
    return {**manifest, "spec": {**spec, "predictor": {**spec["predictor"], "model": model}}}
