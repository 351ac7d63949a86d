"""The plane's own certificate authority, for what must speak TLS before OpenBao can issue: OpenBao itself, the object store.

    authority = Authority.open(state.plane / "authority")
    authority.certificate            PEM, public: what programs trust
    authority.issue(["vault.vault.svc"], ["127.70.1.2"])  ->  {"tls.crt": …, "tls.key": …, "ca.crt": …}

A cluster has cert-manager or the like here. The key lies 0600 in the state directory and is trusted nowhere else.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from presage.errors import StateError
from presage.files import write_bytes

_CERTIFICATE, _KEY = "ca.crt", "ca.key"
_LONG, _SHORT = timedelta(days=3650), timedelta(days=30)


@dataclass(frozen=True)
class Authority:
    """A self-signed ECDSA P-256 root."""

    root: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def open(cls, folder: Path) -> "Authority":
        """The authority in `folder`, made on first use. Raises StateError where what lies there is none."""
        if not (folder / _KEY).exists():
            made = _made()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_bytes(folder / _CERTIFICATE, made.certificate)
            write_bytes(folder / _KEY, _private_pem(made.key))
            return made
        try:
            root = x509.load_pem_x509_certificate((folder / _CERTIFICATE).read_bytes())
            key = serialization.load_pem_private_key((folder / _KEY).read_bytes(), None)
        except (OSError, ValueError) as error:
            raise StateError(f"{folder} holds no usable certificate authority ({error}). Remove the folder; the next `presage up` makes a new one.") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise StateError(f"{folder / _KEY} is no ECDSA key. Remove the folder; the next `presage up` makes a new one.")
        return cls(root, key)

    @property
    def certificate(self) -> bytes:
        """PEM."""
        return self.root.public_bytes(serialization.Encoding.PEM)

    def issue(self, names: Sequence[str], addresses: Sequence[str] = ()) -> dict[str, bytes]:
        """A server certificate for DNS `names` and IP `addresses`, as the keys of a kubernetes.io/tls Secret."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.DNSName(name) for name in names] + [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        certificate = (
            _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]), self.root.subject, key, _SHORT)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return {"tls.crt": certificate.public_bytes(serialization.Encoding.PEM), "tls.key": _private_pem(key), "ca.crt": self.certificate}


def _made() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"presage plane {os.urandom(4).hex()}")])
    root = (
        _builder(name, name, key, _LONG)
        .add_extension(x509.BasicConstraints(True, 0), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(root, key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + life)
    )  # fmt: skip


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False, key_cert_sign=True,
        crl_sign=True, encipher_only=False, decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
