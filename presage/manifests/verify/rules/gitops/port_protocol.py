"""A port in a list says its protocol: what the server adds inside a list, Argo CD shows as a difference for ever."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/port-protocol", severity=Severity.warning, remedy="write protocol: TCP", kinds=("InferenceService", "ServingRuntime", "ClusterStorageContainer"))
def port_protocol(found: Written) -> Iterator[Flaw]:
    predictor = found.spec.get("predictor") or {}
    holders = [("spec.containers", found.spec.get("containers") or []), ("spec.predictor.containers", predictor.get("containers") or [])]
    holders += [("spec.predictor.model", [predictor["model"]] if predictor.get("model") else []), ("spec.container", [found.spec.get("container") or {}])]
    for path, containers in holders:
        for position, container in enumerate(containers):
            for place, port in enumerate(container.get("ports") or []):
                if "protocol" not in port:
                    yield found.flaw(f"{path}[{position}].ports[{place}].protocol", "is missing")
