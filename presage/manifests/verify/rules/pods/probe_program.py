"""A probe that runs a program runs one that is in the image."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.images import Image
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pods/probe-program", severity=Severity.error, remedy="use a program of the image, or an httpGet, grpc or tcpSocket probe")
def probe_program(container: Container) -> Iterator[Flaw]:
    image = Image.parse(container.image)
    hooks = [(f"lifecycle.{name}", hook) for name, hook in (container.manifest.get("lifecycle") or {}).items() if isinstance(hook, dict)]
    for field, probe in (*container.probes, *hooks):
        command = (probe.get("exec") or {}).get("command") or []
        if command and not image.has(str(command[0])):
            yield container.flaw(f"{field}.exec.command", f"runs {command[0]!r}, which is not in {image.name}")
