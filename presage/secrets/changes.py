"""What a running Vault lacks of manifests/vault, and making it so.

    wanted = read_configuration(folder)
    changes = compare(client, wanted, domain="presage.example", trust=JwtTrust.from_keys(path))     reads only
    apply(changes)                                                                                  a second compare finds nothing

Order: audit first, so that everything after it is recorded; engines before what lies in them; policies before the roles that name them;
removals last. Data (secrets, keys, authorities) is made where it is missing and never replaced or removed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import hvac

from presage.secrets.authorities import authority_changes, role_changes
from presage.secrets.configuration import Configuration, KvMount, PkiMount, TransitMount
from presage.secrets.differences import Action, Change
from presage.secrets.errors import ConfigurationRefused
from presage.secrets.logins import auth_changes, login_changes, policy_changes
from presage.secrets.mounts import audit_changes, key_changes, kv_changes, mount_changes
from presage.secrets.trust import JwtTrust

PENDING = frozenset({Action.create, Action.update, Action.remove})
WRONG = frozenset({Action.conflict, Action.refused})


def compare(client: hvac.Client, wanted: Configuration, *, domain: str = "", trust: JwtTrust | None = None, prune: bool = False) -> list[Change]:
    """Every object of the folder and every one that only Vault has, in the order of applying. Changes nothing. Raises SecretsError."""
    found = list(_compared(client, wanted, domain, trust, prune))
    return [change for change in found if change.action is not Action.remove] + [change for change in found if change.action is Action.remove]


def apply(changes: Sequence[Change], done: Callable[[Change], Any] = lambda change: None) -> list[Change]:
    """Make it so; `done` is told of each. What this Vault does not take through its API comes back as refused, with its reason.

    Raises ConfigurationRefused before anything is changed where there is a conflict; SecretsError where something is refused on the way:
    what was done until then stays, and the next run goes on from there.
    """
    if conflict := next((change for change in changes if change.action is Action.conflict), None):
        raise ConfigurationRefused(f"{conflict.object}: {'; '.join(conflict.details)}. Nothing was changed.")
    applied = []
    for change in changes:
        made = change
        if change.act is not None:
            try:
                change.act()
            except ConfigurationRefused as error:
                if not change.object.startswith("audit/"):
                    raise
                made = replace(change, action=Action.refused, details=(f"{error.message} OpenBao takes audit devices from its server's configuration.",))
        applied.append(made)
        done(made)
    return applied


def _compared(client: hvac.Client, wanted: Configuration, domain: str, trust: JwtTrust | None, prune: bool) -> Iterator[Change]:
    engines = wanted.engines
    yield from audit_changes(client, engines.audit)
    yield from mount_changes(client, engines.mounts)
    for mount in engines.mounts:
        if isinstance(mount, KvMount):
            yield kv_changes(client, mount)
        elif isinstance(mount, TransitMount):
            yield from key_changes(client, mount)
        elif isinstance(mount, PkiMount):
            yield from authority_changes(client, mount)
            yield from role_changes(client, mount, domain, prune)
    yield from policy_changes(client, wanted.policies, prune)
    yield from auth_changes(client, wanted.auth, trust)
    yield from login_changes(client, wanted.auth, wanted.roles, prune)
