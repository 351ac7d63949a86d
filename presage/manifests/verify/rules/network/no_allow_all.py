"""A network policy opens a way, not every way."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_ANYWHERE = ("0.0.0.0/0", "::/0")


@rule("network/no-allow-all", severity=Severity.error, remedy="name the peers and the ports", kinds=("NetworkPolicy",))
def no_allow_all(policy: Written) -> Iterator[Flaw]:
    for kind, peers in (("ingress", "from"), ("egress", "to")):
        for position, one in enumerate(policy.spec.get(kind) or []):
            if not one.get(peers) and not one.get("ports"):
                yield policy.flaw(f"spec.{kind}[{position}]", "lets everything through")
            for place, peer in enumerate(one.get(peers) or []):
                block = peer.get("ipBlock") or {}
                if kind == "egress" and block.get("cidr") in _ANYWHERE and not (block.get("except") and one.get("ports")):
                    yield policy.flaw(f"spec.egress[{position}].to[{place}].ipBlock", f"is {block['cidr']}: the whole world")
