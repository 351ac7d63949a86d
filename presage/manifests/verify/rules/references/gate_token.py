"""The gate proves to Vault who the Pod is: the token that it reads is projected, for an audience of its own."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("references/gate-token", severity=Severity.error, remedy="project a serviceAccountToken with the audience that the role is bound to")
def gate_token(pod: Pod) -> Iterator[Flaw]:
    for container in pod.containers:
        wanted = {str(one.get("name")): str(one.get("value")) for one in container.env}.get("PRESAGE_VAULT_TOKEN_FILE")
        if wanted is None:
            continue
        volumes = {mount.get("mountPath"): mount.get("name") for mount in container.manifest.get("volumeMounts") or []}
        name = volumes.get(wanted.rpartition("/")[0])
        projections = [volume.get("projected") or {} for volume in pod.spec.get("volumes") or [] if volume.get("name") == name]
        sources = [one for projection in projections for one in projection.get("sources") or []]
        tokens = [one["serviceAccountToken"] for one in sources if "serviceAccountToken" in one]
        if not any(token.get("path") == wanted.rpartition("/")[2] and token.get("audience") for token in tokens):
            yield container.flaw("env", f"say that a token lies at {wanted}, and no volume puts one for an audience of its own there")
