"""TLS in the server itself, for where no sidecar stands before it (the edge, one process on a machine).

    tls = ServerTls(certificate, key, client_ca)
    tls.context        # for the door
    await tls.follow() # certificates that were renewed are taken, new handshakes have them; connections stay

TLS 1.3; where `client_ca` is given, whoever shows no certificate of it gets no connection.
"""

import asyncio
import ssl
from pathlib import Path

from presage.errors import InputError
from presage.logs import get_logger

_log = get_logger("presage.server")


class ServerTls:
    """Raises InputError where the files are no certificate, key and authority."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        self._files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.set_alpn_protocols(["http/1.1"])
        self._stamp = self._look()
        self._load()
        if client_ca is not None:
            try:
                self.context.load_verify_locations(client_ca)
            except (OSError, ssl.SSLError) as error:
                raise InputError(f"{client_ca}: no certificate authority ({error}). Name a PEM file with --tls_client_ca.") from None
            self.context.verify_mode = ssl.CERT_REQUIRED

    async def follow(self, every: float = 5.0) -> None:
        """Until cancelled. What cannot be used is said in the log, and what holds goes on holding."""
        while True:
            await asyncio.sleep(every)
            stamp = self._look()
            if stamp == self._stamp:
                continue
            self._stamp = stamp
            try:
                self._load()
            except InputError as error:
                _log.error("certificate not taken, the old one holds", reason=error.message)
            else:
                _log.info("certificate taken", file=str(self._files[0]))

    def _load(self) -> None:
        certificate, key = self._files
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)  # half a renewal must not spoil what holds
            self.context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            remedy = "Name both PEM files with --tls_certificate and --tls_key."
            raise InputError(f"{certificate}: no certificate with the key of {key} ({error}). {remedy}") from None

    def _look(self) -> tuple[tuple[int, int], ...]:
        found = []
        for file in self._files:
            try:
                status = file.stat()
            except OSError:
                return ()
            found.append((status.st_ino, status.st_mtime_ns))
        return tuple(found)
