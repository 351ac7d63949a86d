"""Where a model's release stands in an overlay: which one is stable, which is the canary and with what share, and who is asked as a shadow.

    standing = read_standing(tree, Place("production", "models-network", "incident"))
    write_standing(tree, place, standing.with_canary(...))         # overlay and rendered manifests, as one change

Two files of the overlay's folder are a release's: `release.yaml` (the stable predictor's) and, while there is a canary, `canary.yaml`; `shadow.yaml`
where a shadow is asked. kustomization.yaml names them. Promotion is by copy, so no name of an object ever changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from presage.documents import parse_yaml, read_commented, write_commented
from presage.errors import InputError
from presage.manifests.objects import parse_objects
from presage.manifests.render import render_overlay, write_rendered

RELEASE, CANARY, SHADOW = "release.yaml", "canary.yaml", "shadow.yaml"
_COMPONENTS = "../../../components"


@dataclass(frozen=True)
class Place:
    """model: the InferenceService's name."""

    overlay: str
    application: str
    model: str

    @property
    def folder(self) -> str:
        return f"manifests/overlays/{self.overlay}/{self.application}"

    @property
    def domain(self) -> str:
        """`network` of models-network."""
        return self.application.removeprefix("models-")

    def __str__(self) -> str:
        return f"{self.overlay}/{self.application}/{self.model}"


@dataclass(frozen=True)
class Canary:
    """percent: of the requests; replicas: its Pods, fixed."""

    uri: str
    percent: int
    replicas: int


@dataclass(frozen=True)
class Standing:
    """replicas: of the stable predictor, at least; written: what the overlay itself says of that (None: it is the base's)."""

    stable: str
    replicas: int
    written: int | None = None
    canary: Canary | None = None
    shadow: str | None = None

    def changed(self, **fields: Any) -> "Standing":
        return replace(self, **fields)

    def summary(self) -> dict[str, Any]:
        """As step records hold it."""
        canary = self.canary
        return {
            "stable": self.stable, "replicas": self.replicas, "written": self.written,
            "canary": canary.uri if canary else None, "percent": canary.percent if canary else None,
            "canary_replicas": canary.replicas if canary else None, "shadow": self.shadow,
        }  # fmt: skip


def read_standing(tree: Path, place: Place) -> Standing:
    """From the rendered manifests, which are what runs. Raises InputError where the overlay has no such model."""
    path = tree / "manifests" / "rendered" / place.overlay / place.application / "manifest.yaml"
    if not path.is_file():
        raise InputError(f"{path.relative_to(tree)}: there is no such application. Name overlay and application as manifests/rendered has them.")
    services = {found["metadata"]["name"]: found for found in parse_objects(path.read_bytes(), str(path)) if found["kind"] == "InferenceService"}
    if place.model not in services:
        raise InputError(f"{place.overlay}/{place.application} has no InferenceService {place.model!r}; it has {', '.join(services) or 'none'}. Name one.")
    predictor = services[place.model]["spec"]["predictor"]
    entries = services[place.model]["spec"].get("canary") or []
    if len(entries) > 1:
        raise InputError(f"{place} has {len(entries)} canaries, and a judge compares one with the stable release. Leave one.")
    canary = None
    for entry in entries:
        canary = Canary(entry["predictor"]["model"]["storageUri"], int(entry["trafficPercent"]), int(entry["predictor"].get("minReplicas", 1)))
    shadow = services.get(f"{place.model}-shadow")
    patch = _release_patch(tree, place)
    written = (patch["spec"]["predictor"] or {}).get("minReplicas")
    return Standing(
        predictor["model"]["storageUri"], int(predictor.get("minReplicas", 1)), written, canary,
        shadow["spec"]["predictor"]["model"]["storageUri"] if shadow else None,
    )  # fmt: skip


def write_standing(tree: Path, place: Place, standing: Standing) -> None:
    """Make overlay and rendered manifests say so. Raises InputError where the result is not what was asked for: then `tree` is to be thrown away."""
    folder = tree / place.folder
    _write_release(tree, place, standing)
    canary, shadow = standing.canary, standing.shadow
    patches = {
        CANARY: None if canary is None else _json_patch(
            f"The release that is on its way, its share of the requests, and its Pods (`presage release`). {place.model} alone.",
            {
                "/spec/canary/0/predictor/model/storageUri": canary.uri, "/spec/canary/0/trafficPercent": canary.percent,
                "/spec/canary/0/predictor/minReplicas": canary.replicas,
            },
        ),
        SHADOW: None if shadow is None else _json_patch(
            "The release that is asked everything and answers nobody (`presage release`).", {"/spec/predictor/model/storageUri": shadow}
        ),
    }  # fmt: skip
    for name, text in patches.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_text(text)
    _write_kustomization(folder / "kustomization.yaml", place.model, canary is not None, shadow is not None)
    manifests = tree / "manifests"
    write_rendered(manifests, place.overlay, render_overlay(manifests, place.overlay))
    if (most := _most(tree, place)) is not None and most < standing.replicas:  # KServe refuses fewer at most than at least
        _write_release(tree, place, standing, most=standing.replicas)
        write_rendered(manifests, place.overlay, render_overlay(manifests, place.overlay))
    found = read_standing(tree, place)
    if found.summary() != standing.summary():
        raise InputError(f"{place.folder}: its files do not render to what was asked for ({found.summary()}). Does another patch write these fields?")


def _release_patch(tree: Path, place: Place) -> dict[str, Any]:
    path = tree / place.folder / RELEASE
    if not path.is_file():
        raise InputError(f"{place.folder}/{RELEASE} is missing: the patch that names the stable predictor's release. Write one, as overlay production has it.")
    document = parse_yaml(path.read_text(), f"{place.folder}/{RELEASE}")
    if not isinstance(document, dict) or document.get("metadata", {}).get("name") != place.model:
        raise InputError(f"{place.folder}/{RELEASE} is no patch of {place.model}. Give each model a patch of its own.")
    return document


def _most(tree: Path, place: Place) -> int | None:
    """`maxReplicas` of the stable predictor as rendered; None where it has none."""
    path = tree / "manifests" / "rendered" / place.overlay / place.application / "manifest.yaml"
    for found in parse_objects(path.read_bytes(), str(path)):
        if (found["kind"], found["metadata"]["name"]) == ("InferenceService", place.model):
            most = found["spec"]["predictor"].get("maxReplicas")
            return None if most is None else int(most)
    return None


def _write_release(tree: Path, place: Place, standing: Standing, most: int | None = None) -> None:
    """most: `maxReplicas` while a release needs more than the overlay allows; that key of this file is a release's own, and goes with it."""
    path = tree / place.folder / RELEASE
    document = read_commented(path.read_text(), str(path))
    predictor = document["spec"]["predictor"]
    predictor["model"]["storageUri"] = standing.stable
    if standing.written is None:
        predictor.pop("minReplicas", None)
    elif "minReplicas" in predictor:
        predictor["minReplicas"] = standing.written
    else:
        predictor.insert(0, "minReplicas", standing.written)
    predictor.pop("maxReplicas", None)
    if most is not None:
        predictor.insert(1, "maxReplicas", most)
    path.write_text(write_commented(document))


def _write_kustomization(path: Path, model: str, canary: bool, shadow: bool) -> None:
    document = read_commented(path.read_text(), str(path))
    components = list(document.get("components") or [])
    patches = [patch for patch in document.get("patches") or [] if patch.get("path") not in (CANARY, SHADOW)]
    for name, wanted in (("canary", canary), ("shadow", shadow)):
        component = f"{_COMPONENTS}/{name}"
        components = [one for one in components if one != component] + [component] * wanted
    if canary:
        patches.append({"path": CANARY, "target": {"kind": "InferenceService", "name": model}})
    if shadow:
        patches.append({"path": SHADOW, "target": {"kind": "InferenceService", "name": f"{model}-shadow"}})
    _replace(document, "components", components)
    _replace(document, "patches", patches)
    path.write_text(write_commented(document))


def _replace(document: Any, key: str, values: list[Any]) -> None:
    """Change a list in place, so that its comments and its style stay."""
    if key not in document:
        if values:
            document[key] = values
        return
    if not values:
        del document[key]
    elif list(document[key]) != values:
        document[key][:] = values


def _json_patch(because: str, fields: Mapping[str, str | int]) -> str:
    lines = [f"# {because}\n"]
    for path, value in fields.items():
        lines.append(f"- op: replace\n  path: {path}\n  value: {value}\n")
    return "".join(lines)
