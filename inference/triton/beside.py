"""The Triton beside the path, as its program holds it: members to ask, readiness to wait for, metrics to show.

    triton = Beside.of(release, "127.0.0.1:9000", "127.0.0.1:8002")
    release = ready_release(verified, remote=triton.members)
    async with triton.followed():
        await triton.until_ready()
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic

from inference.path.remote import TritonModel, TritonServer, remote_members
from inference.triton.metrics import TritonMetrics
from presage.package.release import Release


@dataclass(frozen=True)
class Beside:
    """members: by id, those that it runs. metrics: None where nobody reads its own."""

    server: TritonServer
    members: dict[str, TritonModel]
    metrics: TritonMetrics | None

    @classmethod
    def of(cls, release: Release, address: str, metrics: str | None) -> "Beside":
        """address, metrics: host:port of its gRPC and of its metrics."""
        server = TritonServer(address)
        return cls(server, remote_members(release, server), None if metrics is None else TritonMetrics(metrics, monotonic))

    async def until_ready(self) -> None:
        """Until all that it runs for this release is loaded. How it fares later is the breakers' matter."""
        await self.server.until_ready(self.members.values())

    def exposition(self) -> bytes:
        """Its own series, as they were a moment ago."""
        return b"" if self.metrics is None else self.metrics.exposition()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Its metrics are fetched while the block runs; afterwards the channel is closed."""
        following = None if self.metrics is None else asyncio.create_task(self.metrics.follow())
        try:
            yield
        finally:
            if following is not None:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following
            await self.server.close()
