"""A further container that reads the model mounts it: KServe gives it to kserve-container and transformer-container alone."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container

_MODELS = "/mnt/models"


@rule("kserve/model-mounted", severity=Severity.error, remedy="mount kserve-provision-location, read-only, and declare that volume in the runtime")
def model_mounted(container: Container) -> Iterator[Flaw]:
    mounts = [str(mount.get("mountPath")) for mount in container.manifest.get("volumeMounts") or []]
    named = [word for word in (*container.words, *(str(one.get("value", "")) for one in container.env)) if _MODELS in word]
    if container.pod.serving and named and not any(_MODELS.startswith(path) or path.startswith(_MODELS) for path in mounts):
        yield container.flaw("volumeMounts", f"lack {_MODELS}, which {named[0]!r} reads")
