"""All measures of one step together, the soak, and the longest wait."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from presage.errors import InputError
from presage.governance.tiers import CanaryPlan
from presage.release.judging.counted import Increment
from presage.release.judging.measures import NAMES, Comparison, Name

Kind = Literal["go on", "good", "revert"]
FORM = "presage.judging/v1"
_WORDS: dict[Name, str] = {
    "errors": "it fails more often", "latency": "it is slower", "scores": "its risks are distributed otherwise",
    "outcomes": "its decisions are wrong more often",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """because: a sentence's middle, with numbers."""

    kind: Kind
    because: str


class Judge:
    """One step's. A release that is no worse is taken back with probability `good_reverted` at most, over all its steps and measures together; one that
    is worse by exactly the detectable size passes a step with probability `bad_missed` at most."""

    def __init__(self, comparison: Comparison, settings: dict[str, Any], counted: dict[str, Any]) -> None:
        self._comparison, self._settings, self._counted = comparison, settings, counted

    @classmethod
    def start(cls, plan: CanaryPlan, *, soak: timedelta, now: datetime, before: dict[str, Any] | None = None) -> "Judge":
        """now: when the step became live: its soak begins. before: evidence of the step before, where the canary has every request now and stands alone."""
        settings = {
            "soak_seconds": soak.total_seconds(), "wait_seconds": plan.wait_at_most.total_seconds(), "began": now.isoformat(),
            "revert_at": math.log(len(NAMES) * len(plan.steps) / plan.good_reverted), "good_at": math.log(1.0 / plan.bad_missed),
        }  # fmt: skip
        comparison = Comparison.of(plan.detect) if before is None else Comparison.alone(plan.detect, cls.resume(before)._comparison)
        return cls(comparison, settings, {"stable": 0, "canary": 0, "last": now.isoformat()})

    @classmethod
    def resume(cls, evidence: dict[str, Any]) -> "Judge":
        """From what `evidence` gave. Raises InputError where that is something else."""
        try:
            if evidence["form"] != FORM:
                raise InputError(f"evidence follows {str(evidence['form'])[:60]!r}, not {FORM}. Let the step be judged from its beginning: remove the file.")
            return cls(Comparison.from_json(evidence["comparison"]), dict(evidence["settings"]), dict(evidence["counted"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"evidence cannot be read ({error!r}). Let the step be judged from its beginning: remove the file.") from None

    @property
    def touched(self) -> int:
        """Answers that the canary has given in this step."""
        return int(self._counted["canary"])

    def observe(self, increment: Increment, now: datetime) -> Verdict:
        """Take what was counted since the last look, and decide. A clock that went back counts as one that stood still."""
        self._comparison.add(increment)
        self._counted["stable"] += increment.stable.requests
        self._counted["canary"] += increment.canary.requests
        self._counted["last"] = max(datetime.fromisoformat(self._counted["last"]), now).isoformat()
        return self.verdict()

    def verdict(self) -> Verdict:
        """From what is known so far: the same evidence gives the same verdict."""
        measures, settings = self._comparison.measures, self._settings
        for name in NAMES:
            if measures[name].log_worse() >= settings["revert_at"]:
                return Verdict("revert", f"{_WORDS[name]} ({self._numbers(name)})")
        open_ones = [name for name in NAMES if self._comparison.tells(name) and measures[name].log_alike() < settings["good_at"]]
        passed = datetime.fromisoformat(self._counted["last"]) - datetime.fromisoformat(settings["began"])
        soak, wait = timedelta(seconds=settings["soak_seconds"]), timedelta(seconds=settings["wait_seconds"])
        if not open_ones and passed >= soak:
            if self._comparison.is_alone:
                return Verdict("good", f"no worse than in the step before by more than what must not be missed, in {self.touched} answers")
            return Verdict("good", f"no worsening of the size that must not be missed, in {self.touched} of its answers")
        if passed >= wait:
            return Verdict("revert", f"{self.touched} answers in {wait} did not show that it is no worse ({', '.join(open_ones) or 'nothing'} undecided)")
        rest = f"; {', '.join(open_ones)} undecided" if open_ones else f"; {soak - passed} of the soak are left"
        return Verdict("go on", f"{self.touched} answers of the canary against {int(self._counted['stable'])}{rest}")

    def _numbers(self, name: Name) -> str:
        measure = self._comparison.measures[name]
        if name == "scores":
            return f"proven over {measure.pairs} pairs of answers"
        shares = [bad / every if every else 0.0 for every, bad in (measure.canary, measure.stable)]
        what = {"errors": "of its requests", "latency": f"take longer than {1000 * (measure.bounds or [0.0])[0]:g} ms", "outcomes": "of its decisions"}[name]
        if measure.reference is not None:
            return f"{shares[0]:.2%} {what}, {measure.reference:.2%} in the step before, over {measure.pairs} answers"
        return f"{shares[0]:.2%} {what}, {shares[1]:.2%} of the stable release's, over {measure.pairs} pairs"

    def evidence(self) -> dict[str, Any]:
        """Everything: for a record, and to go on from."""
        return {
            "form": FORM, "settings": self._settings, "counted": self._counted, "comparison": self._comparison.to_json(), "verdict": self.verdict().because,
            "numbers": {name: {"stable": one.stable, "canary": one.canary, "pairs": one.pairs, "log_worse": round(one.log_worse(), 3),
                               "log_alike": round(one.log_alike(), 3)} for name, one in self._comparison.measures.items()},
        }  # fmt: skip
