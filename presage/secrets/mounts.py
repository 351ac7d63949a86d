"""Audit devices, engines and their keys: what differs from what is wanted."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import hvac
import stamina

from presage.secrets.answers import find, names, read, write
from presage.secrets.configuration import AuditDevice, KvMount, Mount, PkiMount, TransitKey, TransitMount
from presage.secrets.differences import Action, Change, compared, differing, sent, unknown
from presage.secrets.errors import ConfigurationRefused

_HAND = "delete it by hand, if its data is not needed"


def audit_changes(client: hvac.Client, wanted: tuple[AuditDevice, ...]) -> Iterator[Change]:
    """A device that is there with other options is a conflict: replacing it would leave a gap in the record."""
    there = read(client, "sys/audit") if wanted else {}
    for device in wanted:
        name, found = f"audit/{device.path}", there.get(f"{device.path}/")
        if found is None:
            yield Change(name, Action.create, (), partial(write, client, f"sys/audit/{device.path}", {"type": device.type, "options": dict(device.options)}))
        elif details := differing({"type": device.type, **device.options}, {"type": found["type"], **(found.get("options") or {})}):
            yield Change(name, Action.conflict, (*details, "disable the old device by hand"))
        else:
            yield Change(name, Action.unchanged)


def mount_changes(client: hvac.Client, wanted: tuple[Mount, ...]) -> Iterator[Change]:
    """The engines themselves. One of another type at the same path is a conflict: its data is somebody's."""
    there = read(client, "sys/mounts")
    for mount in wanted:
        name, found = f"mount/{mount.path}", there.get(f"{mount.path}/")
        tune: dict[str, Any] = {"description": mount.description} | ({"max_lease_ttl": mount.max_lease_ttl} if isinstance(mount, PkiMount) else {})
        options = {"version": "2"} if isinstance(mount, KvMount) else {}
        if found is None:
            yield Change(name, Action.create, (), partial(_enable, client, mount, tune, options))
        elif details := differing({"type": mount.type, **options}, {"type": found["type"], **(found.get("options") or {})}):
            yield Change(name, Action.conflict, (*details, _HAND))
        else:
            present = found.get("config", {}) | {"description": found.get("description")}
            yield compared(name, tune, present, partial(write, client, f"sys/mounts/{mount.path}/tune", sent(tune)))


def key_changes(client: hvac.Client, mount: TransitMount) -> Iterator[Change]:
    """Transit keys. One that was loosened in a way that cannot be taken back is a conflict. Unknown keys are never removed: data hangs on them."""
    for key in mount.keys:
        path = f"{mount.path}/keys/{key.name}"
        name, found = f"key/{mount.path}/{key.name}", find(client, path)
        fixed = {"type": key.type, "derived": False, "exportable": False, "allow_plaintext_backup": False}
        loose = {"auto_rotate_period": key.auto_rotate_period, "deletion_allowed": False}
        if found is None:
            yield Change(name, Action.create, (), partial(_create_key, client, path, key, fixed))
        elif details := differing(fixed, found):
            yield Change(name, Action.conflict, (*details, "this cannot be undone: make a key of another name, and publish again under it"))
        else:
            yield compared(name, loose, found, partial(write, client, f"{path}/config", sent(loose)))
    for change in unknown(f"key/{mount.path}", names(client, f"{mount.path}/keys"), [key.name for key in mount.keys], False, str):
        yield Change(change.object, change.action, (f"the folder does not know it; {_HAND}",))


def kv_changes(client: hvac.Client, mount: KvMount) -> Change:
    """How many versions are kept."""
    path, wanted = f"{mount.path}/config", {"max_versions": mount.max_versions}
    return compared(f"kv/{mount.path}", wanted, find(client, path), partial(_write_when_ready, client, path, wanted))


def _enable(client: hvac.Client, mount: Mount, tune: dict[str, Any], options: dict[str, str]) -> None:
    config = sent({name: value for name, value in tune.items() if name != "description"})
    write(client, f"sys/mounts/{mount.path}", {"type": mount.type, "description": mount.description, "config": config, "options": options})


def _write_when_ready(client: hvac.Client, path: str, wanted: dict[str, Any]) -> None:
    """A kv mount that was just made refuses everything while it prepares for versions."""

    def prepares(error: Exception) -> bool:
        return isinstance(error, ConfigurationRefused) and "Upgrading" in error.message

    for attempt in stamina.retry_context(on=prepares, timeout=10.0, wait_initial=0.05):
        with attempt:
            write(client, path, wanted)


def _create_key(client: hvac.Client, path: str, key: TransitKey, fixed: dict[str, Any]) -> None:
    write(client, path, sent({**fixed, "auto_rotate_period": key.auto_rotate_period}))
