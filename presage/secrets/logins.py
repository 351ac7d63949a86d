"""Policies, the jwt method and its roles: what differs from what is wanted."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import hvac

from presage.secrets.answers import delete, find, names, read, write
from presage.secrets.configuration import AuthMount, LoginRole
from presage.secrets.differences import Action, Change, compared, differing, sent, unknown
from presage.secrets.errors import ConfigurationRefused
from presage.secrets.trust import JwtTrust

# Marks the policies that this folder made, among those of a Vault's other users.
MARK = "# presage: this policy is kept by `presage vault apply`."


def policy_changes(client: hvac.Client, policies: Mapping[str, str], prune: bool) -> Iterator[Change]:
    """Compared as text, white space at line ends aside. Foreign policies are not ours to report."""
    for name, text in policies.items():
        path, found = f"sys/policies/acl/{name}", find(client, f"sys/policies/acl/{name}")
        wanted = f"{MARK}\n{_normal(text)}"
        act = partial(write, client, path, {"policy": wanted})
        if found is None:
            yield Change(f"policy/{name}", Action.create, (), act)
        elif _normal(str(found.get("policy", ""))) != wanted:
            yield Change(f"policy/{name}", Action.update, ("text",), act)
        else:
            yield Change(f"policy/{name}", Action.unchanged)
    ours = [name for name in names(client, "sys/policies/acl") if name not in policies and _ours(client, name)]
    yield from unknown("policy", ours, policies, prune, lambda name: delete(client, f"sys/policies/acl/{name}"))


def auth_changes(client: hvac.Client, wanted: AuthMount, trust: JwtTrust | None) -> Iterator[Change]:
    """The method itself, and whose tokens it believes. trust: None: as it is there."""
    found = read(client, "sys/auth").get(f"{wanted.path}/")
    tune: dict[str, Any] = {"description": wanted.description, "default_lease_ttl": wanted.default_lease_ttl, "max_lease_ttl": wanted.max_lease_ttl}
    name = f"auth/{wanted.path}"
    if found is None:
        yield Change(name, Action.create, (), partial(_enable, client, wanted, tune))
    elif found["type"] != wanted.type:
        yield Change(name, Action.conflict, (*differing({"type": wanted.type}, found), "disable it by hand: its roles go with it"))
        return
    else:
        present = found.get("config", {}) | {"description": found.get("description")}
        yield compared(name, tune, present, partial(write, client, f"sys/auth/{wanted.path}/tune", sent(tune)))
    path = f"auth/{wanted.path}/config"
    there = find(client, path) if found is not None else None
    if trust is None and not (there and (there.get("jwks_url") or there.get("oidc_discovery_url") or there.get("jwt_validation_pubkeys"))):
        raise ConfigurationRefused(f"auth/{wanted.path} believes no key yet, so nobody could log in. Give --jwt-keys FILE, --jwks-url URL or --oidc-url URL.")
    kept = {field: (there or {}).get(field) for field in JwtTrust(public_keys=("",)).fields()}
    fields = (trust.fields() if trust is not None else kept) | {"jwt_supported_algs": wanted.jwt_supported_algs, "default_role": ""}
    yield compared(f"trust/{wanted.path}", fields, there, partial(write, client, path, sent(fields)))


def login_changes(client: hvac.Client, mount: AuthMount, roles: tuple[LoginRole, ...], prune: bool) -> Iterator[Change]:
    """Who may log in. The mount is ours, so a role in it that the folder does not know is a stranger's."""
    for role in roles:
        path, wanted = f"auth/{mount.path}/role/{role.name}", login_fields(mount, role)
        yield compared(f"login/{mount.path}/{role.name}", wanted, find(client, path), partial(write, client, path, sent(wanted)))
    there, known = names(client, f"auth/{mount.path}/role"), [role.name for role in roles]
    yield from unknown(f"login/{mount.path}", there, known, prune, lambda name: delete(client, f"auth/{mount.path}/role/{name}"))


def login_fields(mount: AuthMount, role: LoginRole) -> dict[str, Any]:
    """Every field of Vault's that decides who gets the role, and what its token may."""
    return {
        "role_type": "jwt", "user_claim": "sub", "bound_subject": role.subject, "bound_audiences": [role.audience], "bound_claims": {},
        "token_policies": role.policies, "token_ttl": role.ttl, "token_max_ttl": role.ttl, "token_explicit_max_ttl": 0, "token_period": 0,
        "token_num_uses": 0, "token_type": "default", "token_bound_cidrs": [], "token_no_default_policy": False,
        "clock_skew_leeway": mount.clock_skew_leeway, "groups_claim": "", "claim_mappings": {},
    }  # fmt: skip


def _enable(client: hvac.Client, wanted: AuthMount, tune: dict[str, Any]) -> None:
    config = sent({name: value for name, value in tune.items() if name != "description"})
    write(client, f"sys/auth/{wanted.path}", {"type": wanted.type, "description": wanted.description, "config": config})


def _ours(client: hvac.Client, name: str) -> bool:
    found = find(client, f"sys/policies/acl/{name}")
    return found is not None and str(found.get("policy", "")).startswith(MARK)


def _normal(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"
