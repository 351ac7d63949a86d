"""`plane/following.json`: the branch, the commit it is at, and how each application stands; `plane/follow/applied.json`: what was applied of each.

The first is for whoever asks; the second is the follower's memory, by which it goes on after a kill.
"""

from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from presage.errors import StateError
from presage.files import read_json, write_json

State = Literal["Synced", "OutOfSync", "Refused", "Failed", "Degraded"]


class Application(msgspec.Struct):
    """wanted, applied: commits; message: why it is not Synced; since: Unix seconds of this state. workloads, routes: what it runs, `namespace/name`.

    OutOfSync: about to be applied. Refused: by an admission policy. Failed: it cannot be run. Degraded: applied, and does not come up.
    """

    name: str
    wanted: str
    applied: str = ""
    state: State = "OutOfSync"
    message: str = ""
    since: float = 0.0
    workloads: list[str] = []
    routes: list[str] = []


class Following(msgspec.Struct):
    """plan: digest of the plan that it wrote last; what else is in plan.json was put there by somebody else. source, speed: over the telemetry's arguments.

    bindings: releases that stand for local names; they stay until the next `up`. settled: the commit that was decided on last, to the end.
    message: why the commit as a whole cannot be taken.
    tries: of the commit, while something of it fails; tried: Unix seconds of the last one. healed: how often a plan was put back; last_healed: what of it.
    """

    repository: str
    branch: str
    overlay: str
    commit: str
    plan: str = ""
    source: str | None = None
    speed: float | None = None
    bindings: dict[str, str] = {}
    applications: list[Application] = []
    settled: str = ""
    message: str = ""
    tries: int = 0
    tried: float = 0.0
    healed: int = 0
    last_healed: str = ""

    def application(self, name: str) -> Application | None:
        return next((one for one in self.applications if one.name == name), None)


class Applied(msgspec.Struct):
    """What runs. texts: application → YAML; vault: Git's name of the tree with Vault's configuration. plan: digest of the plan that is made of it;
    before: of the one that it takes the place of, which may lie there still if a kill came between."""

    repository: str
    overlay: str
    texts: dict[str, str]
    vault: str = ""
    plan: str = ""
    before: str = ""


def following_path(plane: Path) -> Path:
    return plane / "following.json"


def applied_path(plane: Path) -> Path:
    return plane / "follow" / "applied.json"


def lock_path(plane: Path) -> Path:
    """Held by the process that follows, as long as it lives."""
    return plane / "following.lock"


def read_following(plane: Path) -> Following | None:
    """None where nothing is followed. Raises StateError where the file is damaged."""
    return _read(following_path(plane), Following)


def write_following(plane: Path, following: Following) -> None:
    write_json(following_path(plane), msgspec.to_builtins(following))


def read_applied(plane: Path) -> Applied | None:
    """None where nothing was applied yet. Raises StateError where the file is damaged."""
    return _read(applied_path(plane), Applied)


def write_applied(plane: Path, applied: Applied) -> None:
    path = applied_path(plane)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_json(path, msgspec.to_builtins(applied))


_Document = TypeVar("_Document", Following, Applied)


def _read(path: Path, kind: type[_Document]) -> _Document | None:
    try:
        return msgspec.convert(read_json(path), kind)
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise StateError(f"{path} is damaged ({error}). `presage up --follow BRANCH` writes it anew.") from None
