"""Certificate authorities of the tests: SPIFFE identities, servers, revocations, as files that an Envoy reads."""

import datetime
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from presage.files import write_bytes

HOUR = datetime.timedelta(hours=1)


@dataclass
class Identity:
    """A key and its certificate, PEM; `crt` and `key` are files of both for clients."""

    certificate: bytes
    key: bytes
    serial: int

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / "tls.key", self.key)
        write_bytes(folder / "tls.crt", self.certificate)
        return folder


@dataclass
class Authority:
    """A root that issues and revokes."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    revoked: list[int] = field(default_factory=list)

    def __post_init__(self):
        subject = self.subject
        self.root = (
            _builder(subject, subject, self.key, _now() - HOUR, _now() + 24 * HOUR)
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def subject(self):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    @property
    def certificate(self) -> bytes:
        return self.root.public_bytes(serialization.Encoding.PEM)

    def issue(self, *, uri: str = "", dns: str = "", address: str = "", expired: bool = False) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)] if uri else []
        names += [x509.DNSName(dns)] if dns else []
        names += [x509.IPAddress(ipaddress.ip_address(address))] if address else []
        since, until = (_now() - 3 * HOUR, _now() - HOUR) if expired else (_now() - HOUR, _now() + 12 * HOUR)
        certificate = (
            _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]), self.subject, key, since, until)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Identity(certificate.public_bytes(serialization.Encoding.PEM), private, certificate.serial_number)

    def revoke(self, identity: Identity) -> None:
        self.revoked.append(identity.serial)

    @property
    def revocations(self) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.subject).last_update(_now() - HOUR).next_update(_now() + 24 * HOUR)
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_now() - HOUR).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write_trust(folder: Path, *authorities: Authority) -> None:
    """ca.crt and crl.pem of all authorities together."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "crl.pem", b"".join(authority.revocations for authority in authorities))
    write_bytes(folder / "ca.crt", b"".join(authority.certificate for authority in authorities))


def _builder(subject, issuer, key, since, until):
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(since).not_valid_after(until)
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
