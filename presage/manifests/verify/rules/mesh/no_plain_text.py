"""No policy opens a workload or a namespace to plain text."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule(
    "mesh/no-plain-text", severity=Severity.error, kinds=("PeerAuthentication",),
    remedy="write STRICT; where one port must be an exception, name it in portLevelMtls",
)  # fmt: skip
def no_plain_text(policy: Written) -> Iterator[Flaw]:
    mode = (policy.spec.get("mtls") or {}).get("mode", "UNSET")
    if mode in ("DISABLE", "PERMISSIVE"):
        yield policy.flaw("spec.mtls.mode", f"is {mode}")
