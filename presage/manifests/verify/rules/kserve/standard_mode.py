"""New services are Standard by default: an object's mode is fixed once it has a status."""

from collections.abc import Iterator

from presage.manifests.expand.settings import NAME, NAMESPACE, read_settings
from presage.manifests.fields import FieldError
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("kserve/standard-mode", severity=Severity.error, remedy='write deploy: {"defaultDeploymentMode": "Standard"}', kinds=("ConfigMap",))
def standard_mode(found: Written) -> Iterator[Flaw]:
    if (found.namespace, found.name) == (NAMESPACE, NAME) and found.manifest.get("data"):
        try:
            mode = read_settings(found.manifest).default_mode
        except FieldError as error:
            yield Flaw(found.label, error.path, error.problem.rstrip("."))
            return
        if mode != "Standard":
            yield found.flaw("data.deploy", f"makes {mode} the default")
