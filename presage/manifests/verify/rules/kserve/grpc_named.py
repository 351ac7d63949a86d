"""A gRPC port says so in its name: else it gets no HTTP/2 and no route."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container

_FLAG = re.compile(r"--?(?:grpc_port|grpc-port)(?:=|$)(\d*)")


@rule("kserve/grpc-named", severity=Severity.error, remedy="put grpc or h2c into the port's name")
def grpc_named(container: Container) -> Iterator[Flaw]:
    words = container.words
    for position, word in enumerate(words):
        match = _FLAG.fullmatch(word)
        number = (match[1] or (words[position + 1] if position + 1 < len(words) else "")) if match else ""
        for place, port in enumerate(container.ports):
            name = str(port.get("name", "")).lower()
            if container.pod.serving and number == str(port.get("containerPort")) and "grpc" not in name and "h2c" not in name:
                yield container.flaw(f"ports[{place}].name", f"is {name!r}, and {word} makes it gRPC")
