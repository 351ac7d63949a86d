"""Certificates of the plane's proxies: issued by OpenBao, shown to Envoy as files, renewed before they end, revoked ones refused within seconds.

    identities.tend(pods)      issue, renew, refresh trust and revocation lists; blocking: run it in a thread
    identities.there(pod)      whether a Pod's proxy can start
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography import x509

from presage.errors import PresageError
from presage.local.pods import Pod
from presage.local.vault import EDGE, MESH
from presage.local.volumes import swap

_SOON = 0.5  # of a certificate's life: then it is renewed
_LISTS = 5.0  # seconds between looks at revocations and authorities


class Issuer(Protocol):
    """Who signs: presage.local.vault.PlaneVault."""

    def certificate(self, pod: Pod) -> dict[str, bytes]: ...
    def authorities(self, mount: str) -> bytes: ...
    def revocations(self, mount: str) -> bytes: ...


@dataclass
class _Held:
    files: dict[str, bytes]
    renew: float


@dataclass
class Identities:
    """folder: a Pod's own folder on the memory file system, by name."""

    issuer: Issuer
    folder: Callable[[Pod, str], Path]
    _held: dict[str, _Held] = field(default_factory=dict)
    _trust: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    _looked: float = 0.0
    _issuing: bytes = b""

    def there(self, pod: Pod) -> bool:
        return pod.key in self._held or (self.folder(pod, "identity") / "tls.crt").exists()

    def tend(self, pods: Iterable[Pod], now: float | None = None) -> None:
        """Raises PresageError where the issuer cannot be asked; what was issued before stays."""
        now = time.time() if now is None else now
        wanted = [pod for pod in pods if pod.meshed]
        if not wanted:
            return
        if now - self._looked >= _LISTS or not self._trust:
            self._trust = {mount: (self.issuer.authorities(mount), self.issuer.revocations(mount)) for mount in (MESH, EDGE)}
            self._looked = now
            issuing = _first(self._trust[MESH][0])
            if issuing != self._issuing:  # the authority changed: what the old one issued is renewed while both are trusted
                self._issuing = issuing
                for known in self._held.values():
                    known.renew = 0.0
        for pod in wanted:
            held = self._held.get(pod.key)
            if held is None or now >= held.renew:
                files = self.issuer.certificate(pod)
                held = _Held(files, _renewal(files["tls.crt"], now))
                self._held[pod.key] = held
            authorities, lists = self._trust[MESH]
            swap(self.folder(pod, "identity"), {**held.files, "ca.crt": authorities, "crl.pem": lists})

    def trust(self, mount: str) -> tuple[bytes, bytes]:
        """Authorities and revocation lists of a mount, as last seen. Raises PresageError before the first look."""
        if mount not in self._trust:
            raise PresageError(f"the authorities of {mount} are not known yet. OpenBao must answer first.")
        return self._trust[mount]

    def forget(self, pod: Pod) -> None:
        self._held.pop(pod.key, None)


def _first(bundle: bytes) -> bytes:
    return bundle.partition(b"-----END CERTIFICATE-----")[0]


def _renewal(certificate: bytes, now: float) -> float:
    ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()
    return now + max(5.0, (ends - now) * _SOON)
