"""Every container says what it asks for and what it may take: cpu and memory, requests and limits."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pods/sized", severity=Severity.error, remedy="write requests and limits of cpu and memory")
def sized(container: Container) -> Iterator[Flaw]:
    resources = container.manifest.get("resources") or {}
    for kind in ("requests", "limits"):
        if missing := sorted({"cpu", "memory"} - (resources.get(kind) or {}).keys()):
            yield container.flaw(f"resources.{kind}", f"lacks {', '.join(missing)}")
