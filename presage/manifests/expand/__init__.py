"""Custom resources expanded to the core objects that their controllers would make of them.

    expand(objects)     # every object that a cluster would hold beside the custom ones
    made(objects)       # only those that controllers make

    InferenceService (+ ServingRuntime, ClusterStorageContainer, KServe's ConfigMap)  →  Deployments, Services, HTTPRoutes,
                                                                      HorizontalPodAutoscalers or KEDA's ScaledObjects
    VaultStaticSecret, VaultPKISecret, VaultDynamicSecret (+ VaultAuth, VaultConnection)  →  Secrets

Follows KServe's controller in Standard mode, read from its source (0.21), Pod webhook included: a Deployment's template is the Pod as
it will run, and canaries are taken as ready. A kind or a field that is not known is an error (presage.manifests.expand.refusals), never
skipped.
"""

from presage.manifests.expand.inferenceservice import expand_inference_service
from presage.manifests.expand.parts import Parts
from presage.manifests.expand.refusals import NotExpanded
from presage.manifests.expand.runtime import read_runtime
from presage.manifests.expand.storage import read_storage_container
from presage.manifests.expand.vault import SECRETS, expand_vault_secret, read_vault_auth, read_vault_connection
from presage.manifests.objects import Manifest, group, label

# Groups whose objects are run, or enforced, as they are.
PASSED_ON = frozenset({
    "", "apps", "batch", "policy", "autoscaling", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io", "scheduling.k8s.io",
    "admissionregistration.k8s.io", "gateway.networking.k8s.io", "security.istio.io", "networking.istio.io", "monitoring.coreos.com",
    "keda.sh", "argoproj.io",
})  # fmt: skip
_KSERVE, _VAULT = "serving.kserve.io", "secrets.hashicorp.com"


def expand(objects: list[Manifest]) -> list[Manifest]:
    """Core objects only, in the order of `objects`; what a custom resource stands for takes its place.

    Raises FieldError (an InputError) naming object, field and value for anything not understood.
    """
    parts = Parts(objects)
    return [result for manifest in objects for result in expand_one(manifest, parts)]


def made(objects: list[Manifest]) -> list[Manifest]:
    """What controllers would make of `objects`, and nothing of what is written. Raises FieldError."""
    parts = Parts(objects)
    return [result for manifest in objects if group(manifest) not in PASSED_ON for result in expand_one(manifest, parts)]


def expand_one(manifest: Manifest, parts: Parts) -> list[Manifest]:
    """What takes the place of one object: itself, what a controller makes of it, or nothing for a part of others. Raises FieldError."""
    kind = (group(manifest), manifest["kind"])
    if kind[0] in PASSED_ON:
        return [manifest]
    if kind == (_KSERVE, "InferenceService"):
        return expand_inference_service(manifest, parts)
    if kind[0] == _VAULT and kind[1] in SECRETS:
        return expand_vault_secret(manifest, parts)
    if kind in ((_KSERVE, "ServingRuntime"), (_KSERVE, "ClusterServingRuntime")):
        read_runtime(manifest)
    elif kind == (_KSERVE, "ClusterStorageContainer"):
        read_storage_container(manifest)
    elif kind == (_VAULT, "VaultAuth"):
        read_vault_auth(manifest, parts)
    elif kind == (_VAULT, "VaultConnection"):
        read_vault_connection(manifest)
    else:
        raise NotExpanded(label(manifest), "apiVersion", f"{manifest['apiVersion']}: no rule expands this kind. Remove the object, or write the rule.")
    return []
