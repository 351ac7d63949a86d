"""Each ServiceAccount that a Pod, a VaultAuth or a binding names is there."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("references/account", severity=Severity.error, remedy="add the ServiceAccount, or name another")
def account(overlay: Overlay) -> Iterator[Flaw]:
    for pod in overlay.pods:
        if not overlay.has_account(pod.namespace, pod.account):
            yield pod.flaw("spec.serviceAccountName", f"is {pod.account!r}, and no ServiceAccount in its namespace is called so")
    for found in overlay.written_of("VaultAuth"):
        method = str(found.spec.get("method"))
        name = (found.spec.get(method) or {}).get("serviceAccount")
        if name and not overlay.has_account(found.namespace, name):
            yield found.flaw(f"spec.{method}.serviceAccount", f"is {name!r}, and no ServiceAccount in its namespace is called so")
    for found in overlay.written_of("RoleBinding", "ClusterRoleBinding"):
        for position, subject in enumerate(found.manifest.get("subjects") or []):
            namespace = subject.get("namespace") or found.namespace
            ours = subject.get("kind") == "ServiceAccount" and namespace in overlay.namespaces
            if ours and not overlay.has_account(namespace, str(subject.get("name"))):
                yield found.flaw(f"subjects[{position}].name", f"is {namespace}/{subject.get('name')}, and no ServiceAccount is called so")
