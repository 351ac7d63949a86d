"""What manifests/vault says, as types: engines, keys, authorities, logins, policies.

    wanted = read_configuration(Path("manifests/vault"))

    configuration.yaml           audit devices, mounts, auth method: by hand
    policies/<name>.hcl          rights that several accounts share: by hand
    generated/roles.yaml         who may log in: compiled from policies/access.yaml
    generated/policies/*.hcl     what each account may read: likewise

An unknown field is an error, as is a role with a policy that no file holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter

from presage.documents import parse_as
from presage.durations import parse_duration
from presage.errors import InputError
from presage.files import read_text
from presage.secrets.errors import ConfigurationRefused

DOMAIN = "$(DOMAIN)"
_Parsed = TypeVar("_Parsed")

MountPath = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$")]


def _duration(value: object) -> object:
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except InputError as error:
        raise ValueError(error.message) from None  # so that pydantic adds the key


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AuditDevice(_Document):
    """Where requests are recorded."""

    path: MountPath
    type: Literal["file"]
    options: Mapping[str, str]


class KvMount(_Document):
    """Secrets with versions (kv version 2)."""

    type: Literal["kv"]
    path: MountPath
    description: str
    max_versions: int = Field(gt=0)


class TransitKey(_Document):
    """A key that encrypts and never leaves."""

    name: Name
    type: Literal["aes256-gcm96", "chacha20-poly1305"]
    auto_rotate_period: Duration


class TransitMount(_Document):
    type: Literal["transit"]
    path: MountPath
    description: str
    keys: tuple[TransitKey, ...]


class Authority(_Document):
    """Of whom a PKI mount issues: made once, changed by rotation (presage.secrets.pki)."""

    key_type: Literal["ec", "rsa"]
    key_bits: int
    ttl: Duration


class Crl(_Document):
    """How long a list of revoked certificates is good, and how long before its end Vault makes the next."""

    expiry: Duration
    auto_rebuild_grace_period: Duration


class PkiRole(_Document):
    """What one role issues. Whatever is not written here is refused by it."""

    name: Name
    ttl: Duration
    max_ttl: Duration
    allowed_domains: tuple[str, ...] = ()
    allow_subdomains: bool = False
    allow_wildcard_certificates: bool = False
    allowed_uri_sans: tuple[str, ...] = ()
    require_cn: bool = True
    server_flag: bool = False
    client_flag: bool = False
    key_type: Literal["ec", "rsa"] = "ec"
    key_bits: int = 256


class PkiMount(_Document):
    type: Literal["pki"]
    path: MountPath
    description: str
    max_lease_ttl: Duration
    authority: Authority
    crl: Crl
    roles: tuple[PkiRole, ...]


class AuthMount(_Document):
    """How service accounts log in. Which keys sign their tokens is given with the command (presage.secrets.trust)."""

    path: MountPath
    type: Literal["jwt"]
    description: str
    default_lease_ttl: Duration
    max_lease_ttl: Duration
    jwt_supported_algs: tuple[Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"], ...] = Field(min_length=1)
    clock_skew_leeway: Duration


Mount = Annotated[KvMount | TransitMount | PkiMount, Field(discriminator="type")]


class Engines(_Document):
    """configuration.yaml."""

    audit: tuple[AuditDevice, ...] = ()
    mounts: tuple[Mount, ...]
    auth: tuple[AuthMount, ...] = Field(min_length=1, max_length=1)


class ServiceAccount(_Document):
    namespace: Name
    name: Name


class LoginRole(_Document):
    """Who may log in, with which audience, to which policies, for how long."""

    name: Name
    bound_service_account: ServiceAccount
    audience: str = Field(min_length=1)
    policies: tuple[Name, ...]
    ttl: Duration

    @property
    def subject(self) -> str:
        return f"system:serviceaccount:{self.bound_service_account.namespace}:{self.bound_service_account.name}"


@dataclass(frozen=True)
class Configuration:
    """The whole folder. policies: name → HCL."""

    engines: Engines
    roles: tuple[LoginRole, ...]
    policies: Mapping[str, str]

    @property
    def auth(self) -> AuthMount:
        return self.engines.auth[0]

    @property
    def needs_domain(self) -> bool:
        """Whether some role issues names of the environment's domain."""
        return any(DOMAIN in domain for mount in self.engines.mounts if isinstance(mount, PkiMount) for role in mount.roles for domain in role.allowed_domains)


def read_configuration(folder: Path) -> Configuration:
    """Raises ConfigurationRefused naming file, field, value and remedy."""
    try:
        engines = _parsed(folder / "configuration.yaml", TypeAdapter(Engines))
        roles = _parsed(folder / "generated" / "roles.yaml", TypeAdapter(tuple[LoginRole, ...]))
        policies = _policies(folder)
    except InputError as error:
        raise ConfigurationRefused(error.message) from None
    configuration = Configuration(engines, roles, policies)
    _require_sense(configuration, folder)
    return configuration


def _parsed(path: Path, kind: "TypeAdapter[_Parsed]") -> _Parsed:
    text = read_text(path, "Vault configuration", "It lies in manifests/vault; generated/ is made by `presage policies render`.")
    return parse_as(kind, text, str(path))


def _policies(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted([*(folder / "policies").glob("*.hcl"), *(folder / "generated" / "policies").glob("*.hcl")]):
        if path.stem in found:
            raise ConfigurationRefused(f"{path}: there are two policies {path.stem!r}. Rename the one in policies/.")
        found[path.stem] = read_text(path, "policy", "Make it a text file of HCL.")
    return found


def _require_sense(configuration: Configuration, folder: Path) -> None:
    roles = folder / "generated" / "roles.yaml"
    for role in configuration.roles:
        if missing := [name for name in role.policies if name not in configuration.policies]:
            remedy = f"Write policies/{missing[0]}.hcl, or take it from the account in policies/access.yaml"
            raise ConfigurationRefused(f"{roles}: role {role.name!r} has the policy {missing[0]!r}, and no file holds it. {remedy}.")
        if role.ttl > configuration.auth.max_lease_ttl:
            raise ConfigurationRefused(f"{roles}: ttl of role {role.name!r} is {role.ttl}, more than auth.max_lease_ttl allows. Shorten it, or raise that.")
    pki = [mount for mount in configuration.engines.mounts if isinstance(mount, PkiMount)]
    for what, listed in (
        ("roles.yaml: role", [role.name for role in configuration.roles]),
        ("configuration.yaml: mount", [mount.path for mount in configuration.engines.mounts]),
        *((f"configuration.yaml: role of {mount.path}", [role.name for role in mount.roles]) for mount in pki),
    ):
        if twice := next((name for name in listed if listed.count(name) > 1), None):
            raise ConfigurationRefused(f"{folder}: {what} {twice!r} is there twice. Remove one.")
