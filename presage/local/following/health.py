"""What became of what was applied, in the words of whoever refuses it."""

from collections.abc import Collection
from typing import NamedTuple

from presage.local.pod import HOPELESS
from presage.local.record import PlaneRecord, ProcessRecord

REFUSED = "exit code 1: refused"
"""How a gate ends that does not let a release in: it would not the next time either."""


class Sickness(NamedTuple):
    """refused: by the gate; release: which one; said: `incident-canary-predictor…: exit code 1: refused [digest]: …`."""

    said: str
    refused: bool
    pod: str
    release: str


def sickness(record: PlaneRecord, workloads: Collection[str]) -> Sickness | None:
    """The first of these workloads' containers (`namespace/name`) that does not come up, however often it is started; the gate's refusals first."""
    ours = [one for one in record.processes if f"{one.namespace}/{one.workload}" in workloads and not one.ready and one.ended]
    refused = [one for one in ours if one.initializes and one.ended.startswith(REFUSED)]
    hopeless = [one for one in ours if one.failures >= HOPELESS]
    found = next(iter(refused + hopeless), None)
    return None if found is None else Sickness(f"{found.name}: {found.ended}", found in refused, found.pod, _release(record, found))


def _release(record: PlaneRecord, container: ProcessRecord) -> str:
    """What the Pod was told to load: its first container's record says it."""
    return next((one.release for one in record.processes if (one.namespace, one.pod) == (container.namespace, container.pod) and one.release), "")
