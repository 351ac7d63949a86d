"""Containers of one Pod share its ports: no two listen on the same one."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("pods/port-clash", severity=Severity.error, remedy="give one of them another port, in its flags too")
def port_clash(pod: Pod) -> Iterator[Flaw]:
    taken: dict[tuple[object, str], str] = {}
    for container in pod.containers:
        if container.init and container.manifest.get("restartPolicy") != "Always":
            continue  # it has ended before the others start
        for position, port in enumerate(container.ports):
            key = (port.get("containerPort"), port.get("protocol", "TCP"))
            if key in taken:
                yield container.flaw(f"ports[{position}].containerPort", f"is {key[0]}, which {taken[key]} has already")
            taken.setdefault(key, container.name)
