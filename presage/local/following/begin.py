"""Beginning to follow a branch, and ending it. The process itself is the supervisor's to keep (`keeping`)."""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from presage.errors import InputError, StateError
from presage.local.children import MARK
from presage.local.following.record import (
    Application,
    Applied,
    Following,
    following_path,
    lock_path,
    read_applied,
    read_following,
    write_applied,
    write_following,
)  # fmt: skip
from presage.local.holds import holder
from presage.local.record import Plan, digest_of, read_plan
from presage.state import State

if TYPE_CHECKING:
    from presage.local.following.judged import Settled

_SECONDS = 5.0


@dataclass(frozen=True)
class Begun:
    """manifests: of the commit, as files (Vault's configuration alone); rendered: application → YAML, as it shall run; said: what of the commit does not."""

    state: State
    following: Following
    manifests: Path
    rendered: Mapping[str, bytes]
    said: tuple[str, ...] = ()

    def go_on(self, plan: Plan) -> None:
        """Follow from here on: `plan` is what shall run, and is about to be written. Whoever followed before is ended."""
        from presage.local.following.provenance import runs_of

        stop_following(self.state)
        plane, following = self.state.plane, self.following
        following.plan, following.source, following.speed, following.bindings = digest_of(plan), plan.source, plan.speed, dict(plan.bindings)
        runs = runs_of(self.rendered)
        for one in following.applications:
            if one.name in runs:
                one.workloads, one.routes = runs[one.name].workloads, runs[one.name].routes
        texts = {name: text.decode() for name, text in self.rendered.items()}
        write_applied(plane, Applied(following.repository, following.overlay, texts, self.manifests.name, following.plan, _digest_there(plane)))
        write_following(plane, following)


def begin(state: State, root: Path, branch: str, overlay: str) -> Begun:
    """What the newest commit of a branch has rendered; nothing is changed yet.

    What a policy refuses, or cannot be read, runs as it did when this overlay of the repository was followed last. Raises InputError where it never was,
    where there is no such branch, or nothing rendered.
    """
    from presage.local.following.commits import export_vault, rendered_at, vault_at, vault_folder
    from presage.release.repository import Repository

    repository = Repository(root.resolve(), branch)
    commit = repository.head()
    wanted = rendered_at(repository, commit, overlay)
    former = _former(state, str(repository.root), overlay)
    settled = _settled(wanted, former)
    against = settled.refused | settled.failed
    if absent := [against[name] for name in against if name not in settled.taken]:
        raise InputError(f"{commit[:12]} of {branch}: {' '.join(absent)}")
    manifests = vault_folder(state.plane, export_vault(state.plane, vault_at(repository, commit)))
    before, now = _applications(state), time.time()
    applications = []
    for name in wanted:
        known = before.get(name)
        state_of = "Refused" if name in settled.refused else "Failed" if name in settled.failed else "Synced"
        applied = (known.applied if known else "") if name in against else commit
        applications.append(Application(name, commit, applied, state_of, against.get(name, ""), now))  # type: ignore[arg-type]
    following = Following(str(repository.root), branch, overlay, commit, applications=applications, settled=commit, tries=1, tried=now)
    return Begun(state, following, manifests, settled.taken, tuple(f"{name}: {why}" for name, why in against.items()))


def stop_following(state: State) -> str:
    """End the process that follows, and forget the branch: of two one would undo what the other does. The branch that was followed; empty for none."""
    try:
        former = read_following(state.plane)
    except StateError:
        former = None
    following_path(state.plane).unlink(missing_ok=True)  # first: the supervisor does not start it again then
    if (pid := holder(lock_path(state.plane))) is not None:
        _end(pid, state)
        following_path(state.plane).unlink(missing_ok=True)  # it may have been at writing
    return former.branch if former else ""


def _end(pid: int, state: State) -> None:
    try:
        process = psutil.Process(pid)
        if process.environ().get(MARK) == str(state.root.resolve()):
            os.kill(pid, signal.SIGKILL)  # it goes on from any moment
            process.wait(_SECONDS)
    except (psutil.Error, OSError):
        return


def _former(state: State, repository: str, overlay: str) -> dict[str, bytes]:
    """What was applied when this overlay was followed last."""
    try:
        known = read_applied(state.plane)
    except StateError:
        known = None
    fits = known is not None and (known.repository, known.overlay) == (repository, overlay)
    return {name: text.encode() for name, text in known.texts.items()} if known is not None and fits else {}


def _settled(wanted: Mapping[str, bytes], former: Mapping[str, bytes]) -> "Settled":
    """Judged, and not planned: what cannot be run is `up`'s own to say."""
    from presage.local.following.judged import settle

    return settle(wanted, former, lambda texts: Plan("", []))


def _applications(state: State) -> dict[str, Application]:
    try:
        former = read_following(state.plane)
    except StateError:
        former = None
    return {one.name: one for one in former.applications} if former else {}


def _digest_there(plane: Path) -> str:
    try:
        found = read_plan(plane)
    except StateError:
        found = None
    return digest_of(found) if found is not None else ""
