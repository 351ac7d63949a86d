"""PKI mounts: their authority, their revocation lists, their roles: what differs from what is wanted."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import hvac

from presage.secrets.answers import delete, find, names, write
from presage.secrets.configuration import DOMAIN, PkiMount, PkiRole
from presage.secrets.differences import Action, Change, compared, sent, unknown
from presage.secrets.errors import ConfigurationRefused
from presage.secrets.pki import new_issuer, rebuild_crl

# Whatever a role could be loosened to by hand is wanted at its strictest, so that a loosened one differs.
_STRICT: dict[str, Any] = {
    "allow_any_name": False, "allow_bare_domains": False, "allow_glob_domains": False, "allow_ip_sans": False, "allow_localhost": False,
    "allow_token_displayname": False, "allowed_domains_template": False, "allowed_uri_sans_template": False, "allowed_other_sans": [],
    "allowed_serial_numbers": [], "allowed_user_ids": [], "enforce_hostnames": True, "code_signing_flag": False, "email_protection_flag": False,
    "ext_key_usage": [], "ext_key_usage_oids": [], "key_usage": ["DigitalSignature"], "basic_constraints_valid_for_non_ca": False,
    "cn_validations": ["hostname"], "no_store": False, "generate_lease": False, "issuer_ref": "default", "not_after": "",
    "use_csr_common_name": False, "use_csr_sans": False, "not_before_duration": timedelta(seconds=30),
}  # fmt: skip


def authority_changes(client: hvac.Client, mount: PkiMount) -> Iterator[Change]:
    """An authority is made where there is none, never replaced: that is a rotation (presage.secrets.pki)."""
    if names(client, f"{mount.path}/issuers"):
        yield Change(f"authority/{mount.path}", Action.unchanged)
    else:
        yield Change(f"authority/{mount.path}", Action.create, (), partial(_make, client, mount))
    wanted = {
        "expiry": mount.crl.expiry, "auto_rebuild": True, "auto_rebuild_grace_period": mount.crl.auto_rebuild_grace_period, "disable": False,
        "enable_delta": False, "ocsp_disable": True,
    }  # fmt: skip
    yield compared(f"crl/{mount.path}", wanted, find(client, f"{mount.path}/config/crl"), partial(_set_crl, client, mount, wanted))


def role_changes(client: hvac.Client, mount: PkiMount, domain: str, prune: bool) -> Iterator[Change]:
    """What each role issues, field by field. domain: stands for $(DOMAIN)."""
    for role in mount.roles:
        path, wanted = f"{mount.path}/roles/{role.name}", role_fields(role, domain)
        yield compared(f"role/{mount.path}/{role.name}", wanted, find(client, path), partial(write, client, path, sent(wanted)))
    there, known = names(client, f"{mount.path}/roles"), [role.name for role in mount.roles]
    yield from unknown(f"role/{mount.path}", there, known, prune, lambda name: delete(client, f"{mount.path}/roles/{name}"))


def role_fields(role: PkiRole, domain: str) -> dict[str, Any]:
    """Every field of Vault's that decides what the role issues. Raises ConfigurationRefused where the domain is wanted and not given."""
    return _STRICT | role.model_dump(exclude={"name", "allowed_domains"}) | {"allowed_domains": _domains(role.name, role.allowed_domains, domain)}


def _domains(role: str, domains: Sequence[str], domain: str) -> list[str]:
    if not domain and any(DOMAIN in name for name in domains):
        remedy = "Give the environment's with --domain"
        raise ConfigurationRefused(f"configuration.yaml: role {role!r} issues names of {DOMAIN}, and no domain was given. {remedy}.")
    return [name.replace(DOMAIN, domain) for name in domains]


def _make(client: hvac.Client, mount: PkiMount) -> None:
    authority = mount.authority
    new_issuer(client, mount.path, ttl=f"{round(authority.ttl.total_seconds())}s", key_type=authority.key_type, key_bits=authority.key_bits)


def _set_crl(client: hvac.Client, mount: PkiMount, wanted: dict[str, Any]) -> None:
    write(client, f"{mount.path}/config/crl", sent(wanted))
    rebuild_crl(client, mount.path)
