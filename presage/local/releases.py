"""`presage://NAME:local`: which release of this state directory stands behind it."""

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
            reference = _released(read_json(folder / "result.json"), source)
        except ValueError:  # damaged: a run that says nothing made no release to serve
            continue
        if reference is not None and reference.name == name and reference.version in kept:
            return reference
    return None


def local_uri(name: str) -> str:
    """How manifests write the release of `name` that is left to this machine."""
    return f"{_SCHEME}{name}{_LOCAL}"


def _released(result: object, source: str) -> Reference | None:
    """The release that a run's result names, if the run read the fleet of `source`."""
    if not isinstance(result, dict):
        return None
    model, read = result.get("model"), result.get("source")
    if not isinstance(model, dict) or not isinstance(read, str) or (read != source and _fleet(read) != _fleet(source)):
        return None
    try:
        return parse_reference(str(model.get("uri")))
    except ArtifactRefused:
        return None


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
