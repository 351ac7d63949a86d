"""An approval that ends soon is renewed before: a Pod that starts afterwards is refused."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.governed import Governed
from presage.manifests.verify.registry import rule

SOON = timedelta(days=14)


@rule("approvals/ending", severity=Severity.warning, remedy="have it approved anew: presage release approve, then presage policies render")
def ending(governed: Governed) -> Iterator[Flaw]:
    served = {named.digest for named in governed.named()}
    for judged in governed.policies.judged(governed.now):
        for one in judged.enough:
            if judged.subject.digest in served and datetime.fromisoformat(one.approval.expires) - governed.now < SOON:
                yield Flaw(one.file, "expires", f"is {one.approval.expires}, and {judged.subject.name} is in service")
