"""A server at some level of the journal, load from several connections, and what it answered."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2

from benchmarks.replica_process import Replica
from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER, Site

CONNECTIONS = 8


def serving(site: Site, folder: Path, replica: Replica | None = None, ship_seconds: float = 3600) -> ServerProcess:
    """A server that is ready. replica: where the level wants one."""
    more = [] if replica is None else [f"--journal_replica={replica.url}"]
    server = ServerProcess(site, folder, f"--ship_seconds={ship_seconds}", *more)
    server.wait_ready()
    return server


async def ask_until(address: str, enough: int, act: Callable[[list[str]], object], refused: list[int] | None = None) -> list[str]:
    """Ask from eight connections; when `enough` predictions have come, `act` once on what has come so far. Ends when a connection breaks, or
    at a refusal; every prediction id that an answer brought."""
    answered: list[str] = []
    acted = False

    async def one(client: httpx2.AsyncClient) -> None:
        nonlocal acted
        while True:
            try:
                response = await client.post(address + "/predict", json={"servers": [NEWCOMER, NEWCOMER]})
            except httpx2.TransportError:
                return
            if response.status_code != 200:
                if refused is not None:
                    refused.append(response.status_code)
                return
            answered.extend(prediction["prediction_id"] for prediction in response.json()["predictions"])
            if len(answered) >= enough and not acted:
                acted = True
                act(answered)

    async with httpx2.AsyncClient(timeout=30) as client:
        await asyncio.gather(*(one(client) for _ in range(CONNECTIONS)))
    return answered


def kill_pod(server: ServerProcess) -> None:
    """The server and its shipper, at once."""
    children = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=False).stdout.split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    server.process.kill()


def ship_by_hand(server: ServerProcess) -> None:
    """As the operator does, or the next server; waits for a shipper that the dead server left."""
    command = [sys.executable, "-m", "inference.journal.ship", str(server.journal), str(server.prediction_log)]
    subprocess.run(command, check=True, capture_output=True)
