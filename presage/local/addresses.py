"""Each Pod's own loopback addresses: derived from the state directory and the Pod's name, so that planes run side by side.

The outer one stands for the Pod's IP; with a mesh only the Pod's proxy listens there. The inner one stands for 0.0.0.0 and 127.0.0.1.
"""

import errno
import hashlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from presage.errors import PlaneError


@dataclass(frozen=True)
class PodAddress:
    """outer and inner are the same where no proxy stands before the Pod."""

    outer: str
    inner: str


def pod_addresses(state: Path, pod: str, proxied: bool, taken: Iterable[str] = ()) -> PodAddress:
    """Both addresses of the Pod called `pod` (`namespace/name`)."""
    others = set(taken)
    outer = pod_address(state, pod, others)
    return PodAddress(outer, pod_address(state, f"{pod}/inner", {*others, outer}) if proxied else outer)


def pod_address(state: Path, pod: str, taken: Iterable[str] = ()) -> str:
    """An address in 127.64.0.0/10, the same at each start. taken: addresses of the plane's other Pods, which are stepped over."""
    others = set(taken)
    for attempt in range(256):
        digest = hashlib.sha256(f"{state.resolve()}\n{pod}\n{attempt}".encode()).digest()
        address = f"127.{64 + digest[0] % 64}.{digest[1]}.{1 + digest[2] % 254}"
        if address not in others:
            return address
    raise PlaneError(f"no loopback address is left for {pod}. Run fewer Pods in one state directory.")


def require_free(address: str, port: int, owner: str) -> None:
    """Raise PlaneError naming `address:port` where somebody listens there already. owner: the container that wants it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PlaneError(f"{address}:{port}, which {owner} needs, is taken{_holder(address, port)}. Stop that program and try again.") from None
            if error.errno == errno.EADDRNOTAVAIL:
                raise PlaneError(f"{address} is not an address of this system: only Linux answers on all of 127.0.0.0/8. Run the plane there.") from None
            raise PlaneError(f"{address}:{port}, which {owner} needs, cannot be bound: {error.strerror}. Choose a port above 1023.") from None


def _holder(address: str, port: int) -> str:
    """` by NAME (process N)` where the system tells."""
    try:
        listening = [found for found in psutil.net_connections("inet") if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port]
        for found in listening:
            if found.pid and found.laddr.ip in (address, "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
                return f" by {psutil.Process(found.pid).name()} (process {found.pid})"
    except psutil.Error:
        pass
    return ""
