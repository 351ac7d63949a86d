"""No label or annotation of a model changes from commit to commit: each change restarts its Pods."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_CHANGING = re.compile(r"(^|[./_-])(commit|revision|git-?sha|build|version|timestamp|restarted-?at)$", re.IGNORECASE)
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}|\d{4}-\d\d-\d\d[T ].*")


@rule("kserve/steady-metadata", severity=Severity.error, remedy="take it off; the release is named in storageUri", kinds=("InferenceService", "ServingRuntime"))
def steady_metadata(found: Written) -> Iterator[Flaw]:
    predictor = found.spec.get("predictor") or {}
    places = [("spec.labels", found.spec.get("labels")), ("spec.annotations", found.spec.get("annotations"))]
    if found.kind == "InferenceService":
        places = [("metadata.labels", found.labels), ("metadata.annotations", found.annotations)]
        places += [("spec.predictor.labels", predictor.get("labels")), ("spec.predictor.annotations", predictor.get("annotations"))]
    for path, keys in places:
        for key, value in (keys or {}).items():
            if _CHANGING.search(key) or _HASH.fullmatch(str(value)):
                yield found.flaw(f"{path}[{key}]", f"is {value!r}")
