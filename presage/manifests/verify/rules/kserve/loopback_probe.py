"""A server that listens on 127.0.0.1 is probed by exec: the kubelet dials the Pod's address, and so does KServe's own probe."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container

_NAMES = ("kserve-container", "transformer-container")
_LOOPBACK = re.compile(r"--?(?:host|http-address|grpc-address)=(?:127\.0\.0\.1|localhost)")


@rule("kserve/loopback-probe", severity=Severity.error, remedy="write exec probes, or let it listen on the Pod's address")
def loopback_probe(container: Container) -> Iterator[Flaw]:
    if not container.pod.serving or container.name not in _NAMES or not any(_LOOPBACK.fullmatch(word) for word in container.words):
        return
    for field, probe in container.probes:
        if "exec" not in probe:
            yield container.flaw(field, "asks the Pod's address, where nobody listens")
