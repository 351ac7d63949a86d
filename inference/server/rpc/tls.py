"""TLS of the gRPC door, for where no sidecar stands before it; certificates that were renewed are taken by the next handshake."""

from pathlib import Path
from typing import Any

import grpc

from presage.errors import InputError
from presage.logs import get_logger

_log = get_logger("presage.server")


def credentials(certificate: Path, key: Path, client_ca: Path | None) -> Any:
    """For one `add_secure_port`: gRPC asks each whether there is something new. Where `client_ca` is given, whoever shows no certificate of it
    gets no connection. Raises InputError."""
    holding = _read(certificate, key, client_ca)

    def newest() -> Any:
        """gRPC calls it at each handshake, on a thread of its own."""
        nonlocal holding
        try:
            found = _read(certificate, key, client_ca)
        except InputError as error:
            _log.error("certificate not taken, the old one holds", reason=error.message)
            return None
        if found == holding:
            return None  # what holds goes on holding
        holding = found
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(_configuration(holding), newest, require_client_authentication=client_ca is not None)


Pems = tuple[bytes, bytes, bytes | None]


def _configuration(pems: Pems) -> Any:
    certificate, key, client_ca = pems
    return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=client_ca)


def _read(certificate: Path, key: Path, client_ca: Path | None) -> Pems:
    try:
        return certificate.read_bytes(), key.read_bytes(), None if client_ca is None else client_ca.read_bytes()
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}). Name PEM files with --tls_certificate, --tls_key, --tls_client_ca.") from None
