"""A wave is a whole number in text: anything else is 0, in silence."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_WAVE = "argocd.argoproj.io/sync-wave"


@rule("gitops/wave-number", severity=Severity.error, remedy='write it as text, such as "1"')
def wave_number(found: Written) -> Iterator[Flaw]:
    value = found.annotations.get(_WAVE)
    if value is not None and not (isinstance(value, str) and value.removeprefix("-").isdigit()):
        yield found.flaw(f"metadata.annotations[{_WAVE}]", f"is {value!r}")
