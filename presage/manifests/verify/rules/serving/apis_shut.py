"""Triton's doors beside inference and health are shut: nobody loads a model, names shared memory, or sets where it logs."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container
from presage.manifests.verify.triton import argument, arguments, runs_triton, switched_off

_SHUT = frozenset({"shared-memory", "model-repository", "trace", "logging"})
_FLAGS = {"http": "http-restricted-api", "grpc": "grpc-restricted-protocol"}
_REMEDY = "write --model-control-mode=none, and shared-memory, model-repository, trace and logging into --http-restricted-api and --grpc-restricted-protocol"


@rule("serving/apis-shut", severity=Severity.error, remedy=_REMEDY)
def apis_shut(container: Container) -> Iterator[Flaw]:
    if not runs_triton(container):
        return
    mode = argument(container, "model-control-mode")
    if mode not in (None, "none"):
        yield container.flaw("args", f"let models be loaded while it runs (--model-control-mode={mode})")
    for endpoint, flag in _FLAGS.items():
        shut = {name.strip() for value in arguments(container, flag) for name in value.partition(":")[0].split(",") if "=" in value.partition(":")[2]}
        if (open_ := sorted(_SHUT - shut)) and not switched_off(container, endpoint):
            yield container.flaw("args", f"leave {', '.join(open_)} open over {endpoint}")
