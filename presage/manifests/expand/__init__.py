"""Custom resources expanded to the core objects that their controllers would make of them.

    expand(objects)     # InferenceService + ServingRuntime + ClusterStorageContainer -> Deployment, Service

Follows KServe's controller in Standard mode, read from its source (0.21), Pod webhook included: the Deployment's template is the
Pod as it will run. Known here: the model form with a named runtime, autoscaler class none. A custom kind or a field that is not
known is an error, never skipped. Routes need a gateway, which no overlay has yet.
"""

from presage.manifests.expand.inferenceservice import expand_inference_service
from presage.manifests.fields import FieldError
from presage.manifests.objects import Manifest, group, label

# Kinds that are run as they are. `gateway.networking.k8s.io` and the mesh join when an overlay holds them.
CORE_GROUPS = frozenset({"", "apps", "batch", "policy", "autoscaling", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io"})
_KSERVE = "serving.kserve.io"
_PARTS = ("ServingRuntime", "ClusterStorageContainer")


def expand(objects: list[Manifest]) -> list[Manifest]:
    """Core objects only, in the order of `objects`; what a custom resource stands for takes its place.

    Raises FieldError (an InputError) naming object, field and value for anything not understood.
    """
    expanded: list[Manifest] = []
    for manifest in objects:
        if group(manifest) in CORE_GROUPS:
            expanded.append(manifest)
        elif group(manifest) == _KSERVE and manifest["kind"] == "InferenceService":
            expanded.extend(expand_inference_service(manifest, [part for part in objects if part["kind"] in _PARTS]))
        elif group(manifest) != _KSERVE or manifest["kind"] not in _PARTS:
            raise FieldError(label(manifest), "apiVersion", f"{manifest['apiVersion']}: no rule expands this kind. Remove the object, or write the rule.")
    return expanded
