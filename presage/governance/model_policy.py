"""`policies/models/<name>.yaml`: what a model is for, what a mistake costs, and everything that follows from it.

Label, evaluate, package and server read this one file. Escalation thresholds are never written down: they are computed
from the costs, so that they cannot drift apart from them.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, TypeAdapter

from presage.documents import parse_as
from presage.errors import InputError
from presage.files import read_text
from presage.governance.document import Document, Duration
from presage.governance.tiers import EXPLANATIONS, JOURNALS, Explanation, Impact, Journal, RiskTier, RiskTiers, below, load_risk_tiers

Tier = Literal["none", "watch", "act", "page"]
TIERS: tuple[Tier, ...] = ("none", "watch", "act", "page")


Family = Literal["logistic_regression", "random_forest", "lightgbm", "temporal_convolution"]


class Kpi(Document):
    """The operational target; labels are computed from it."""

    id: str
    definition: str
    horizon: Duration


class FalseAlarmCosts(Document):
    """What one needless reaction costs at each tier, in the policy's currency."""

    watch: PositiveFloat
    act: PositiveFloat
    page: PositiveFloat


class Costs(Document):
    currency: str
    missed_incident: PositiveFloat
    false_alarm: FalseAlarmCosts


class Rule(Document):
    """An engineer's heuristic, the rung of last resort: `feature` compared with `above` or `below` gives `risk`."""

    id: str
    feature: str
    above: float | None = None
    below: float | None = None
    risk: float = Field(ge=0, le=1)
    because: str


class TrainingBudget(Document):
    """Seconds each family may train; a fit that would exceed it stops at what it has, and the report says so."""

    logistic_regression: PositiveFloat
    random_forest: PositiveFloat
    lightgbm: PositiveFloat
    temporal_convolution: PositiveFloat


class BreakerPolicy(Document):
    """When a member is left alone, and when it is asked again."""

    failures: int = Field(default=5, ge=1)
    """So many failures in a row open it; memory that ran out and a model that is not loaded open it at once."""
    cooldown: Duration = timedelta(seconds=1)
    """How long it stays open at first; each failed attempt doubles that."""
    longest_cooldown: Duration = timedelta(minutes=1)
    recover: int = Field(default=3, ge=1)
    """So many successes in a row close it again."""


class LadderPolicy(Document):
    """When the path goes down to the next rung, and up again."""

    slow_after: Duration = timedelta(milliseconds=250)
    """A model that takes longer has failed, even where its answer came."""
    breaker: BreakerPolicy = BreakerPolicy()
    drift_return: float = Field(default=0.8, gt=0, le=1)
    """A member that left for drift comes back below this share of the limit."""


class RoutePolicy(Document):
    """Requests whose context has one of these values under every key are answered by one of `use` (a role, or a family)."""

    when: dict[str, tuple[str, ...]] = Field(min_length=1, max_length=8)
    use: tuple[str, ...] = Field(min_length=1)
    prefer: Literal["order", "performance"] = "order"


class BoundsPolicy(Document):
    """How much the path takes on at once."""

    wait: Duration = timedelta(milliseconds=5)
    """A request that would wait longer for its turn is told to come back (503), unless few wait (64 rows)."""
    deadline: Duration = timedelta(seconds=10)
    """Within which an answer must leave where the caller named no deadline."""


class GuardsPolicy(Document):
    """What happens to values that are possible and yet not to be believed."""

    on_far: Literal["mark", "refuse"] = "mark"
    """A row that a caller gave, farther from the training data than nearly every row there: marked in the answer, or refused (422)."""
    replayed_per_minute: int = Field(default=600, ge=1)
    """So often may one caller send the very same row in a minute before it is refused (429)."""


class ModelPolicy(Document):
    name: str
    title: str
    purpose: str
    owner: str
    domain: str
    risk_tier: RiskTier
    impact: Impact | None = None
    """Facts that the lowest risk tier follows from (policies/risk-tiers.yaml, assessment). None in releases made before there were tiers; a file has it."""
    kpi: Kpi
    costs: Costs
    journal: Journal
    explanation: Explanation
    region: str
    training_budget_seconds: TrainingBudget
    rules: tuple[Rule, ...]
    assumptions: tuple[str, ...]
    limits: tuple[str, ...]
    failure_modes: tuple[str, ...]
    also_releases: tuple[str, ...] = ()
    """Names of other releases of this model, such as one for another runtime; the policy holds for them, too."""
    contract_major: int | None = Field(default=None, ge=1)
    """Major version of the contract that is promised to callers: a run that would break it is refused. None: such a run takes the next one."""
    ladder: LadderPolicy = LadderPolicy()
    router: tuple[RoutePolicy, ...] = ()
    ensemble: dict[Family, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    """Family → its share of the answer; empty: the winner of the comparison answers alone."""
    bounds: BoundsPolicy = BoundsPolicy()
    guards: GuardsPolicy = GuardsPolicy()

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
    """Read one policy, and hold it against the risk tiers where these lie beside it (`../risk-tiers.yaml`).

    Raises InputError naming file, key, value and remedy.
    """
    policy = parse_model_policy(read_text(path, "model policy", "Write one, starting from policies/models/incident.yaml."), str(path))
    if (tiers := path.resolve().parents[1] / "risk-tiers.yaml").is_file():
        check_tier(policy, load_risk_tiers(tiers), str(path))
    return policy


def check_tier(policy: ModelPolicy, tiers: RiskTiers, where: str) -> None:
    """A model has at least the tier that its facts ask for, and at least what its tier asks for. Raises InputError."""
    if policy.impact is None:
        raise InputError(f"{where}: impact is missing, so nothing says which risk tier {policy.name} has at least. Declare action, people, data and domain.")
    proposal = tiers.proposed(policy.impact)
    if below(policy.risk_tier, proposal.tier):
        reasons = " ".join(proposal.because)
        if proposal.tier == "prohibited":
            raise InputError(f"{where}: {policy.name} may not be built: {tiers.prohibited.means} {reasons} Change what it is for.")
        raise InputError(
            f"{where}: risk_tier is {policy.risk_tier}, and its declared impact asks for {proposal.tier} at least ({reasons}) "
            f"Write risk_tier: {proposal.tier}, or change what the model does."
        )
    asked = tiers.of(policy.risk_tier)
    if JOURNALS.index(policy.journal) < JOURNALS.index(asked.journal):
        raise InputError(f"{where}: journal is {policy.journal}, and tier {policy.risk_tier} asks for {asked.journal} at least. Write that.")
    if EXPLANATIONS.index(policy.explanation) < EXPLANATIONS.index(asked.explanation):
        raise InputError(f"{where}: explanation is {policy.explanation}, and tier {policy.risk_tier} asks for {asked.explanation} at least. Write that.")
    reaches = [who for who in policy.impact.people if who != "none"]
    if (reaches or "impact assessment" in asked.evidence) and policy.impact.assessment is None:
        whom = f"it reaches {', '.join(reaches)}" if reaches else f"tier {policy.risk_tier} asks for it"
        raise InputError(f"{where}: impact.assessment is missing, and {whom}. Write what that means for them, and what is done about it.")


def parse_model_policy(text: str, where: str) -> ModelPolicy:
    """A policy from its YAML text; `where` names its place in errors."""
    policy = parse_as(TypeAdapter(ModelPolicy), text, where)
    costs = policy.costs.false_alarm
    if not costs.watch < costs.act < costs.page:
        raise InputError(f"{where}: costs.false_alarm must rise from watch ({costs.watch}) to act ({costs.act}) to page ({costs.page}). Mend the costs.")
    if policy.ensemble and abs(sum(policy.ensemble.values()) - 1.0) > 1e-6:
        raise InputError(f"{where}: the shares of ensemble add up to {sum(policy.ensemble.values()):g}, not to 1. Mend the shares.")
    for rule in policy.rules:
        if (rule.above is None) == (rule.below is None):
            raise InputError(f"{where}: rule {rule.id} needs exactly one of above, below. Mend the rule.")
    return policy
