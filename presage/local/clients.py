"""The plane's own client of its gateway: a certificate, a token and whom to trust, as files that this machine's commands read.

    plane/client/tls.crt tls.key ca.crt token
"""

import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from presage.files import write_bytes
from presage.local.mesh.reading import Mesh
from presage.local.record import ClientRecord
from presage.local.tokens import TokenIssuer
from presage.local.vault import CLIENT_ACCOUNT, PlaneVault

_TOKEN = 3600  # seconds
_FILES = ("tls.crt", "tls.key", "ca.crt")


@dataclass
class Clients:
    """Nothing is made where no gateway asks for a certificate."""

    root: Path
    vault: PlaneVault
    issuer: TokenIssuer
    _asked: tuple[str, tuple[str, ...]] | None = None
    _wanted: bool = False
    _renew: float = 0.0
    _token: float = 0.0
    _authorities: bytes = b""

    @property
    def folder(self) -> Path:
        return self.root / "plane" / "client"

    def replace(self, mesh: Mesh) -> None:
        """Other gateways, other token rules from now on."""
        self._wanted = bool(mesh.gateways)
        rules = [rule for found in mesh.tokens for rule in found.rules]
        self._asked = (rules[0].issuer, tuple(rules[0].audiences)) if rules else None
        self._token = 0.0

    def tend(self, authorities: bytes, now: float | None = None) -> None:
        """Renew what has used up half its life, or was issued by another authority than the first of `authorities` (PEM). Raises PresageError."""
        if not self._wanted:
            return
        now = time.time() if now is None else now
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if authorities != self._authorities:
            write_bytes(self.folder / "ca.crt", authorities)
            self._authorities, self._renew = authorities, 0.0
        if now >= self._renew:
            files = self.vault.client_certificate()
            for name in ("tls.key", "tls.crt"):
                write_bytes(self.folder / name, files[name])
            ends = x509.load_pem_x509_certificate(files["tls.crt"]).not_valid_after_utc.timestamp()
            self._renew = now + (ends - now) / 2
        if now >= self._token:
            issuer, audiences = self._asked or ("", ())
            write_bytes(self.folder / "token", self.issuer.issue(issuer, CLIENT_ACCOUNT, audiences, _TOKEN).encode())
            self._token = now + _TOKEN / 2

    def record(self) -> ClientRecord | None:
        """The files, once all are there."""
        if not self._wanted or not all((self.folder / name).exists() for name in (*_FILES, "token")):
            return None
        certificate, key, authority, token = (str(self.folder / name) for name in (*_FILES, "token"))
        return ClientRecord(certificate, key, authority, token)
