"""Servers, their technical domains, who depends on whom, and each server's own traits."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from presage.telemetry.schema import ENTITY_SCHEMA
from presage.telemetry.simulator.calendar import HALF_DAY
from presage.telemetry.simulator.randomness import generator

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Role:
    """A kind of server. `tier`: 0 depends on nothing, each higher tier calls lower ones. `share` of the fleet."""

    prefix: str
    domain: str
    system_types: tuple[str, ...]
    tier: int
    share: float
    requests: float  # a second, at full activity
    latency: float  # s, 95th percentile, unloaded
    cpu: float  # share of CPU that full activity takes
    disk: float  # operations a request


STORAGE = Role("nas", "storage", ("object-store",), 0, 0.12, 420, 0.012, 0.30, 1.6)
DATABASE = Role("db", "databases", ("postgres", "legacy-database"), 1, 0.21, 650, 0.018, 0.42, 1.1)
COMPUTE = Role("app", "compute", ("java-service", "python-service"), 2, 0.50, 240, 0.085, 0.46, 0.10)
NETWORK = Role("lb", "network", ("load-balancer",), 3, 0.17, 900, 0.030, 0.33, 0.02)
ROLES = (STORAGE, DATABASE, COMPUTE, NETWORK)


@dataclass(frozen=True)
class Server:
    name: str
    role: Role
    system_type: str
    depends_on: tuple[int, ...]  # indices into Fleet.servers
    group: int  # servers of one group serve the same product: they share traffic


@dataclass(frozen=True)
class Fleet:
    """Servers in the order of their names, and f32[n] traits drawn once for each."""

    seed: int
    servers: tuple[Server, ...]
    traits: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.servers)

    @cached_property
    def names(self) -> list[str]:
        return [server.name for server in self.servers]

    @cached_property
    def tiers(self) -> list[npt.NDArray[np.int64]]:
        """Server indices a tier, callees before callers."""
        return [np.array([i for i, server in enumerate(self.servers) if server.role is role], dtype=np.int64) for role in ROLES]

    @cached_property
    def calls(self) -> Floats:
        """f32[n, n]: row i holds the share of its calls that server i makes to each dependency (rows sum to 1, or 0 without any)."""
        shares = np.zeros((len(self), len(self)), np.float32)
        for i, server in enumerate(self.servers):
            for dependency in server.depends_on:
                shares[i, dependency] = 1 / len(server.depends_on)
        return shares

    @cached_property
    def groups(self) -> npt.NDArray[np.int64]:
        return np.array([server.group for server in self.servers], dtype=np.int64)

    def callers(self, index: int) -> list[int]:
        """Who depends on server `index` directly."""
        return [i for i, server in enumerate(self.servers) if index in server.depends_on]

    def entities(self) -> pl.DataFrame:
        """ENTITY_SCHEMA."""
        rows = [(s.name, s.role.domain, s.system_type, [self.names[i] for i in s.depends_on]) for s in self.servers]
        return pl.DataFrame(rows, schema=ENTITY_SCHEMA, orient="row")


def _counts(total: int) -> dict[Role, int]:
    """How many servers of each role: compute first, so that a small fleet still serves something."""
    counts = {role: int(total * role.share) for role in ROLES}
    for role in (COMPUTE, DATABASE, NETWORK, STORAGE) * total:
        if sum(counts.values()) == total:
            break
        if counts[role] == 0 or all(counts.values()):
            counts[role] += 1
    return counts


def build_fleet(servers: int, seed: int) -> Fleet:
    """The fleet of `servers` servers: the same for the same seed, for ever."""
    counts = _counts(servers)
    rng = generator(seed, "topology")
    groups = max(1, counts[COMPUTE] // 4)
    planned = [(f"{role.prefix}-{number + 1:02}", role, number) for role in ROLES for number in range(counts[role])]
    planned.sort(key=lambda plan: plan[0])
    of_role = {role: [i for i, plan in enumerate(planned) if plan[1] is role] for role in ROLES}

    def pick(candidates: list[int], group: int, most: int) -> tuple[int, ...]:
        if not candidates:
            return ()
        own = [i for i in candidates if planned[i][2] % groups == group] or candidates
        chosen = rng.choice(own, size=min(len(own), most), replace=False)
        return tuple(sorted(int(i) for i in chosen))

    built = []
    for name, role, number in planned:
        group = number % groups
        depends = {
            STORAGE: (),
            DATABASE: pick(of_role[STORAGE], group, 1),
            COMPUTE: (*pick(of_role[DATABASE], group, 2), *pick(of_role[STORAGE], group, 1)),
            NETWORK: pick(of_role[COMPUTE], group, 4),
        }[role]
        built.append(Server(name, role, role.system_types[int(rng.integers(len(role.system_types)))], tuple(sorted(depends)), group))
    return Fleet(seed, tuple(built), _traits(built, seed))


def _traits(servers: list[Server], seed: int) -> dict[str, Floats]:
    """f32[n] each: what makes one server differ from the next."""
    rng, n = generator(seed, "traits"), len(servers)

    def role(field: str) -> Floats:
        return np.array([getattr(server.role, field) for server in servers], np.float32)

    def spread(sigma: float) -> Floats:
        return np.exp(sigma * rng.standard_normal(n)).astype(np.float32)

    def between(low: float, high: float) -> Floats:
        return rng.uniform(low, high, n).astype(np.float32)

    return {
        "requests": role("requests") * spread(0.25),
        "latency": role("latency") * spread(0.2),
        "cpu": role("cpu") * spread(0.12),
        "disk": role("disk") * spread(0.3),
        "idle_cpu": between(0.02, 0.07),
        "memory": between(0.42, 0.68),
        "cache": between(0.02, 0.12),  # memory that fills between nightly restarts
        "swap": between(0.0, 0.06),
        "files": between(0.38, 0.72),
        "logs": between(0.01, 0.07),  # share of the file system that a day's logs take
        "pool": between(0.22, 0.42),  # share of the connection pool at full activity
        "processes": between(140, 320),
        "sockets": between(120, 420),
        "request_bytes": between(900, 5200),
        "phase": between(-60, 60),  # minutes by which its day is shifted
        "weekend": between(0.45, 0.8),  # its activity on Saturday and Sunday
        "night": between(0.22, 0.42),  # its activity at the quietest hour
        "batch_minute": between(30, 330),  # of the day
        "batches": (rng.random(n) < 0.55).astype(np.float32),
        "certificate": np.floor(between(0, HALF_DAY)),  # minute of the half day at which its certificate is renewed
        "rotation": between(0, 180),  # minute of the day at which logs are rotated
    }
