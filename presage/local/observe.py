"""Prometheus where this machine has one: a Pod of the plane's own, told by the manifests' PodMonitors and rules what to read."""

import os
import signal
from pathlib import Path

from presage.files import canonical_json, sha256_bytes
from presage.local.addresses import PodAddress
from presage.local.children import MARK
from presage.local.invocation import Invocation
from presage.local.mesh.pods import STATS_PORT
from presage.local.pod import PROXY, PodRun
from presage.local.pods import Container, Pod, Workload
from presage.local.probe import Probe
from presage.local.prometheus import GROUP, ScrapePort, command, installed, prometheus_files, write_files
from presage.local.rollout import Strategy
from presage.local.template import Note
from presage.manifests.objects import Manifest, group

NAME, NAMESPACE, PORT = "prometheus", "monitoring", 9090
_STATS = "http-envoy-prom"  # as Istio calls the port of a proxy's metrics


def prometheus_workload(objects: list[Manifest], note: Note) -> Workload | None:
    """The Prometheus that a plan's PodMonitors want; None, and said so, where none is installed or nothing asks for one."""
    watched = [found for found in objects if group(found) == GROUP]
    if not watched:
        return None
    if not installed():
        note("PodMonitors and PrometheusRules: prometheus is not installed here, so nothing reads them", f"{len(watched)} objects")
        return None
    prometheus_files(watched, [])  # strictly: what it cannot honour is said before anything starts
    pod = Pod(NAME, NAME, NAMESPACE, NAME, {"app.kubernetes.io/name": NAME}, "prometheus", (), (), (), 5.0, None, "prometheus")
    return Workload("Prometheus", pod, Strategy("Recreate", 1))


class Observer:
    """Its files, kept as the objects and the running Pods are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects: list[Manifest] = []
        self._written = ""

    def replace(self, objects: list[Manifest]) -> None:
        self._objects = [found for found in objects if group(found) == GROUP]
        self._written = ""

    def watch(self, pods: list[PodRun]) -> None:
        """Tell it of the Pods that run now; Prometheus itself is told only where rules or jobs changed."""
        own = next((pod for pod in pods if pod.pod.proxy == "prometheus"), None)
        if own is None:
            return
        ports = [port for pod in pods if pod is not own for port in _ports(pod)]
        digest = sha256_bytes(canonical_json([self._objects, [[port.pod, port.address, port.port] for port in ports]]))
        if digest == self._written:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = write_files(self._folder, prometheus_files(self._objects, ports))
        self._written = digest
        pid = own.records[-1].pid
        if told and pid is not None and own.proxied:
            os.kill(pid, signal.SIGHUP)

    def invocation(self, address: PodAddress, root: Path) -> Invocation:
        """How it is started; its files are written by then."""
        if not (self._folder / "prometheus.yml").exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_files(self._folder, prometheus_files(self._objects, []))
        log = root / "plane" / "logs" / f"{NAME}.log"
        return Invocation(command(self._folder, address.outer, PORT), {MARK: str(root.resolve())}, self._folder, log, 5.0)

    def container(self) -> Container:
        ready = Probe("httpGet", PORT, "/-/ready", period=5, timeout=2)
        return Container(NAME, "prom/prometheus", (), (), (), (), (), (("web", PORT),), None, ready, None, None)


def _ports(run: PodRun) -> list[ScrapePort]:
    """Every named port of a Pod at its own address, and its proxy's metrics at the inner one."""
    pod = run.pod
    found = [
        ScrapePort(pod.name, pod.namespace, pod.labels, container.name, name, run.address.outer, port)
        for container in pod.containers for name, port in container.ports
    ]  # fmt: skip
    if pod.meshed:
        found.append(ScrapePort(pod.name, pod.namespace, pod.labels, PROXY, _STATS, run.address.inner, STATS_PORT))
    return found
