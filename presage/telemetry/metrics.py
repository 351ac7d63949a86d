"""The metrics presage knows: OpenTelemetry names, UCUM units, and what is believable of each.

Counters arrive as rates (a second), histograms as their 95th percentile, state attributes as a name's last part
(`system.network.io.receive`). A metric that is not in the catalogue is carried as it is, with no bounds.

    metric_named("system.cpu.utilization")   the catalogue's entry
    metric_named("asd.m07")                  made by rule: the public data set's unnamed metrics, scaled to 0..1
    metric_named("queue.depth")              unit 1, unbounded
"""

import re

from presage.telemetry.metric import Metric

_HOUR = 60  # samples of a source that reports each minute

_HOST = (
    Metric("system.cpu.utilization", "1", 0, 1, None, _HOUR, "share of CPU time not idle and not waiting for input or output"),
    Metric("system.cpu.utilization.iowait", "1", 0, 1, None, None, "share of CPU time that waits for input or output"),
    Metric("system.memory.utilization", "1", 0, 1, 0.5, _HOUR, "share of memory that is not available to a new process"),
    Metric("system.paging.utilization", "1", 0, 1, 0.5, None, "share of swap space in use"),
    Metric("system.filesystem.utilization", "1", 0, 1, 0.5, None, "share of the fullest watched file system in use"),
    Metric("system.disk.operations", "{operation}/s", 0, 5e6, None, None, "reads and writes, all disks"),
    Metric("system.disk.io", "By/s", 0, 1e11, None, None, "bytes read and written, all disks"),
    Metric("system.network.io.receive", "By/s", 0, 5e10, None, _HOUR, "bytes received, all interfaces but loopback"),
    Metric("system.network.io.transmit", "By/s", 0, 5e10, None, _HOUR, "bytes sent, all interfaces but loopback"),
    Metric("system.network.packet.dropped", "{packet}/s", 0, 1e8, None, None, "packets dropped, both directions"),
    Metric("system.network.connection.count", "{connection}", 0, 1e7, None, None, "internet sockets, every state"),
    Metric("system.process.count", "{process}", 0, 5e6, None, None, "processes, every state"),
)
_SERVICE = (
    Metric("http.server.request.rate", "{request}/s", 0, 1e8, None, _HOUR, "requests answered"),
    Metric("http.server.request.duration.p95", "s", 0, 3600, None, _HOUR, "95th percentile of the time to answer"),
    Metric("http.server.error.ratio", "1", 0, 1, None, None, "share of requests answered with a server error"),
    Metric("http.server.active_requests", "{request}", 0, 1e7, None, None, "requests under way"),
    Metric("http.client.request.duration.p95", "s", 0, 3600, None, None, "95th percentile of the time that dependencies take to answer"),
    Metric("db.client.connection.utilization", "1", 0, 1, None, None, "share of the connection pool in use (connections used / most allowed)"),
    Metric("db.client.connection.pending_requests", "{request}", 0, 1e7, None, None, "requests that wait for a connection of the pool"),
    Metric("httpcheck.tls.cert_remaining", "s", None, 4e9, None, None, "time until the served certificate expires; negative since it did"),
)

CATALOGUE: dict[str, Metric] = {metric.name: metric for metric in (*_HOST, *_SERVICE)}
"""Every metric with a public name, in the order of the simulated fleet's columns."""

HOST_METRICS: tuple[str, ...] = tuple(metric.name for metric in _HOST)
"""The subset that psutil reads on a machine: same names, same units."""

ASD_COLUMNS: tuple[str, ...] = tuple(f"metric_{number:02}" for number in range(1, 20))
"""The public Application Server Dataset withholds its metrics' names: its columns are these and become `asd.m01` … `asd.m19`."""


def asd_name(column: str) -> str:
    """`metric_07` → `asd.m07`."""
    return f"asd.m{column.removeprefix('metric_')}"


def metric_named(name: str, unit: str | None = None) -> Metric:
    """What is known of a metric called `name`. A `unit` other than the catalogue's drops the catalogue's bounds."""
    if re.fullmatch(r"asd\.m(0[1-9]|1[0-9])", name):
        return Metric(name, "1", 0, 1, description="a metric whose name was withheld, scaled to 0..1")
    known = CATALOGUE.get(name)
    if known is not None and unit in (None, known.unit):
        return known
    return Metric(name, unit or "1")
