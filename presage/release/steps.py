"""Plan and standing made into commits: one step, one commit, with its signed record in it.

    releasing = Releasing(Repository(root, "main"), place, signer)
    situation = releasing.read()
    releasing.take(situation, start(situation.standing, uri, situation.rules), now=…, evidence=None)

A commit is made from the head that the decision was made on, or not at all (Moved). What a step needs besides (rendered manifests, compiled
policies) is in the same commit, so whatever commit is live is whole. Where a forge keeps the branch, a step is a pull request (`asking`) that brings the
same commit; the way back goes straight to the branch, where the forge lets it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from presage.errors import InputError, StateError
from presage.files import sha256_bytes
from presage.governance.compiling import compile_policies, write_files
from presage.governance.repository import Policies
from presage.governance.tiers import TierRules
from presage.manifests.render import overlays, render_overlay, write_rendered
from presage.package.dsse import Signer
from presage.package.keys import Trust
from presage.package.reference import Reference, parse_reference
from presage.release.asking import Asking, Name, Written
from presage.release.holds import held
from presage.release.plan import Change, Original
from presage.release.records import Record, Step, all_records, read_records, write_record
from presage.release.repository import Protected, Repository
from presage.release.standing import Place, Standing, read_standing, write_standing

_POLICY_CHANGES = ("promote", "rollback", "switch", "retire")
"""Steps after which the admission policy knows another release that served."""


@dataclass(frozen=True)
class Situation:
    """What a decision is made on: one commit, read. records: of the release that is on its way (or was named)."""

    commit: str
    standing: Standing
    policies: Policies
    rules: TierRules
    tier: str
    reference: Reference | None
    records: tuple[Record, ...] = ()

    @cached_property
    def original(self) -> Original:
        """As it was before the release on its way began; as it is, where none is."""
        first = next((record for record in reversed(self.records) if record.step.step in ("start", "switch")), None)
        return Original.of(first.step.before) if first else Original(self.standing.replicas, self.standing.written)


@dataclass(frozen=True)
class Taken:
    """One step as it was committed; or as it was asked for: request is where then, and nothing has happened until that is merged."""

    commit: str
    step: str
    release: str
    because: str
    record: str
    request: str = ""


@dataclass(frozen=True)
class Releasing:
    """trust: whose records count; None: they are not looked at. told: hears each step, after its commit (the audit log). asking: by pull requests."""

    repository: Repository
    place: Place
    signer: Signer
    trust: Trust | None = None
    told: Callable[[Taken, datetime], None] | None = None
    asking: Asking | None = None
    _kept: dict[str, Situation] = field(default_factory=dict, repr=False)

    def read(self, uri: str | None = None) -> Situation:
        """The branch's newest commit. uri: the release that is meant; default: the one on its way. Raises InputError, ArtifactRefused."""
        commit = self.repository.head()
        key = f"{commit} {uri}"
        if key not in self._kept:
            self._kept.clear()
            with self.repository.tree(commit) as tree:
                self._kept[key] = self._read(commit, tree, uri)
        return self._kept[key]

    def _read(self, commit: str, tree: Path, uri: str | None) -> Situation:
        standing = read_standing(tree, self.place)
        policies = Policies.read(tree)
        model = policies.releases.get(self.place.model)
        if model is None:
            raise InputError(f"no policy in policies/models speaks of {self.place.model}, so nothing says how it is released. Write one.")
        named = uri or (standing.canary.uri if standing.canary else None)
        reference = parse_reference(named) if named else None
        records = tuple(read_records(tree, self.place, reference, self.trust)) if reference else ()
        return Situation(commit, standing, policies, policies.tiers.of(model.risk_tier), model.risk_tier, reference, records)

    def before(self) -> str:
        """The release that served this place before the stable one does. Raises InputError where Git knows of none."""
        situation = self.read()
        with self.repository.tree(situation.commit) as tree:
            records = [record for record in all_records(tree) if record.step.place == self.place and record.step.step in ("promote", "rollback")]
        records.sort(key=lambda record: record.step.at)
        found = next((str(one.step.before["stable"]) for one in reversed(records) if one.step.before["stable"] != situation.standing.stable), "")
        if not found.startswith("presage://"):
            raise InputError(f"no record says which release served {self.place} before. Name it: --to NAME:VERSION.")
        return found

    def hold(self, situation: Situation, uri: str, now: datetime) -> str:
        """Why nothing may be promoted now; empty where it may. Going back never asks."""
        with self.repository.tree(situation.commit) as tree:
            return held(tree, self.place, situation.policies.rollout, situation.policies.access.domains, uri, now)

    def take(self, situation: Situation, change: Change, now: datetime, evidence: dict[str, Any] | None = None, because: str = "") -> Taken:
        """Commit one change, or ask for it. because: instead of the change's own words.

        Raises Moved where the branch went on meanwhile: nothing has happened then. Closed where a person refused what is asked for.
        """
        reference = situation.reference or parse_reference(change.after.canary.uri if change.after.canary else change.after.stable)
        words = because or change.because

        def written() -> AbstractContextManager[Written]:
            return self._written(situation, change, reference, now, evidence, words)

        if self.asking is None or change.back:
            try:
                taken = self._commit(situation, change, reference, words, written)
            except Protected:
                if self.asking is None:
                    raise
            else:
                if self.told is not None:
                    self.told(taken, now)
                if self.asking is not None:
                    # The way back is done, whether its forge answers or not; what stays open there conflicts with it, so nobody merges it unseen.
                    with suppress(StateError):
                        self.asking.close_forward(self._name(situation, change, reference), f"The release was taken back by {taken.commit[:12]}.")
                return taken
        facts = {"step": change.step, "release": str(reference), "because": words}
        request = self.asking.ask(self.repository, situation.commit, self._name(situation, change, reference), written, facts)
        return Taken("", change.step, str(reference), words, "", request.url)

    def settle(self, now: datetime) -> None:
        """Tell of what was asked for and has been merged since."""
        for asked in self.asking.merged(self.repository) if self.asking is not None else ():
            if self.told is not None:
                commit = self.repository.log(asked.record)[-1]
                self.told(Taken(commit, asked.facts["step"], asked.facts["release"], asked.facts["because"], asked.record), now)

    def _commit(self, situation: Situation, change: Change, reference: Reference, words: str, written: Callable[[], AbstractContextManager[Written]]) -> Taken:
        with written() as step:
            commit = self.repository.commit(situation.commit, step.tree, step.message)
        return Taken(commit, change.step, str(reference), words, step.record)

    def _name(self, situation: Situation, change: Change, reference: Reference) -> Name:
        place = f"{self.place.overlay}.{self.place.application}.{self.place.model}"
        return Name(place, f"{reference.name}-{reference.version}", len(situation.records) + 1, change.back)

    @contextmanager
    def _written(  # noqa: PLR0917
        self, situation: Situation, change: Change, reference: Reference, now: datetime, evidence: dict[str, Any] | None, words: str
    ) -> Iterator[Written]:  # fmt: skip
        """The step in a folder of its own, with its signed record and everything that is compiled from it."""
        step = Step(
            step=change.step, overlay=self.place.overlay, application=self.place.application, model=self.place.model, before=situation.standing.summary(),
            after=change.after.summary(), tier=situation.tier, plan=situation.rules.canary.model_dump(mode="json"), evidence=evidence, because=words,
            at=now.replace(microsecond=0).isoformat(), previous=None,
        )  # fmt: skip
        with self.repository.tree(situation.commit) as tree:
            write_standing(tree, self.place, change.after)
            record = write_record(tree, self.place, reference, step, self.signer)
            if change.step in _POLICY_CHANGES:
                write_files(tree, compile_policies(tree, now))
                for overlay in overlays(tree / "manifests"):
                    write_rendered(tree / "manifests", overlay, render_overlay(tree / "manifests", overlay))
            name = f"{reference.name}:{reference.version}"
            subject = f"{self.place.overlay}/{self.place.application}: {name} {change.step}"
            message = f"{subject}\n\n{name} {words}.\n\nRelease: {reference}\nRecord: {record}\n"
            yield Written(tree, message, record, f"sha256:{sha256_bytes((tree / record).read_bytes())}")
