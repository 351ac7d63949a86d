"""Certificates of clients outside: new ones beside the old ones, and the list of those that are refused before they end.

    made = issue_for(client, "spiffe://cluster.local/ns/clients/sa/operators", lives=timedelta(days=30))
    end(client, [old], at=now + 3600, because="rotated")      both are good for an hour, then the old one is refused
    end(client, [lost], at=now, because="laptop stolen")      refused within seconds, on connections that are open, too

The list lies in Vault (kv), where predictors' Secrets come from; each request is compared with it (inference.clients.revocations). A certificate
that is refused at once is revoked at its authority as well, so that the gateway opens no new connection for it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import hvac
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from presage.errors import InputError
from presage.secrets.answers import find, names, read, write
from presage.secrets.errors import ConfigurationRefused, SecretMissing
from presage.secrets.pki import Certificate, issue, rebuild_crl

MOUNT, ROLE = "pki-edge", "client"
LIST, KEY = "kv/data/presage/clients/revocations", "revocations.json"
"""Where the list lies, and the one field of that secret."""
SCHEMA = "presage.client-revocations/v1"
_ATTEMPTS = 5  # of writing it, where others write it as well
_SKEW = 300.0  # seconds that a verifier's clock may be behind: so long a line stays after its certificate's end


@dataclass(frozen=True)
class Ended:
    """One line of the list. sha256: of the certificate (DER). since: Unix seconds from which it is refused; until: when it ends by itself."""

    sha256: str
    since: float
    until: float
    client: str
    because: str

    def as_document(self) -> dict[str, object]:
        return {"sha256": self.sha256, "from": self.since, "until": self.until, "client": self.client, "because": self.because}


def issue_for(client: hvac.Client, spiffe_id: str, lives: timedelta) -> Certificate:
    """A new key and certificate; those that the client has already stay good. Raises SecretsError."""
    return issue(client, MOUNT, ROLE, uri_sans=[spiffe_id], ttl=f"{round(lives.total_seconds())}s")


def end(client: hvac.Client, certificates: Sequence[x509.Certificate], *, at: float, because: str, now: float) -> list[Ended]:
    """Refuse these certificates from `at` on (Unix seconds; not after `now`: at once, and revoke them at their authority). The lines as they are
    in the list now; one that was to end sooner still does. Raises SecretsError."""
    asked = [Ended(fingerprint(found), at, found.not_valid_after_utc.timestamp(), identity(found), because) for found in certificates]
    lines = _change(client, asked, now)
    if at <= now:
        for found in certificates:
            write(client, f"{MOUNT}/revoke", {"serial_number": serial(found)})
        rebuild_crl(client, MOUNT)
    wanted = {line.sha256 for line in asked}
    return [line for line in lines if line.sha256 in wanted]


def ended(client: hvac.Client) -> list[Ended]:
    """The list; empty where none was written yet. Raises SecretsError."""
    return _read(client)[0]


def begin(client: hvac.Client, now: float) -> None:
    """Write an empty list where there is none, so that Pods have a file to look at."""
    if find(client, LIST) is None:
        _change(client, [], now)


def certificates_of(client: hvac.Client, spiffe_id: str, now: float) -> list[x509.Certificate]:
    """Every certificate of a client that its authority issued and that has not ended. Raises SecretsError, SecretMissing where there is none."""
    issued = (by_serial(client, name) for name in names(client, f"{MOUNT}/certs"))
    found = [one for one in issued if identity(one) == spiffe_id and one.not_valid_after_utc.timestamp() > now]
    if not found:
        raise SecretMissing(f"{MOUNT} has issued no certificate of {spiffe_id} that is still good. Nothing is to be revoked.")
    return found


def by_serial(client: hvac.Client, number: str) -> x509.Certificate:
    """number: as Vault or openssl writes it (`1e:3e:…`)."""
    return x509.load_pem_x509_certificate(read(client, f"{MOUNT}/cert/{number}")["certificate"].encode())


def parse_certificate(content: bytes, place: str) -> x509.Certificate:
    """The first certificate of a PEM file; place: for the sentence. Raises InputError."""
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError:
        raise InputError(f"{place}: no certificate in PEM. Name the client's tls.crt.") from None


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def serial(certificate: x509.Certificate) -> str:
    """As Vault writes it."""
    number = certificate.serial_number
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big").hex(":")


def identity(certificate: x509.Certificate) -> str:
    """Its SPIFFE id, "" where it has none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    return next((name for name in names.get_values_for_type(x509.UniformResourceIdentifier) if name.startswith("spiffe://")), "")


def document(lines: Sequence[Ended]) -> str:
    """The list as predictors read it."""
    return json.dumps({"schema": SCHEMA, "certificates": [line.as_document() for line in lines]}, indent=1)


def _change(client: hvac.Client, asked: Sequence[Ended], now: float) -> list[Ended]:
    """Add lines, drop those whose certificates have ended; nobody else's change is lost."""
    for _ in range(_ATTEMPTS):
        before, version = _read(client)
        lines = {line.sha256: line for line in before if line.until + _SKEW > now}
        for line in asked:
            known = lines.get(line.sha256)
            if known is None or line.since < known.since:
                lines[line.sha256] = line
        kept = sorted(lines.values(), key=lambda line: (line.since, line.sha256))
        try:
            write(client, LIST, {"options": {"cas": version}, "data": {KEY: document(kept)}})
        except ConfigurationRefused as error:
            if "check-and-set" not in error.message:
                raise
            continue
        return kept
    raise ConfigurationRefused(f"{LIST} was changed by others {_ATTEMPTS} times while it was being written. Try again.")


def _read(client: hvac.Client) -> tuple[list[Ended], int]:
    """The lines, and the version of the secret that the next one follows."""
    try:
        found: dict[str, Any] = read(client, LIST)
    except SecretMissing:
        return [], 0
    try:
        lines = json.loads(found["data"][KEY])["certificates"]
        return [Ended(line["sha256"], line["from"], line["until"], line["client"], line["because"]) for line in lines], int(found["metadata"]["version"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationRefused(f"{LIST} holds no list of revoked certificates ({error}). Read an older version of it from Vault and write that.") from None
