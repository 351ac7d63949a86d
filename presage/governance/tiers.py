"""`policies/risk-tiers.yaml`: what follows from a model's risk tier, and which tier it has at least.

    tiers = load_risk_tiers(Path("policies/risk-tiers.yaml"))
    tiers.of("medium").canary.steps[0].percent     5
    tiers.proposed(impact)                         Proposal(tier="medium", because=[...])

A tier only tightens: each is at least as strict as the one before it, in everything. That is checked when the file is read, so whoever
enforces one field of a tier need not look at the others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from presage.documents import parse_as
from presage.errors import InputError
from presage.files import read_text
from presage.governance.document import Document, Duration, Id, Sentence

RiskTier = Literal["low", "medium", "high"]
ProposedTier = Literal["low", "medium", "high", "prohibited"]
RISK_TIERS: tuple[RiskTier, ...] = ("low", "medium", "high")
_ORDER: tuple[ProposedTier, ...] = (*RISK_TIERS, "prohibited")

Journal = Literal["process", "disk", "replicated"]
JOURNALS: tuple[Journal, ...] = ("process", "disk", "replicated")
Explanation = Literal["never", "on_request", "always"]
EXPLANATIONS: tuple[Explanation, ...] = ("never", "on_request", "always")
Evidence = Literal["contract", "evaluation", "model card", "impact assessment"]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]{1,38}[a-z]$")]


class Needed(Document):
    """roles: each must have approved; people: so many different ones at least."""

    roles: tuple[Role, ...]
    people: int = Field(ge=0, le=10)


class Step(Document):
    """percent: of the requests, to the canary; soak: so long at least, counted from when the step is live."""

    percent: int = Field(ge=1, le=100)
    soak: Duration


class Detect(Document):
    """The smallest worsening that must not be missed: failed share and wrong decisions as absolute rises, scores as a Kolmogorov-Smirnov distance, durations
    as a ratio that is also `latency_by` at least: below a millisecond a Pod that is asked less is slower by half for its cold caches alone."""

    errors: float = Field(gt=0, lt=1)
    latency: float = Field(gt=1, le=10)
    latency_by: Duration
    scores: float = Field(gt=0, lt=1)
    outcomes: float = Field(gt=0, lt=1)


class CanaryPlan(Document):
    """How a release of the tier comes into service."""

    shadow: bool
    steps: tuple[Step, ...] = Field(min_length=1)
    wait_at_most: Duration
    detect: Detect
    good_reverted: float = Field(gt=0, lt=0.5)
    bad_missed: float = Field(gt=0, lt=0.5)


class TierRules(Document):
    """See policies/risk-tiers.yaml, which explains itself."""

    means: Sentence
    approvals: Needed
    evidence: tuple[Evidence, ...]
    journal: Journal
    explanation: Explanation
    replicas: int = Field(ge=1)
    straight_to_stable: bool
    canary: CanaryPlan


class Prohibited(Document):
    means: Sentence


Action = Literal["informs", "recommends", "acts"]
People = Literal["none", "on_call", "staff", "customers"]
Data = Literal["machine", "personal", "special"]
Field_ = Literal["operations", "staffing", "safety", "other"]


class Impact(Document):
    """What a model's policy declares: what happens on a prediction, whom it reaches, what the data are, where it is used. assessment: in words,
    where people are reached at all."""

    action: Action
    people: tuple[People, ...] = Field(min_length=1)
    data: Data
    domain: Field_
    assessment: Sentence | None = None


class Facts(Document):
    """What a rule looks for: under each key given one of these values."""

    action: tuple[Action, ...] = ()
    people: tuple[People, ...] = ()
    data: tuple[Data, ...] = ()
    domain: tuple[Field_, ...] = ()

    def fits(self, impact: Impact) -> bool:
        return (
            (not self.action or impact.action in self.action)
            and (not self.people or bool(set(self.people) & set(impact.people)))
            and (not self.data or impact.data in self.data)
            and (not self.domain or impact.domain in self.domain)
        )


class AssessmentRule(Document):
    id: Id
    when: Facts
    tier: ProposedTier
    because: Sentence


@dataclass(frozen=True)
class Proposal:
    """tier: the lowest that a model with these facts may have; because: `ASM-1: …` of the rules that say so."""

    tier: ProposedTier
    because: tuple[str, ...]


class RiskTiers(Document):
    id: Id
    title: Sentence
    owner: Sentence
    rationale: Sentence
    tiers: dict[RiskTier, TierRules]
    prohibited: Prohibited
    assessment: tuple[AssessmentRule, ...]

    def of(self, tier: RiskTier) -> TierRules:
        return self.tiers[tier]

    def proposed(self, impact: Impact) -> Proposal:
        """The highest tier of the rules that fit; low where none does."""
        fitting = [rule for rule in self.assessment if rule.when.fits(impact)]
        tier: ProposedTier = "low"
        for rule in fitting:
            tier = rule.tier if below(tier, rule.tier) else tier
        return Proposal(tier, tuple(f"{rule.id}: {rule.because}" for rule in fitting if rule.tier == tier))


def below(tier: ProposedTier, other: ProposedTier) -> bool:
    """Whether `tier` is the less strict of the two."""
    return _ORDER.index(tier) < _ORDER.index(other)


def load_risk_tiers(path: Path) -> RiskTiers:
    """Raises InputError naming file, key, value and remedy."""
    return parse_risk_tiers(read_text(path, "policy of risk tiers", "Write one, starting from policies/risk-tiers.yaml."), str(path))


def parse_risk_tiers(text: str, where: str) -> RiskTiers:
    """From its YAML text; `where` names its place in errors."""
    policy = parse_as(TypeAdapter(RiskTiers), text, where)
    if missing := [tier for tier in RISK_TIERS if tier not in policy.tiers]:
        raise InputError(f"{where}: tiers says nothing of {missing[0]}. Add it: a model may have that tier.")
    for tier, rules in policy.tiers.items():
        for wrong in _of_itself(rules):
            raise InputError(f"{where}: tiers.{tier}.{wrong}")
    for lower, higher in pairwise(RISK_TIERS):
        for name, allowed in _TIGHTENS.items():
            if not allowed(policy.of(lower), policy.of(higher)):
                raise InputError(f"{where}: tiers.{higher}.{name} is looser than that of {lower}. A tier only tightens: make it at least as strict.")
    for position, rule in enumerate(policy.assessment):
        if not any((rule.when.action, rule.when.people, rule.when.data, rule.when.domain)):
            raise InputError(f"{where}: assessment.{position}.when of {rule.id} names no fact, so it would fit every model. Name one.")
    return policy


def _of_itself(rules: TierRules) -> Iterator[str]:
    percents = [step.percent for step in rules.canary.steps]
    if percents != sorted(set(percents)):
        yield f"canary.steps go {', '.join(map(str, percents))} percent, and must rise. Mend the order."
    if percents[-1] != 100:
        yield f"canary.steps end at {percents[-1]} percent, and a promotion needs all of them. Add a step of 100."
    if rules.approvals.people < len(set(rules.approvals.roles)) and rules.approvals.people > 0 and not rules.approvals.roles:
        yield "approvals.people asks for people and names no role. Name the roles."
    if any(step.soak <= timedelta(0) for step in rules.canary.steps) or rules.canary.wait_at_most < max(step.soak for step in rules.canary.steps):
        yield "canary.wait_at_most is shorter than a step's soak. Lengthen it."


def _percents(rules: TierRules) -> tuple[int, ...]:
    return tuple(step.percent for step in rules.canary.steps)


_TIGHTENS: dict[str, Callable[[TierRules, TierRules], bool]] = {
    "approvals": lambda low, high: set(low.approvals.roles) <= set(high.approvals.roles) and low.approvals.people <= high.approvals.people,
    "evidence": lambda low, high: set(low.evidence) <= set(high.evidence),
    "journal": lambda low, high: JOURNALS.index(low.journal) <= JOURNALS.index(high.journal),
    "explanation": lambda low, high: EXPLANATIONS.index(low.explanation) <= EXPLANATIONS.index(high.explanation),
    "replicas": lambda low, high: low.replicas <= high.replicas,
    "straight_to_stable": lambda low, high: low.straight_to_stable or not high.straight_to_stable,
    "canary.shadow": lambda low, high: high.canary.shadow or not low.canary.shadow,
    # From wherever a release stands, the next step of the higher tier goes no farther than that of the lower one.
    "canary.steps": lambda low, high: all(
        min((percent for percent in _percents(high) if percent > at), default=100) <= min((percent for percent in _percents(low) if percent > at), default=100)
        for at in range(100)
    ) and min(step.soak for step in low.canary.steps) <= min(step.soak for step in high.canary.steps),
    "canary.detect": lambda low, high: all(
        getattr(high.canary.detect, name) <= getattr(low.canary.detect, name) for name in ("errors", "latency", "latency_by", "scores", "outcomes")
    ),
    "canary.bad_missed": lambda low, high: high.canary.bad_missed <= low.canary.bad_missed,
}  # fmt: skip
