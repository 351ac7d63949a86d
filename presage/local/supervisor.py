"""The process that owns a plane: `python -m presage.local.supervisor --state FOLDER [--attached PID]`.

It runs the Pods of `plane/plan.json` until SIGTERM, keeps `plane/plane.json` true, and leaves nothing running: its children get
SIGKILL from the kernel should it die itself. One supervisor a state directory: a lock on `plane/supervisor.lock` says so.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from presage.errors import PlaneError, PresageError, StateError
from presage.local.addresses import pod_address, require_free
from presage.local.children import end_marked, end_with_parent
from presage.local.holds import held
from presage.local.pod import PodRun
from presage.local.reading import read_pods
from presage.local.record import Plan, PlaneRecord, digest_of, read_plan, record_path, supervisor_lock, this_process, write_record
from presage.local.volumes import Volumes


class Supervisor:
    """The Pods of one plan, running."""

    def __init__(self, root: Path, plan: Plan) -> None:
        self._plane = root / "plane"
        self._dirty = asyncio.Event()
        self._ended = asyncio.Event()
        reading = read_pods(plan.objects)
        self._volumes = Volumes(root, plan.objects)
        addresses = addresses_of(root, [pod.name for pod in reading.pods])
        for pod in reading.pods:
            for container in pod.containers:
                for _, port in container.ports:
                    require_free(addresses[pod.name], port, f"container {container.name} of Pod {pod.name}")
        self._pods = [PodRun(pod, addresses[pod.name], self._volumes, root, self._dirty.set) for pod in reading.pods]
        process, created = this_process()
        self.record = PlaneRecord(
            plan.overlay, process, created, "running", plan.bindings, plan.overrides, reading.not_honoured, digest_of(plan),
            [record for pod in self._pods for record in pod.records],
        )

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then every Pod is stopped with its grace, its emptyDirs go, and so does the record."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        write_record(self._plane, self.record)
        writer = asyncio.create_task(self._keep_record())
        running = [asyncio.create_task(pod.run()) for pod in self._pods]
        try:
            await self._until_ended(running)
        finally:
            self.record.phase = "stopping"
            self._dirty.set()
            for pod in self._pods:
                pod.stop()
            await asyncio.gather(*running, return_exceptions=True)
            writer.cancel()
            for pod in self._pods:
                self._volumes.discard(pod.pod)
            record_path(self._plane).unlink(missing_ok=True)

    async def _until_ended(self, running: list["asyncio.Task[None]"]) -> None:
        ended = asyncio.create_task(self._ended.wait())
        done, _ = await asyncio.wait({ended, *running}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        for task in done - {ended}:
            task.result()  # a Pod's task ends only by a fault of ours: let it be seen

    async def _keep_record(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                write_record(self._plane, self.record)
                await asyncio.sleep(0.05)  # one write for what changes together
            except StateError:  # a full disk: the Pods run on, the record follows once there is room
                self._dirty.set()
                await asyncio.sleep(1)


def addresses_of(root: Path, pods: list[str]) -> dict[str, str]:
    """Each Pod's address, none twice."""
    found: dict[str, str] = {}
    for pod in pods:
        found[pod] = pod_address(root, pod, found.values())
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the plane of one state directory; 1 with a sentence on stderr where it cannot."""
    parser = argparse.ArgumentParser(prog="presage.local.supervisor")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--attached", type=int, help="stop when this process, which started it, ends")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    if options.attached is not None:
        end_with_parent(signal.SIGTERM, options.attached)
    root: Path = options.state.absolute()
    try:
        with held(supervisor_lock(root / "plane"), f"another supervisor runs in {root}. `presage --state {root} down` stops it."):
            end_marked(root)
            plan = read_plan(root / "plane")
            if plan is None:
                raise PlaneError(f"{root} holds no plan to run. Use `presage up`.")
            asyncio.run(_run(root, plan))
    except PresageError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


async def _run(root: Path, plan: Plan) -> None:
    await Supervisor(root, plan).run()


if __name__ == "__main__":
    sys.exit(main())
