"""What a path in a running plane's manifests is on this machine."""

import msgspec

from presage.files import read_json
from presage.local.reading import read
from presage.local.record import Plan, plan_path, read_record
from presage.local.substitution import Substitution
from presage.local.volumes import Volumes
from presage.state import State


def argument(state: State, option: str) -> str | None:
    """The value of a container's `--option=…` with claims' mount paths replaced by their folders; None where nothing runs or none has it."""
    record = read_record(state.plane)
    if record is None or not record.alive:
        return None
    plan = msgspec.convert(read_json(plan_path(state.plane)), Plan)
    volumes = Volumes(state.root, plan.objects, lambda namespace, name: None, lambda pod, audience, seconds: "")
    for workload in read(plan.objects).workloads:
        pod = workload.template
        claims = {volume.name: str(volumes.claim(pod.namespace, volume.claim)) for volume in pod.volumes if volume.claim}
        for container in pod.containers:
            here = Substitution({path: claims[volume] for volume, path, _ in container.mounts if volume in claims}, "127.0.0.1")
            for word in container.args:
                if word.startswith(f"{option}="):
                    return here(word.removeprefix(f"{option}="))
    return None
