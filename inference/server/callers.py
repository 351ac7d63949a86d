"""Who may ask, from the flags: limits, revoked certificates, and what goes on beside the requests to keep both as their files and the Redis say.

    callers = Callers.open(flags)
    Service(…, clients=callers.clients)
    tasks = [asyncio.create_task(task()) for task in callers.tasks]
"""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from inference.clients.buckets import Clients
from inference.clients.certificates import caller, certificate
from inference.clients.limits import ClientLimits, Limit, LimitsFile, follow
from inference.clients.revocations import Following, RevocationsFile
from inference.clients.shared import SharedLimits
from inference.server.flags import ServerFlags
from inference.server.service import PROBES
from presage.logs import get_logger
from presage.redis import RedisPlace

_log = get_logger("presage.server")
_UNLIMITED = ClientLimits("presage.client-limits/v1", {}, Limit(1e9, 1_000_000_000))
Task = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Callers:
    """clients: None where nobody counts and nobody is refused. shared: None where each replica counts for itself. tasks: each goes on until it
    is cancelled."""

    clients: Clients | None = None
    shared: SharedLimits | None = None
    tasks: tuple[Task, ...] = field(default=())

    @classmethod
    def open(cls, flags: ServerFlags) -> "Callers":
        """Raises InputError where a file cannot be used."""
        if flags.client_limits is None and flags.client_revocations is None:
            if flags.client_identity != "none":
                _log.warning("callers are told apart and not limited: --client_limits is not set")
            return cls()
        known = flags.client_identity == "xfcc"
        if not known:
            _log.warning("all callers count as one: --client_identity is not set")
        file = None if flags.client_limits is None else LimitsFile(flags.client_limits)
        clients = Clients(
            _UNLIMITED if file is None else file.read(), time.perf_counter, identify=partial(caller, gateway=flags.gateway_identity) if known else None,
            certificate=partial(certificate, gateway=flags.gateway_identity), probes=PROBES,
        )  # fmt: skip
        tasks: list[Task] = []
        if file is not None:
            tasks.append(partial(follow, file, clients.replace))
        if flags.client_revocations is not None:
            tasks.append(Following(RevocationsFile(flags.client_revocations), clients.revoke, time.time).run)
        shared = None
        if flags.limits_store is not None:
            shared = SharedLimits(clients, RedisPlace.parse(flags.limits_store), time.perf_counter)
            tasks.append(shared.run)
        return cls(clients, shared, tuple(tasks))

    def is_shared(self) -> float:
        """1 where limits are counted with the other replicas just now, else 0."""
        return float(self.shared is not None and self.shared.shared)
