"""A host and path belong to one route: of two that match the same, the older wins and the other is silent."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object, Overlay


@rule("routes/one-owner", severity=Severity.error, remedy="give one of them another host or another path")
def one_owner(overlay: Overlay) -> Iterator[Flaw]:
    taken: dict[tuple[str, str], Object] = {}
    for route in overlay.of_kind("HTTPRoute"):
        for host in route.spec.get("hostnames") or []:
            for one in route.spec.get("rules") or []:
                for match in one.get("matches") or [{}]:
                    key = (str(host), repr(sorted(match.items(), key=str)))
                    first = taken.setdefault(key, route)
                    if first is not route:
                        yield route.flaw("spec.hostnames", f"hold {host}, which {first.label.partition(': ')[2] or first.label} has with the same match")
