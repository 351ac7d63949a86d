"""Whether one contract may follow another under one name: a breaking change takes a new major version.

    verdict = judge(old, new)
    verdict.refused          a breaking change under the same major version
    verdict.required         the least version that the changes ask for
"""

from dataclasses import dataclass

from presage.contracts.compare import Change, compare, worst
from presage.contracts.version import Effect
from presage.errors import ArtifactRefused
from presage.package.contract import Contract

_SHOWN = 3


@dataclass(frozen=True)
class Verdict:
    """effect: what all changes amount to, None where there are none; required: the least version that the changes ask for; refused: callers
    would break under the version that promised them not to; understated: nobody breaks, and the version does not tell of the change."""

    old: str
    new: str
    effect: Effect | None
    required: str
    refused: bool
    understated: bool
    changes: list[Change]


def judge(old: Contract, new: Contract) -> Verdict:
    """Compare two contracts and their versions."""
    changes = compare(old, new)
    effect = worst(changes)
    before, after = old.semantic_version, new.semantic_version
    required = before.after(effect)
    refused = effect == "breaking" and before.major == after.major
    return Verdict(old.version, new.version, effect, str(required), refused, not refused and before.major == after.major and after < required, changes)


def check_successor(old: Contract, new: Contract, where: str) -> Verdict:
    """where: who has the old one, for the sentence. Raises ArtifactRefused("contract") where callers of the old contract would break unannounced."""
    verdict = judge(old, new)
    if verdict.refused:
        raise ArtifactRefused("contract", f"{where}: {said(verdict)}")
    return verdict


def said(verdict: Verdict) -> str:
    """A refused verdict in one sentence and its remedy."""
    breaking = [change for change in verdict.changes if change.effect == "breaking"]
    shown = "; ".join(f"{change.where} {_change(change)} ({change.because})" for change in breaking[:_SHOWN])
    more = f"; and {len(breaking) - _SHOWN} more" if len(breaking) > _SHOWN else ""
    return (
        f"contract {verdict.new} breaks callers of {verdict.old} under the same major version: {shown}{more}. Keep what they rely on, or call it "
        f"{verdict.required} (a trained model: contract_major in its policy; an imported one: version in its contract)."
    )


def _change(change: Change) -> str:
    if change.before is None:
        return f"is new: {change.after}"
    return f"{_short(change.before)} is gone" if change.after is None else f"{_short(change.before)} → {_short(change.after)}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
