"""Nothing names what a promotion by name would rename."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay

_FIELDS = {"DestinationRule": "host", "HorizontalPodAutoscaler": "scaleTargetRef", "ScaledObject": "scaleTargetRef"}


@rule("kserve/names-stay", severity=Severity.error, remedy="promote by copy (leave predictor.name out), or select by labels that survive")
def names_stay(overlay: Overlay) -> Iterator[Flaw]:
    renamed = {}
    for service in overlay.written_of("InferenceService"):
        if name := (service.spec.get("predictor") or {}).get("name"):
            renamed[service.namespace, f"{service.name}-{name}-predictor"] = service.name
    for found in overlay.written_of(*_FIELDS):
        value = found.spec.get(_FIELDS[found.kind])
        name = str(value.get("name")) if isinstance(value, dict) else str(value).partition(".")[0]
        if service_name := renamed.get((found.namespace, name)):
            yield found.flaw(f"spec.{_FIELDS[found.kind]}", f"is {name}, which is gone once {service_name} is promoted")
