"""A GPU is asked for whole and once: the API server refuses an extended resource whose request is not its limit."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.gpus import DOMAIN, asked
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("gpu/equal-request", severity=Severity.error, remedy="write the same whole number under limits and requests")
def equal_request(container: Container) -> Iterator[Flaw]:
    limits, requests = asked(container), (container.manifest.get("resources") or {}).get("requests") or {}
    for name in sorted({*limits, *(str(one) for one in requests if str(one).startswith(DOMAIN))}):
        if not limits.get(name, "").isdigit() or str(requests.get(name, limits.get(name))) != limits.get(name):
            yield container.flaw("resources", f"ask for {requests.get(name, 'no')} {name} and limit it to {limits.get(name, 'none')}")
