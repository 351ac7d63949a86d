"""One TLS handshake in memory: does a server that trusts these authorities and lists let this client in, and the client the server?"""

import ssl
import tempfile
from pathlib import Path

from presage.secrets.pki import Certificate


def shake(server: Certificate, client: Certificate, trusted: str, revoked: str = "", name: str | None = None) -> None:
    """Raises ssl.SSLError. trusted, revoked: PEM, of both sides; name: the server's, None: its certificate holds a SPIFFE id alone."""
    with tempfile.TemporaryDirectory() as folder:
        inside, outside = (_context(Path(folder), side, trusted, revoked, purpose) for side, purpose in _sides(server, client))
        outside.check_hostname = name is not None
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [outside.wrap_bio(to_client, to_server, server_hostname=name), inside.wrap_bio(to_server, to_client, server_side=True)]
        for _ in range(6):
            for end in list(ends):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        for end in ends:
            end.do_handshake()


def _sides(server: Certificate, client: Certificate):
    return (server, ssl.PROTOCOL_TLS_SERVER), (client, ssl.PROTOCOL_TLS_CLIENT)


def _context(folder: Path, own: Certificate, trusted: str, revoked: str, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    (folder / "own.pem").write_text(own.certificate + own.private_key)
    context.load_cert_chain(folder / "own.pem")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=trusted)
    if revoked:
        (folder / "revoked.pem").write_text(revoked)
        context.load_verify_locations(cafile=str(folder / "revoked.pem"))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context
