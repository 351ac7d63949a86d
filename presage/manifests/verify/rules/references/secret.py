"""Each Secret that a Pod, a Gateway or a VaultConnection needs is there or will be made, with the keys it needs."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.keys import known_keys
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay, Pod
from presage.manifests.verify.uses import uses


@rule("references/secret", severity=Severity.error, remedy="add it, or the VaultStaticSecret or VaultPKISecret that makes it; or mark the use optional")
def secret(overlay: Overlay) -> Iterator[Flaw]:
    for pod in overlay.pods:
        yield from _of_pod(overlay, pod)
    for found in overlay.of_kind("Gateway"):
        for position, listener in enumerate(found.spec.get("listeners") or []):
            for place, reference in enumerate((listener.get("tls") or {}).get("certificateRefs") or []):
                namespace = reference.get("namespace") or found.namespace
                if namespace not in overlay.doubtful and overlay.find("Secret", namespace, str(reference.get("name"))) is None:
                    path = f"spec.listeners[{position}].tls.certificateRefs[{place}].name"
                    yield found.flaw(path, f"is {reference.get('name')!r}, and no Secret in its namespace is called so")
    for found in overlay.written_of("VaultConnection"):
        if (name := found.spec.get("caCertSecretRef")) and overlay.find("Secret", found.namespace, name) is None:
            yield found.flaw("spec.caCertSecretRef", f"is {name!r}, and no Secret in its namespace is called so")


def _of_pod(overlay: Overlay, pod: Pod) -> Iterator[Flaw]:
    for use in uses(pod):
        if use.kind != "Secret":
            continue
        there = overlay.find(use.kind, pod.namespace, use.name)
        if there is None and pod.namespace in overlay.doubtful:
            continue
        if there is None:
            yield pod.flaw(use.path, f"is {use.name!r}, and no Secret in its namespace is called so")
        elif missing := sorted(set(use.keys) - (known_keys(there) or set(use.keys))):
            yield pod.flaw(use.path, f"needs the keys {', '.join(missing)} of {use.name!r}, which it will not have")
