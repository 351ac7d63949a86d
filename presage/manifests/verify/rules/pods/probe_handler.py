"""A probe has exactly one way of asking; a canary laid over the stable predictor may end with two."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container

_KINDS = ("exec", "grpc", "httpGet", "tcpSocket")


@rule("pods/probe-handler", severity=Severity.error, remedy="leave one of them; in a canary repeat the stable's kind of probe")
def probe_handler(container: Container) -> Iterator[Flaw]:
    for field, probe in container.probes:
        kinds = [kind for kind in _KINDS if kind in probe]
        if len(kinds) != 1:
            yield container.flaw(field, f"has {' and '.join(kinds)} together" if kinds else "asks nothing")
