"""Looks at the branch again and again, and moves the plan to its newest commit.

    follower = Follower(state, following, on_event)
    follower.look()                       # four times a second

What cannot be taken is tried again after 5 s, doubling to 30 s, but always of the newest commit, and a newer one is taken at once. What somebody else
wrote into the plan is put back. Killed at any moment it goes on from what `record` keeps: the plan is written last.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from presage.errors import PresageError, StateError
from presage.files import write_json
from presage.local.following.commits import export_vault, rendered_at, vault_at, vault_folder
from presage.local.following.health import sickness
from presage.local.following.judged import POLICIES, Settled, Texts, make_ready, settle
from presage.local.following.provenance import Runs, runs_of
from presage.local.following.record import Application, Applied, Following, State, following_path, read_applied, write_applied, write_following
from presage.local.planning import make_plan
from presage.local.record import Plan, digest_of, plan_path, read_plan, read_record, record_path
from presage.manifests.objects import label
from presage.release.repository import Repository
from presage.state import State as StateFolder

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 30.0  # seconds between two tries of one commit
OnEvent = Callable[[str, str, Mapping[str, str]], None]
"""Hears kind, subject, facts. Kinds: synced, policy-changed, admission-refused, sync-failed, gate-refused, healed."""


def pause(tries: int) -> float:
    """Seconds until a commit that failed `tries` times is tried again."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(max(tries, 1) - 1, 10)))


@dataclass
class Follower:
    """on_event: hears what happens, once each, unless a kill comes between hearing and writing it down."""

    state: StateFolder
    following: Following
    on_event: OnEvent = lambda kind, subject, facts: None
    clock: Callable[[], float] = time.time
    _applied: Applied | None = None
    _plan: Plan | None = None
    _lost: bool = False
    _unfinished: bool = True
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _written: Following | None = None

    def look(self) -> None:
        """One look: at the branch, at the plan, at what became of it. Raises StateError where the state directory cannot be written."""
        if self._written is None:
            self._resume()
        try:
            commit = self._repository.head()
        except PresageError as error:
            self.following.message = error.message
        else:
            if commit != self.following.commit or self._due():
                self._sync(commit)
        self._heal()
        self._health()
        self._save()

    @property
    def _repository(self) -> Repository:
        return Repository(Path(self.following.repository), self.following.branch)

    def _resume(self) -> None:
        """What was applied before this program began. Where that is lost nothing is taken away that it might have been."""
        following = self.following
        try:
            known = read_applied(self.state.plane)
        except StateError:
            known = None
        self._lost = known is None
        self._applied = known or Applied(following.repository, following.overlay, {})
        self._written = msgspec.convert(msgspec.to_builtins(following), Following)
        following.plan = self._memory.plan
        if self._lost:
            following.commit = ""
            return
        try:
            make_ready(self._texts)
            runs_of(self._texts)
        except PresageError as error:
            following.message = error.message
            return
        with suppress(PresageError):  # what is planned once is planned again in a tenth of the time; what cannot be is for a commit to say
            self._plan = self._make(self._texts, self._memory.vault)

    @property
    def _memory(self) -> Applied:
        assert self._applied is not None
        return self._applied

    @property
    def _texts(self) -> dict[str, bytes]:
        return {name: text.encode() for name, text in self._memory.texts.items()}

    def _due(self) -> bool:
        """Whether what failed is to be tried again, or was begun and not finished."""
        following = self.following
        if following.settled != following.commit and not following.message:
            return True
        failing = following.message or any(one.state == "Failed" for one in following.applications)
        return bool(failing) and not 0 <= self.clock() - following.tried < pause(following.tries)  # a clock that was put back keeps nobody waiting

    def _sync(self, commit: str) -> None:
        following = self.following
        following.tries = following.tries + 1 if commit == following.commit else 1
        following.tried, following.message = self.clock(), ""
        try:
            wanted = rendered_at(self._repository, commit, following.overlay)
            self._begin(commit, wanted)
            vault = self._vault(commit)
            again = vault != self._memory.vault or not self._memory.plan
            settled = settle(wanted, self._texts, lambda texts: self._make(texts, vault), again=again)
            if self._lost and (settled.refused or settled.failed):
                why = "what ran before is not known any more (applied.json is damaged), so nothing is changed until a whole commit can be taken"
                raise StateError(f"{why}. {' '.join([*settled.refused.values(), *settled.failed.values()])}")
        except (PresageError, OSError, ValueError) as error:
            following.commit, following.message = commit, error.message if isinstance(error, PresageError) else f"{commit[:12]} cannot be read: {error}"
            self._unbegin()
            return
        self._tell(commit, wanted, settled)
        if settled.plan is not None:
            self._adopt(settled.taken, vault, settled.plan)
        self._lost = False
        self._seen.pop(record_path(self.state.plane), None)

    def _begin(self, commit: str, wanted: Texts) -> None:
        """Say what is about to change."""
        following, applied = self.following, self._texts
        new = commit != following.commit
        following.commit = commit
        for name in [name for name in wanted if following.application(name) is None]:
            following.applications.append(Application(name, commit, since=self.clock()))
        for one in following.applications:
            one.wanted = commit
            if new and wanted.get(one.name) != applied.get(one.name) and one.state in ("Synced", "Degraded"):
                one.state, one.message, one.since = "OutOfSync", "", self.clock()
        self._save()

    def _unbegin(self) -> None:
        for one in self.following.applications:
            if one.state == "OutOfSync":
                one.state, one.message = "Failed", self.following.message

    def _vault(self, commit: str) -> str:
        """The configuration of the commit's Vault, as files; the one before where the commit's is no good."""
        try:
            return export_vault(self.state.plane, vault_at(self._repository, commit))
        except PresageError as error:
            if not self._memory.vault:
                raise
            self.following.message = error.message
            return self._memory.vault

    def _make(self, texts: Texts, vault: str) -> Plan:
        following = self.following
        return make_plan(
            self.state, overlay=following.overlay, source=following.source, speed=following.speed, manifests=vault_folder(self.state.plane, vault),
            rendered=texts, bound=following.bindings, say=lambda sentence: None,
        )  # fmt: skip

    def _adopt(self, texts: Texts, vault: str, plan: Plan) -> None:
        """Memory first, the plan last: a kill between them is made good by the next look."""
        following, digest = self.following, digest_of(plan)
        before = self._memory.plan
        self._applied = Applied(following.repository, following.overlay, {name: text.decode() for name, text in texts.items()}, vault, digest, before)
        following.plan, following.bindings, self._plan = digest, following.bindings | plan.bindings, plan
        write_applied(self.state.plane, self._memory)
        self._save()
        write_json(plan_path(self.state.plane), msgspec.to_builtins(plan))
        self._unfinished = False

    def _tell(self, commit: str, wanted: Texts, settled: Settled) -> None:
        """Each application's state, and whoever listens what became of it."""
        runs, before = runs_of(settled.taken), self._texts
        self.following.settled = commit
        names = sorted({*wanted, *settled.refused, *settled.failed})
        self.following.applications = [self._application(name, commit, settled, runs.get(name, Runs()), before) for name in names]
        for name in sorted({*before} - {*settled.taken}):
            self._say("synced", name, {"commit": commit, "because": "its folder is gone"})

    def _application(self, name: str, commit: str, settled: Settled, runs: Runs, before: Texts) -> Application:
        known = self.following.application(name) or Application(name, commit)
        refused, failed = settled.refused.get(name, ""), settled.failed.get(name, "")
        changed = settled.taken.get(name) != before.get(name)
        state: State = "Refused" if refused else "Failed" if failed else "Degraded" if known.state == "Degraded" and not changed else "Synced"
        message = refused or failed or (known.message if state == "Degraded" else "")
        same = (known.state, known.message) == (state, message) and not changed
        now = Application(
            name, commit, known.applied if refused or failed else commit, state, message, known.since if same else self.clock(), runs.workloads, runs.routes,
        )  # fmt: skip
        if state in ("Refused", "Failed") and not same:
            self._say("admission-refused" if refused else "sync-failed", name, {"commit": commit, "because": message[:2000]})
        elif changed:
            facts = {"commit": commit, "before": known.applied}
            self._say("synced", name, facts)
            if name == POLICIES:
                self._say("policy-changed", name, facts)
        return now

    def _heal(self) -> None:
        """Put back a plan that is not ours."""
        path, memory = plan_path(self.state.plane), self._memory
        if not memory.plan or not self._changed(path):
            return
        try:
            found = read_plan(self.state.plane)
        except StateError:
            found = None
        digest = digest_of(found) if found is not None else ""
        if digest == memory.plan:
            self._unfinished = False
            return
        self._seen.pop(path, None)  # until it is put back
        plan = self._plan
        if plan is None or digest_of(plan) != memory.plan:
            try:
                plan = self._make(self._texts, memory.vault)
            except PresageError as error:
                self.following.message = f"the plan was changed, and cannot be put back: {error.message}"
                return
        if not (self._unfinished and digest == memory.before):  # else it is this program's own work that a kill kept from its end
            self.following.healed += 1
            self.following.last_healed = self._difference(found, plan)
            self._say("healed", "plan", {"commit": self.following.commit, "because": self.following.last_healed})
        self._adopt(self._texts, memory.vault, plan)

    def _difference(self, found: Plan | None, plan: Plan) -> str:
        if found is None:
            return "the whole plan"
        there = {label(one): one for one in found.objects}
        names = [label(one) for one in plan.objects if there.pop(label(one), None) != one] + list(there)
        runs = runs_of(self._texts)
        holders = sorted({name for name, one in runs.items() if one.objects & {*names}})
        return f"{', '.join(names[:5])}{' and more' if len(names) > 5 else ''} ({', '.join(holders)})" if names else "what is not an object"

    def _health(self) -> None:
        """What was applied and does not come up."""
        path = record_path(self.state.plane)
        if not self._changed(path):
            return
        try:
            record = read_record(self.state.plane)
        except StateError:
            return  # the supervisor writes it anew
        if record is None or record.digest != self.following.plan:
            self._seen.pop(path, None)
            return
        for one in self.following.applications:
            if one.state not in ("Synced", "Degraded"):
                continue
            found = sickness(record, one.workloads)
            state: State = "Degraded" if found else "Synced"
            said = found.said if found else ""
            if (one.state, one.message) != (state, said):
                if found is not None and found.refused:
                    facts = {"commit": one.applied, "because": said[:2000], "pod": found.pod, "release": found.release}
                    self._say("gate-refused", one.name, facts)
                one.state, one.message, one.since = state, said, self.clock()

    def _changed(self, path: Path) -> bool:
        """Whether a file is another one than at the last look."""
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = (0, 0)
        if self._seen.get(path) == stamp:
            return False
        self._seen[path] = stamp
        return True

    def _save(self) -> None:
        """Where somebody has ended the following meanwhile its record is not made again."""
        if self._written != self.following and following_path(self.state.plane).is_file():
            write_following(self.state.plane, self.following)
            self._written = msgspec.convert(msgspec.to_builtins(self.following), Following)

    def _say(self, kind: str, name: str, facts: Mapping[str, str]) -> None:
        self.on_event(kind, f"{self.following.overlay}/{name}", facts)
