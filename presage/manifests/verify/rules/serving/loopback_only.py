"""A model server is reachable only through the request path beside it."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container
from presage.manifests.verify.triton import ENDPOINTS, argument, runs_triton, switched_off

_LOOPBACK = ("127.0.0.1", "localhost")


@rule("serving/loopback-only", severity=Severity.error, remedy="bind it to 127.0.0.1 (--http-address, --grpc-address, --metrics-address), or switch it off")
def loopback_only(container: Container) -> Iterator[Flaw]:
    if not runs_triton(container):
        return
    for endpoint in ENDPOINTS:
        address = argument(container, f"{endpoint}-address")
        if address not in _LOOPBACK and not switched_off(container, endpoint):
            yield container.flaw("args", f"let {endpoint} listen on {'every address of the Pod' if address is None else repr(address)}")
    for position, port in enumerate(container.ports):
        yield container.flaw(f"ports[{position}]", f"is {port.get('containerPort')}: a Service would find it, and nobody listens at the Pod's address")
