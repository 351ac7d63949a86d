"""Nothing puts code before the program's own: no PYTHONPATH. KServe's webhook does not look into canaries."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("kserve/python-path", severity=Severity.error, remedy="remove it")
def python_path(container: Container) -> Iterator[Flaw]:
    for position, variable in enumerate(container.env):
        if container.pod.serving and variable.get("name") in ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "LD_PRELOAD"):
            yield container.flaw(f"env[{position}].name", f"is {variable['name']}")
