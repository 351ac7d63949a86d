"""What a cluster's control plane does for Pods, on this machine: names, Secrets, certificates, proxies, releases in the object store.

    Cluster(root, plan, changed).replace(plan)     reads a plan, strictly
    .tasks(running)                                what goes on beside the Pods
    .direct(pods)                                  traffic follows the Pods that are ready
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from presage.local.addresses import PodAddress
from presage.local.authority import Authority
from presage.local.invocation import Invocation
from presage.local.invocation import check as check_pod
from presage.local.pod import PodRun, Site
from presage.local.pods import Container, Pod
from presage.local.reading import Reading, read
from presage.local.record import ClientRecord, Plan, RouteRecord
from presage.local.secrets import Secrets
from presage.local.tokens import TokenIssuer
from presage.local.volumes import Volumes
from presage.manifests.objects import Manifest


class Cluster:
    """One plan's surroundings."""

    def __init__(self, root: Path, plan: Plan, changed: Callable[[], None]) -> None:
        self._root = root
        self._changed = changed
        self.issuer = TokenIssuer.open(root / "keys" / "issuer.key")
        self._secrets = Secrets(root, Authority.open(root / "plane" / "authority"), _no_operator, changed)
        self.volumes = Volumes(root, [], self._secrets.data, self._token)
        self.site = Site(root, self.volumes, changed, self._waits, self._proxy, self._proxy_container)

    def replace(self, plan: Plan) -> Reading:
        """Another plan from now on. Raises PresageError, and goes on with the one before, where it cannot be run."""
        objects = _objects(plan)
        reading = checked(self._root, objects)
        self._secrets.replace(objects)
        self._secrets.tend(vault=False)
        self.volumes.replace(objects)
        return reading

    def tasks(self, running: Callable[[], list[PodRun]]) -> list[Coroutine[Any, Any, None]]:
        """What goes on beside the Pods, each until it is cancelled."""
        return [self._keep_secrets(running)]

    async def direct(self, pods: list[PodRun]) -> None:
        """Make proxies send traffic where `pods` are ready, and nowhere else; returns once they do."""

    def forget(self, pod: Pod) -> None:
        """A Pod is gone for good."""
        self.volumes.discard(pod)

    def routes(self) -> list[RouteRecord]:
        return []

    def client(self) -> ClientRecord | None:
        return None

    def close(self) -> None:
        """Nothing is left open."""

    @staticmethod
    def revisions(plan: Plan) -> dict[tuple[str, str], str]:
        """The revision that each workload should have."""
        return {workload.key: workload.template.revision for workload in read(_objects(plan)).workloads}

    async def _keep_secrets(self, running: Callable[[], list[PodRun]]) -> None:
        while True:
            await asyncio.to_thread(self._secrets.tend)
            for pod in running():
                pod.refresh()
            await asyncio.sleep(1)

    def _token(self, pod: Pod, audience: str, seconds: int) -> str:
        return self.issuer.service_account(pod.namespace, pod.service_account, [audience], seconds, pod.name)

    def _waits(self, pod: Pod) -> str | None:
        return None

    def _proxy(self, pod: Pod, address: PodAddress) -> Invocation:
        raise NotImplementedError

    def _proxy_container(self, pod: Pod) -> Container:
        raise NotImplementedError


def check(root: Path, plan: Plan) -> Reading:
    """What a plan asks for, as far as it can be told before anything starts. Raises PresageError."""
    return checked(root, _objects(plan))


def checked(root: Path, objects: list[Manifest]) -> Reading:
    """The reading of `objects`, with the programs and keys that its Pods name looked at too."""
    reading = read(objects)
    volumes = Volumes(root, objects, _nothing, lambda pod, audience, seconds: "")
    for pod in (*(workload.pod(0) for workload in reading.workloads), *(one.template for one in reading.periodic)):
        check_pod(pod, volumes)
    return reading


def _objects(plan: Plan) -> list[Manifest]:
    return [dict(found) for found in plan.objects]


def _nothing(namespace: str, name: str) -> Mapping[str, bytes] | None:
    return None


def _no_operator(namespace: str, name: str, made_by: str) -> tuple[Mapping[str, bytes], float]:
    raise NotImplementedError
