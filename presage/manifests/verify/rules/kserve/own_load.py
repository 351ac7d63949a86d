"""A predictor scales by its own load: a query names its namespace and its service, and the stable track alone."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("kserve/own-load", severity=Severity.error, remedy='match namespace, inferenceservice and track="stable" in every selector', kinds=("InferenceService",))
def own_load(service: Written) -> Iterator[Flaw]:
    wanted = {"namespace": service.namespace, "inferenceservice": service.name, "track": "stable"}
    scaling = (service.spec.get("predictor") or {}).get("autoScaling") or {}
    for position, metric in enumerate(scaling.get("metrics") or []):
        query = str(((metric.get("external") or {}).get("metric") or {}).get("query") or "")
        path = f"spec.predictor.autoScaling.metrics[{position}].external.metric.query"
        for selector in re.findall(r"\{([^{}]*)\}", query) or ([""] if query else []):
            matched = dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', selector))
            if wrong := [f'{label}="{value}"' for label, value in wanted.items() if matched.get(label) != value]:
                yield service.flaw(path, f"does not match {', '.join(wrong)}")
