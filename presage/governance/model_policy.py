"""`policies/models/<name>.yaml`: what a model is for, what a mistake costs, and everything that follows from it.

Label, evaluate, package and server read this one file. Escalation thresholds are never written down: they are computed
from the costs, so that they cannot drift apart from them.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PositiveFloat, TypeAdapter

from presage.documents import parse_as
from presage.durations import format_duration, parse_duration
from presage.errors import InputError
from presage.files import read_text

Tier = Literal["none", "watch", "act", "page"]
TIERS: tuple[Tier, ...] = ("none", "watch", "act", "page")


def _duration(value: object) -> object:
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except InputError as error:
        raise ValueError(error.message) from None  # so that pydantic adds the key


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, when_used="json"),  # a policy dumped as JSON reads back as itself
]
Family = Literal["logistic_regression", "random_forest", "lightgbm", "temporal_convolution"]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Kpi(_Document):
    """The operational target; labels are computed from it."""

    id: str
    definition: str
    horizon: Duration


class FalseAlarmCosts(_Document):
    """What one needless reaction costs at each tier, in the policy's currency."""

    watch: PositiveFloat
    act: PositiveFloat
    page: PositiveFloat


class Costs(_Document):
    currency: str
    missed_incident: PositiveFloat
    false_alarm: FalseAlarmCosts


class Rule(_Document):
    """An engineer's heuristic, the rung of last resort: `feature` compared with `above` or `below` gives `risk`."""

    id: str
    feature: str
    above: float | None = None
    below: float | None = None
    risk: float = Field(ge=0, le=1)
    because: str


class TrainingBudget(_Document):
    """Seconds each family may train; a fit that would exceed it stops at what it has, and the report says so."""

    logistic_regression: PositiveFloat
    random_forest: PositiveFloat
    lightgbm: PositiveFloat
    temporal_convolution: PositiveFloat


class ModelPolicy(_Document):
    name: str
    title: str
    purpose: str
    owner: str
    domain: str
    risk_tier: Literal["low", "medium", "high"]
    kpi: Kpi
    costs: Costs
    journal: Literal["process", "disk", "replicated"]
    explanation: Literal["always", "on_request", "never"]
    region: str
    training_budget_seconds: TrainingBudget
    rules: tuple[Rule, ...]
    assumptions: tuple[str, ...]
    limits: tuple[str, ...]
    failure_modes: tuple[str, ...]

    @property
    def thresholds(self) -> dict[Tier, float]:
        """Lowest risk of each tier. Reacting pays when risk · missed_incident ≥ (1 − risk) · false_alarm."""
        costs = self.costs
        return {tier: getattr(costs.false_alarm, tier) / (getattr(costs.false_alarm, tier) + costs.missed_incident) for tier in TIERS[1:]}

    def tier(self, risk: float) -> Tier:
        """The highest tier whose threshold `risk` reaches."""
        reached: Tier = "none"
        for tier, threshold in self.thresholds.items():
            if risk >= threshold:
                reached = tier
        return reached


def load_model_policy(path: Path) -> ModelPolicy:
    """Read one policy. Raises InputError naming file, key, value and remedy."""
    return parse_model_policy(read_text(path, "model policy", "Write one, starting from policies/models/incident.yaml."), str(path))


def parse_model_policy(text: str, where: str) -> ModelPolicy:
    """A policy from its YAML text; `where` names its place in errors."""
    policy = parse_as(TypeAdapter(ModelPolicy), text, where)
    costs = policy.costs.false_alarm
    if not costs.watch < costs.act < costs.page:
        raise InputError(f"{where}: costs.false_alarm must rise from watch ({costs.watch}) to act ({costs.act}) to page ({costs.page}). Mend the costs.")
    for rule in policy.rules:
        if (rule.above is None) == (rule.below is None):
            raise InputError(f"{where}: rule {rule.id} needs exactly one of above, below. Mend the rule.")
    return policy
