"""Certificates from a PKI mount, their revocation, and the change of the authority behind them without a gap.

    made = issue(client, "pki-mesh", "workload", uri_sans=["spiffe://cluster.local/ns/shop/sa/checkout"], ttl="24h")
    bundle(client, "pki-mesh"), crl(client, "pki-mesh")        what a verifier keeps: every trusted authority, every one's revocations

    new = rotate_issuer(client, "pki-mesh", default=False)     1. both are trusted; give everybody the bundle
    use_issuer(client, "pki-mesh", new)                        2. from now on it issues; renew every certificate
    retire_issuer(client, "pki-mesh")                          3. the old one is trusted no more; give everybody the bundle
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import hvac
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from presage.secrets.answers import names, patch, read, write
from presage.secrets.errors import ConfigurationRefused, SecretMissing

_ISSUING = "issuing-certificates"
_RETIRED = "read-only,crl-signing"  # its list of revoked certificates stays available to who asks for it


@dataclass(frozen=True)
class Certificate:
    """certificate, chain (the authority's own and whatever it is chained with) and private_key: PEM, each ending with a newline."""

    certificate: str
    chain: str
    private_key: str = field(repr=False)
    serial: str
    not_after: datetime


@dataclass(frozen=True)
class Issuer:
    """One authority of a mount. trusted: it may issue, so verifiers keep it. certificate: PEM."""

    id: str
    default: bool
    trusted: bool
    certificate: str
    chain: tuple[str, ...]

    @property
    def parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())


def issue(
    client: hvac.Client, mount: str, role: str, *, uri_sans: Sequence[str] = (), common_name: str = "", alt_names: Sequence[str] = (), ttl: str = ""
) -> Certificate:
    """A new key and its certificate, as far as the role allows. ttl: `24h`; empty: the role's. Raises SecretsError with Vault's reason."""
    wanted: dict[str, Any] = {"format": "pem", "private_key_format": "pkcs8"}
    wanted |= {"uri_sans": ",".join(uri_sans)} if uri_sans else {}
    wanted |= {"common_name": common_name} if common_name else {}
    wanted |= {"alt_names": ",".join(alt_names)} if alt_names else {}
    wanted |= {"ttl": ttl} if ttl else {}
    made = write(client, f"{mount}/issue/{role}", wanted)
    chain = made.get("ca_chain") or [made["issuing_ca"]]
    expires = datetime.fromtimestamp(int(made["expiration"]), UTC)
    return Certificate(_line(made["certificate"]), "".join(map(_line, chain)), _line(made["private_key"]), str(made["serial_number"]), expires)


def revoke(client: hvac.Client, mount: str, serial: str) -> None:
    """Revoke one certificate, and have the list of revoked ones made anew at once. serial: as Vault writes it, `1e:3e:…`."""
    write(client, f"{mount}/revoke", {"serial_number": serial})
    rebuild_crl(client, mount)


def rebuild_crl(client: hvac.Client, mount: str) -> None:
    """Vault rebuilds by itself before a list expires, not when something is revoked."""
    read(client, f"{mount}/crl/rotate")


def issuers(client: hvac.Client, mount: str) -> list[Issuer]:
    """The default first, then by age, the newest first. Raises SecretMissing where the mount has none."""
    found = []
    default = str(read(client, f"{mount}/config/issuers").get("default", ""))
    for name in names(client, f"{mount}/issuers"):
        one = read(client, f"{mount}/issuer/{name}")
        trusted = _ISSUING in str(one.get("usage", "")).split(",")
        found.append(Issuer(name, name == default, trusted, _line(one["certificate"]), tuple(one.get("manual_chain") or ())))
    if not found:
        raise SecretMissing(f"{mount} has no authority, so it can issue nothing. `presage vault apply --confirm` makes one.")
    return sorted(found, key=lambda issuer: (not issuer.default, -issuer.parsed.not_valid_before_utc.timestamp(), issuer.id))


def bundle(client: hvac.Client, mount: str) -> str:
    """PEM of every trusted authority, the one that issues now first."""
    return "".join(issuer.certificate for issuer in issuers(client, mount) if issuer.trusted)


def crl(client: hvac.Client, mount: str) -> str:
    """PEM of every trusted authority's list of revoked certificates, in the bundle's order."""
    lists = (read(client, f"{mount}/issuer/{issuer.id}/crl") for issuer in issuers(client, mount) if issuer.trusted)
    return "".join(_line(found["crl"]) for found in lists)


def new_issuer(client: hvac.Client, mount: str, *, ttl: str, key_type: str = "ec", key_bits: int = 256) -> str:
    """A self-signed authority whose key never leaves Vault; its id. Names differ, so that no verifier mistakes one's revocations for another's."""
    wanted = {
        "common_name": f"{mount} {secrets.token_hex(4)}", "organization": "presage", "exclude_cn_from_sans": True, "max_path_length": 0,
        "ttl": ttl, "key_type": key_type, "key_bits": key_bits,
    }  # fmt: skip
    return str(write(client, f"{mount}/root/generate/internal", wanted)["issuer_id"])


def rotate_issuer(client: hvac.Client, mount: str, *, default: bool = True) -> str:
    """A new authority like the present one; both are in the bundle. Its id. default: whether it issues from now on.

    Verifiers that do not have the new bundle yet refuse what it issues: see the order at this module's top.
    """
    present = issuers(client, mount)[0]
    life = present.parsed.not_valid_after_utc - present.parsed.not_valid_before_utc
    key_type, key_bits = _key(present)
    new = new_issuer(client, mount, ttl=f"{int(life.total_seconds())}s", key_type=key_type, key_bits=key_bits)
    _chain(client, mount)
    if default:
        use_issuer(client, mount, new)
    return new


def use_issuer(client: hvac.Client, mount: str, issuer: str) -> None:
    """Issue with this authority from now on."""
    write(client, f"{mount}/config/issuers", {"default": issuer, "default_follows_latest_issuer": False})
    rebuild_crl(client, mount)


def retire_issuer(client: hvac.Client, mount: str, issuer: str | None = None) -> list[str]:
    """Trust no more in `issuer`, or in all but the one that issues now. The ids retired.

    The key stays in Vault, able to sign its list of revocations and nothing else. Raises ConfigurationRefused for the one that issues now.
    """
    retired = []
    for found in issuers(client, mount):
        if found.default and found.id == issuer:
            raise ConfigurationRefused(f"{mount}: issuer {issuer} is the one that issues now. Make another one the default first (use_issuer).")
        if not found.default and found.trusted and issuer in (None, found.id):
            patch(client, f"{mount}/issuer/{found.id}", {"usage": _RETIRED})
            retired.append(found.id)
    _chain(client, mount)
    return retired


def _chain(client: hvac.Client, mount: str) -> None:
    """Each trusted authority is chained with all others, so that `ca_chain`, which the secrets operator writes, is the bundle."""
    trusted = [found for found in issuers(client, mount) if found.trusted]
    for found in trusted:
        chain = [found.id, *(other.id for other in trusted if other.id != found.id)]
        if list(found.chain) != chain:
            patch(client, f"{mount}/issuer/{found.id}", {"manual_chain": chain})


def _key(issuer: Issuer) -> tuple[str, int]:
    key = issuer.parsed.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ec", key.curve.key_size
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa", key.key_size
    raise ConfigurationRefused(f"issuer {issuer.id} has a key of a type that is not made here ({type(key).__name__}). Make its successor by hand.")


def _line(pem: str) -> str:
    return pem.strip() + "\n"
