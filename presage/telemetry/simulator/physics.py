"""From activity and drives to metrics, along the dependencies.

Latency follows utilization as in a queue; callers wait for those they call; requests under way are rate × latency
(Little's law); what is full fails. An incident therefore shows in several metrics, and in those of its callers.
"""

import numpy as np

from presage.telemetry.metrics import CATALOGUE
from presage.telemetry.simulator.calendar import DAY, Minutes
from presage.telemetry.simulator.drives import Drives
from presage.telemetry.simulator.fleet import Fleet, Floats

Metrics = dict[str, Floats]

SPREAD: dict[str, tuple[float, float, float]] = {
    # metric: relative noise, absolute noise, memory (a minute) of the noise
    "system.cpu.utilization": (0.07, 0.012, 0.85),
    "system.cpu.utilization.iowait": (0.30, 0.004, 0.70),
    "system.memory.utilization": (0.0, 0.012, 0.97),
    "system.paging.utilization": (0.10, 0.004, 0.97),
    "system.filesystem.utilization": (0.0, 0.006, 0.98),
    "system.disk.operations": (0.18, 4.0, 0.60),
    "system.disk.io": (0.22, 4e4, 0.60),
    "system.network.io.receive": (0.10, 2e3, 0.80),
    "system.network.io.transmit": (0.10, 2e3, 0.80),
    "system.network.packet.dropped": (0.50, 0.03, 0.50),
    "system.network.connection.count": (0.05, 4.0, 0.92),
    "system.process.count": (0.015, 1.5, 0.95),
    "http.server.request.rate": (0.06, 0.3, 0.80),
    "http.server.request.duration.p95": (0.11, 0.0008, 0.75),
    "http.server.error.ratio": (0.30, 0.0006, 0.60),
    "http.server.active_requests": (0.15, 0.3, 0.60),
    "http.client.request.duration.p95": (0.11, 0.0005, 0.75),
    "db.client.connection.utilization": (0.05, 0.012, 0.85),
    "db.client.connection.pending_requests": (0.30, 0.02, 0.50),
    "httpcheck.tls.cert_remaining": (0.0, 0.0, 0.0),
}


def _rise(value: Floats, low: float, high: float) -> Floats:
    """0 up to `low`, 1 from `high` on, straight between."""
    share: Floats = np.clip((value - np.float32(low)) * np.float32(1 / (high - low)), np.float32(0), np.float32(1))
    return share


def metrics_of(fleet: Fleet, minutes: Minutes, activity: Floats, drives: Drives, noise: Floats) -> Metrics:
    """f32[n, t] a metric of the catalogue, from `activity` f32[n, t] (0..1.3) and `noise` f32[20, n, t] of unit variance."""
    trait = {name: values[:, None] for name, values in fleet.traits.items()}
    expired = (drives.certificate <= 0).astype(np.float32)
    serving = (1 - drives["restart"]) * (1 - 0.6 * expired)
    load = activity * (1 + drives["traffic"]) * serving
    rate = trait["requests"] * load
    work = load * (1 + 0.35 * drives["defect"]) * (1 + 0.8 * drives["retry"])
    busy = trait["idle_cpu"] + trait["cpu"] * work + 0.30 * drives["batch"] + 0.18 * drives["retry"]
    busy = (busy + 0.12 * drives["steal"]) / (1 - 0.45 * np.minimum(drives["steal"], 1.2))

    local = (np.mod(minutes[None, :] - trait["rotation"], DAY) / DAY).astype(np.float32)
    memory = trait["memory"] + trait["cache"] * local + 0.07 * (activity - 0.5) + 0.05 * drives["batch"] + 0.06 * drives["retry"]
    memory = (memory + drives["leak"] * np.maximum(0.985 - memory, 0)) * (1 - 0.4 * drives["restart"])
    pressure = _rise(memory, 0.90, 0.985)
    files = trait["files"] + trait["logs"] * local + 0.04 * drives["batch"]
    files = files + drives["fill"] * np.maximum(0.995 - files, 0)
    full = _rise(files, 0.95, 0.99)

    waiting = 0.012 + 0.02 * load + 0.09 * drives["batch"] + 0.16 * drives["steal"] + 0.22 * pressure + 0.12 * full
    operations: Floats = trait["disk"] * rate + 30 + 420 * drives["batch"] + 700 * pressure
    operations *= 1 - 0.45 * np.minimum(drives["steal"], 1)

    # What one call takes here, were its dependencies instant: a queue, stretched by what is short or wrong.
    own = trait["latency"] / (1 - 0.85 * np.minimum(busy, 0.97) ** 2)
    own = own * (1 + 1.8 * pressure + 1.2 * full + 1.1 * drives["defect"] + 0.5 * drives["steal"])
    called, pool = _await_dependencies(fleet, own, load, drives)
    pending = 90 * np.maximum(pool - 0.84, 0) * load
    slow = own / trait["latency"]
    errors = 0.0015 + 0.012 * np.maximum(slow - 3, 0) + 0.28 * full + 0.12 * pressure**2
    errors = errors + 0.10 * drives["defect"] ** 2 + 0.05 * drives["retry"] ** 2 + 0.03 * drives["steal"] ** 2
    errors = errors + 0.9 * np.maximum(pool - 0.93, 0) + 0.45 * drives["restart"] + 0.62 * expired
    active = rate * own * 0.6
    answered: Floats = rate * trait["request_bytes"]  # By/s
    clean: Metrics = {
        "system.cpu.utilization": np.minimum(busy, 0.985),
        "system.cpu.utilization.iowait": waiting,
        "system.memory.utilization": memory,
        "system.paging.utilization": trait["swap"] + 0.5 * pressure,
        "system.filesystem.utilization": files,
        "system.disk.operations": operations,
        "system.disk.io": 14e3 * operations + 22e6 * drives["batch"],
        "system.network.io.receive": 4e3 + (0.35 + 0.18 * drives["retry"]) * answered,
        "system.network.io.transmit": 4e3 + answered,
        "system.network.packet.dropped": 0.04 + 9 * np.maximum(busy - 0.88, 0) + 1.5 * drives["retry"] + 0.5 * np.maximum(drives["traffic"] - 0.5, 0),
        "system.network.connection.count": trait["sockets"] * (0.45 + 0.55 * load) + 1.6 * active + 140 * drives["hold"] + 60 * drives["retry"],
        "system.process.count": trait["processes"] * (1 - 0.25 * drives["restart"]) + 14 * drives["batch"] + 0.2 * active,
        "http.server.request.rate": rate,
        "http.server.request.duration.p95": own,
        "http.server.error.ratio": errors,
        "http.server.active_requests": active,
        "http.client.request.duration.p95": called,
        "db.client.connection.utilization": np.minimum(pool, 1.0),
        "db.client.connection.pending_requests": pending,
        "httpcheck.tls.cert_remaining": drives.certificate,
    }
    return {name: _noisy(name, clean[name], noise[position]) for position, name in enumerate(CATALOGUE)}


def _await_dependencies(fleet: Fleet, own: Floats, load: Floats, drives: Drives) -> tuple[Floats, Floats]:
    """Lengthen `own` (s, f32[n, t]) in place by what each server waits for, callees before callers.

    Returns (95th percentile of the dependencies s, share of the connection pool in use), each f32[n, t].
    """
    base, pool_trait = fleet.traits["latency"][:, None], fleet.traits["pool"][:, None]
    called = np.full_like(own, 0.002)
    pool = np.empty_like(own)
    calls = fleet.calls
    for tier in fleet.tiers:
        if not tier.size:
            continue
        shares = calls[tier]
        usual = shares @ base
        wait = shares @ own + 0.002
        slowdown = np.minimum(wait / (usual + 0.002), 6) if shares.any() else np.ones_like(wait)
        held = drives["hold"][tier]
        # Connections are in use while their call lasts; what is held never comes back.
        use = pool_trait[tier] * load[tier] * (0.7 + 0.3 * slowdown)
        use = use + held * np.maximum(1.0 - use, 0) + 0.25 * drives["retry"][tier]
        pool[tier], called[tier] = use, wait
        starved = 5 * np.maximum(np.minimum(use, 1.1) - 0.86, 0)
        own[tier] = own[tier] * (1 + starved) + 0.5 * np.minimum(wait, 2.0)
    return called, pool


def _noisy(name: str, clean: Floats, noise: Floats) -> Floats:
    relative, absolute, _ = SPREAD[name]
    if not relative and not absolute:
        return clean
    metric = CATALOGUE[name]
    value = clean * (1 + np.float32(relative) * noise) if relative else clean + np.float32(absolute) * noise
    if relative and absolute:
        value += np.float32(absolute) * np.abs(noise)
    return np.clip(value, metric.low, metric.high, out=value)
