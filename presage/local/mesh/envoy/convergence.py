"""Bringing a running Envoy from what it does to what it shall do."""

import asyncio
import time
from pathlib import Path

from presage.local.mesh.envoy.admin import Admin
from presage.local.mesh.envoy.documents import Config, EnvoyFiles
from presage.local.mesh.envoy.folder import read, remove_others, write, write_documents
from presage.local.mesh.envoy.stages import stages
from presage.local.mesh.envoy.watch import PERIOD, Watch


async def converge(folder: Path, files: EnvoyFiles, patience: float = 10.0) -> None:
    """Bring the Envoy that runs in `folder` to `files`, step by step, each live before the next; returns when all is.

    Where it does not accept a step, or has not after `patience` seconds, everything is put back as it was, and PlaneError carries the
    Envoy's own words. One that does not run yet is waited for, and finds the documents at its start. What an Envoy is told only at its
    start (`needs_restart`) is not changed here.
    """
    before = read(folder)
    if before is None or not await _answers(folder):
        write(folder, files)
        await taken(folder, files, patience)
        return
    old = dict(before.discovery())
    now = dict(old)
    undo: dict[str, Config] = {}
    try:
        for stage in stages(before, files):
            undo |= {path: old[path] for path in stage.documents if path in old}
            watch = await Watch.begin(folder)
            write_documents(folder, stage.documents)
            # All that lie there now, not those of the stage alone: a new listener is the first to ask for its routes and certificates.
            now |= stage.documents
            await watch.until_live(now, stage.what, patience)
    except BaseException:
        write_documents(folder, dict(reversed(undo.items())))
        remove_others(folder, old)
        raise
    remove_others(folder, dict(files.discovery()))


async def taken(folder: Path, files: EnvoyFiles, patience: float = 10.0) -> None:
    """Wait until the Envoy in `folder`, which may be starting, does all that `files` say. Raises PlaneError, with its words where it refused some."""
    await Watch.from_start(folder).until_live(dict(files.discovery()), "documents", patience, listeners=len(files.listeners))


def needs_restart(folder: Path, files: EnvoyFiles) -> bool:
    """Whether what an Envoy is told only at its start differs from what lies in `folder`."""
    before = read(folder)
    return before is None or before.bootstrap != files.bootstrap


async def drain(folder: Path, patience: float) -> bool:
    """Have an Envoy take leave of its callers: a Pod that no Service sends to any more, before its programs are stopped.

    True once no connection to its Pod is left; False if some were after `patience` seconds. Raises OSError where no Envoy answers.
    """
    until = time.monotonic() + patience
    async with Admin(folder) as admin:
        await admin.post("/drain_listeners?inboundonly&graceful&skip_exit")
        while any((await admin.stats(r"^http\.(inbound|gateway)_.*downstream_cx_active$")).values()):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(PERIOD)
    return True


async def serials(folder: Path) -> frozenset[int]:
    """Serial numbers of the certificates that the Envoy shows and trusts by now: how a rotation is known to have been taken."""
    async with Admin(folder) as admin:
        return await admin.serials()


async def reopen_logs(folder: Path) -> None:
    """Have an Envoy open its logs anew, once they were renamed."""
    async with Admin(folder) as admin:
        await admin.post("/reopen_logs")


async def _answers(folder: Path) -> bool:
    try:
        await Watch.begin(folder)
    except OSError:
        return False
    return True
