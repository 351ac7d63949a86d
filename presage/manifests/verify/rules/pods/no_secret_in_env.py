"""A secret is a file, re-read when it changes; a variable is seen by every child and never changes."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pods/no-secret-in-env", severity=Severity.error, remedy="mount the Secret as a file")
def no_secret_in_env(container: Container) -> Iterator[Flaw]:
    for position, variable in enumerate(container.env):
        if "secretKeyRef" in (variable.get("valueFrom") or {}):
            yield container.flaw(f"env[{position}].valueFrom.secretKeyRef", "puts a Secret into the environment")
    for position, source in enumerate(container.manifest.get("envFrom") or []):
        if "secretRef" in source:
            yield container.flaw(f"envFrom[{position}].secretRef", "puts a Secret into the environment")
