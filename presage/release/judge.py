"""Watches the step that is live, and takes the next one, or takes it all back: each a commit with what was counted as its evidence.

    judge = ReleaseJudge(releasing, source, folder)
    while (outcome := judge.tick(now)).more:        # nothing is kept in memory alone: kill it, start it again
        …

A step's clock starts when it is live, not when it was committed. What was counted lies in `folder`, whole or absent; where that is lost, the step
begins to be counted anew, which only takes longer. A decision is made on one commit and is made once: whoever comes second reads again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from presage.errors import StateError
from presage.files import read_json, write_json
from presage.governance.tiers import Step as CanaryStep
from presage.release.asking import Closed
from presage.release.judging import Arm, Increment, Judge
from presage.release.plan import Change, advance, revert
from presage.release.records import Record
from presage.release.repository import Moved
from presage.release.sources.counters import Counts
from presage.release.sources.source import Look, Source
from presage.release.steps import Releasing, Situation, Taken

COME_UP = timedelta(minutes=30)
"""A step that is not live by then is taken back: nobody waits for a release that does not start."""
JUDGED = ("start", "raise")
"""Steps that gave the canary its share; the others only wait until they are live."""
Kind = Literal["nothing", "waits", "counts", "held", "asked", "took", "reverted", "again"]


@dataclass(frozen=True)
class Outcome:
    """What a tick came to. more: whether there is anything left to watch. touched: answers that the canary gave in this step so far."""

    kind: Kind
    words: str
    taken: Taken | None = None
    touched: int = 0

    @property
    def more(self) -> bool:
        return self.kind != "nothing"


class ReleaseJudge:
    """One model at one place. folder: where it keeps what it has counted."""

    def __init__(self, releasing: Releasing, source: Source, folder: Path) -> None:
        self._releasing, self._source = releasing, source
        name = f"{releasing.place.overlay}.{releasing.place.application}.{releasing.place.model}"
        self._path, self._seen = folder / f"{name}.json", folder / f"{name}.seen.json"

    def tick(self, now: datetime) -> Outcome:
        """One look, and at most one commit. Raises InputError and ArtifactRefused where Git holds what cannot be judged."""
        situation = self._releasing.read()
        self._releasing.settle(now)
        if situation.standing.canary is None:
            return Outcome("nothing", "no release is on its way")
        if not situation.records:
            return Outcome("nothing", f"{situation.standing.canary.uri} was not started by `presage release start`, so nothing is judged")
        record = situation.records[-1]
        memory = self._remembered(record.digest)
        try:
            waits = self._source.live(situation.standing)
        except StateError as error:
            return Outcome("waits", error.message)
        if waits:
            return self._not_live(situation, self._since(record, now), waits, now)
        if record.step.step not in JUDGED:
            return self._advance(situation, now, None, 0)
        return self._judge(situation, record.digest, memory, now)

    def _since(self, record: Record, now: datetime) -> datetime:
        """When a step was committed. One that was asked for may have been merged long after, so it counts from when it was first seen."""
        made = datetime.fromisoformat(record.step.at)
        if self._releasing.asking is None:
            return made
        seen = self._document(self._seen, record.digest)
        if seen is None:
            write_json(self._seen, {"record": record.digest, "at": now.isoformat()})
            return now
        return datetime.fromisoformat(seen["at"])

    def _not_live(self, situation: Situation, since: datetime, waits: str, now: datetime) -> Outcome:
        if situation.standing.canary is not None and situation.standing.stable == situation.standing.canary.uri:
            return Outcome("waits", waits)  # it has been judged good: what is left is a rolling update
        if now - since > COME_UP:
            because = f"is taken back: it was not live {COME_UP.total_seconds() / 60:.0f} minutes after its commit ({waits})"
            return self._take(situation, revert(situation.standing, situation.original), now, None, because)
        return Outcome("waits", waits)

    def _judge(self, situation: Situation, digest: str, memory: dict[str, Any] | None, now: datetime) -> Outcome:
        step = self._step(situation)
        try:
            if memory is None:
                judge = Judge.start(situation.rules.canary, soak=step.soak, now=now, before=_alone(situation))
                self._source.begin(situation.standing, now)
            else:
                judge = Judge.resume(memory["evidence"])
                self._source.recall(memory["source"])
            look = self._source.look(situation.standing, now)
        except StateError as error:
            return Outcome("waits", error.message)
        verdict = judge.observe(increment_of(look), now)
        # in one file: what was counted, and up to where, so that whoever goes on counts nothing twice and leaves nothing out
        write_json(self._path, {"record": digest, "evidence": judge.evidence(), "source": self._source.remember()})
        touched = judge.touched
        if verdict.kind == "revert":
            because = f"is taken back: {verdict.because}; it gave {touched} answers in this step"
            return self._take(situation, revert(situation.standing, situation.original), now, judge.evidence(), because)
        if verdict.kind == "good":
            return self._advance(situation, now, judge.evidence(), touched)
        return Outcome("counts", verdict.because, touched=touched)

    def _advance(self, situation: Situation, now: datetime, evidence: dict[str, Any] | None, touched: int) -> Outcome:
        change = advance(situation.standing, situation.rules, self._source.capacity(), situation.original)
        assert change is not None and situation.standing.canary is not None
        if change.step != "retire" and (hold := self._releasing.hold(situation, situation.standing.canary.uri, now)):
            return Outcome("held", hold, touched=touched)
        return self._take(situation, change, now, evidence, "")

    def _take(self, situation: Situation, change: Change, now: datetime, evidence: dict[str, Any] | None, because: str) -> Outcome:
        try:
            taken = self._releasing.take(situation, change, now, evidence, because)
        except Moved as moved:
            return Outcome("again", moved.message)
        except Closed as closed:
            return Outcome("held", closed.message)
        release = taken.release.partition("@")[0]
        if taken.request:  # what is live stays live, and is judged on, until that is merged
            return Outcome("asked", f"{release} {change.step}: {taken.request} waits to be merged", taken)
        self._path.unlink(missing_ok=True)
        return Outcome("reverted" if change.step == "revert" else "took", f"{release} {taken.because}", taken)

    def _step(self, situation: Situation) -> CanaryStep:
        assert situation.standing.canary is not None
        percent = situation.standing.canary.percent
        steps = situation.rules.canary.steps
        return next((step for step in steps if step.percent >= percent), steps[-1])

    def _remembered(self, digest: str) -> dict[str, Any] | None:
        """What was counted of the step whose record this is; None where nothing was, or it was lost."""
        found = self._document(self._path, digest)
        return found if found is not None and "source" in found else None

    @staticmethod
    def _document(path: Path, digest: str) -> dict[str, Any] | None:
        try:
            found = read_json(path)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("record") == digest else None


def _alone(situation: Situation) -> dict[str, Any] | None:
    """What the canary did in the step before, where nothing stands beside it now."""
    canary = situation.standing.canary
    if canary is None or canary.percent < 100:
        return None
    return next((record.step.evidence for record in reversed(situation.records) if record.step.evidence is not None), None)


def increment_of(look: Look) -> Increment:
    """A look in the words of the statistics."""
    return Increment(_arm(look.stable), _arm(look.canary))


def _arm(counts: Counts) -> Arm:
    return Arm(round(counts.requests), round(counts.failed), counts.seconds, counts.risks, round(counts.decided), round(counts.wrong))
