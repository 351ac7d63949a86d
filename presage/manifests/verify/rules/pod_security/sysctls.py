"""A Pod sets only sysctls that are safe for its neighbours."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod

_SAFE = frozenset({
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
})  # fmt: skip


@rule("pod-security/sysctls", severity=Severity.error, remedy="remove it")
def sysctls(pod: Pod) -> Iterator[Flaw]:
    for position, one in enumerate((pod.spec.get("securityContext") or {}).get("sysctls") or []):
        if one.get("name") not in _SAFE:
            yield pod.flaw(f"spec.securityContext.sysctls[{position}].name", f"is {one.get('name')!r}")
