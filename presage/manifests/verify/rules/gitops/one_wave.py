"""A model's Application has one wave and no hook: nothing waits, so a bad commit can always be followed by the good one."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay

_WAVE, _HOOK = "argocd.argoproj.io/sync-wave", "argocd.argoproj.io/hook"


@rule("gitops/one-wave", severity=Severity.error, remedy="take waves and hooks out of it; what must come first has an Application of its own")
def one_wave(overlay: Overlay) -> Iterator[Flaw]:
    models = {found.application for found in overlay.written_of("InferenceService")}
    waves: dict[str, set[str]] = {}
    for found in overlay.written:
        if found.application in models:
            waves.setdefault(found.application, set()).add(found.annotations.get(_WAVE, "0"))
            if _HOOK in found.annotations:
                yield found.flaw(f"metadata.annotations[{_HOOK}]", f"is {found.annotations[_HOOK]!r} in the model's application {found.application}")
    for found in overlay.written_of("InferenceService"):
        if len(waves[found.application]) > 1:
            yield found.flaw(f"metadata.annotations[{_WAVE}]", f"is one of the waves {', '.join(sorted(waves[found.application]))} of its application")
