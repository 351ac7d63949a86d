"""Overlays as a cluster could take them: in a copy, a test's digests where Git says that nothing is published yet."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from presage.manifests.objects import Manifest, parse_objects
from presage.manifests.render import applications, manifests_folder, render

RELEASE_DIGEST, IMAGE_DIGEST = "sha256:" + "5eed" * 16, "sha256:" + "1ace" * 16
FIRST = ("platform", "policies")  # namespaces and what judges come before what is judged; the others in any order
LABEL = "presage.io/test"
OTHER_MODEL = "incident-sequence"


def rendered(overlay: str) -> list[Manifest]:
    """All objects of an overlay, in the order in which its Applications are applied."""
    folder = manifests_folder()
    names = sorted(applications(folder, overlay), key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    return [found for name in names for found in parse_objects(render(folder / "overlays" / overlay / name), f"{overlay}/{name}")]


def resolved(objects: Iterable[Manifest]) -> list[Manifest]:
    """A copy in which every release and image has a digest: `@unresolved` is replaced, and the version 0 that stands before it by 1."""
    return [_resolved(deepcopy(found)) for found in objects]


def services(objects: Iterable[Manifest]) -> list[Manifest]:
    return [found for found in objects if found["kind"] == "InferenceService"]


def renamed(manifest: Manifest, name: str = "") -> Manifest:
    """A copy under another name: asking for it is a CREATE, whatever is there already. An InferenceService is a model by its name, so its copy has one
    that a policy speaks of."""
    copy = deepcopy(manifest)
    copy["metadata"]["name"] = name or (OTHER_MODEL if manifest["kind"] == "InferenceService" else "asked")
    return copy


def key(manifest: Manifest) -> tuple[str, str, str, str]:
    """What names an object in a cluster."""
    metadata = manifest["metadata"]
    return (manifest["apiVersion"].partition("/")[0], manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def _resolved(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _resolved(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item) for item in value]
    if not isinstance(value, str) or not value.endswith("@unresolved"):
        return value
    name = value.removesuffix("@unresolved")
    if name.startswith("presage://"):
        model, _, version = name.rpartition(":")
        return f"{model}:{version if version != '0' else '1'}@{RELEASE_DIGEST}"
    return f"{name}@{IMAGE_DIGEST}"
