"""InferenceServices as they are written: their predictors, and what of them other objects name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from presage.manifests.verify.subjects import SERVICE_LABEL, Object, Overlay, Written


@dataclass(frozen=True)
class WrittenPredictor:
    """One predictor as it is written. path: `spec.predictor` or `spec.canary[0].predictor`."""

    path: str
    spec: dict[str, Any]
    canary: bool

    @property
    def uris(self) -> Iterator[tuple[str, str]]:
        """(path, URI) of each release or model that it names."""
        model = self.spec.get("model") or {}
        if "storageUri" in model:
            yield f"{self.path}.model.storageUri", str(model["storageUri"])
        for position, one in enumerate(self.spec.get("storageUris") or []):
            yield f"{self.path}.storageUris[{position}].uri", str(one.get("uri"))


def predictors(service: Written) -> list[WrittenPredictor]:
    """The stable predictor, then the canaries."""
    found = [WrittenPredictor("spec.predictor", service.spec.get("predictor") or {}, False)]
    for position, entry in enumerate(service.spec.get("canary") or []):
        found.append(WrittenPredictor(f"spec.canary[{position}].predictor", entry.get("predictor") or {}, True))
    return found


def made_by_kserve(overlay: Overlay, kind: str, namespace: str, name: str) -> Object | None:
    """The Deployment, Service or autoscaler of that name, where KServe makes it."""
    found = overlay.find(kind, namespace, name)
    return found if found is not None and found.made and SERVICE_LABEL in found.labels else None


def selectors(found: Object) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, selector) of every label selector with which an object looks for Pods of its own namespace."""
    spec = found.spec
    for field in ("selector", "podSelector"):
        if isinstance(spec.get(field), dict):
            yield f"spec.{field}", spec[field] if found.kind != "Service" else {"matchLabels": spec[field]}
    for kind in ("ingress", "egress"):
        for position, one in enumerate(spec.get(kind) or []) if found.kind == "NetworkPolicy" else []:
            for place, peer in enumerate([*(one.get("from") or []), *(one.get("to") or [])]):
                if isinstance(peer.get("podSelector"), dict):
                    yield f"spec.{kind}[{position}].peers[{place}].podSelector", peer["podSelector"]
    spread = (spec.get("predictor") or {}).get("topologySpreadConstraints") or []
    for position, one in enumerate(spread if found.kind == "InferenceService" else []):
        if isinstance(one.get("labelSelector"), dict):
            yield f"spec.predictor.topologySpreadConstraints[{position}].labelSelector", one["labelSelector"]
