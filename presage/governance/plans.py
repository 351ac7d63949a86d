"""What follows from each tier, as release, judge, gate and server go by it: `policies/plans/<tier>.json`, compiled.

    files = release_plans(policies)         # path in the repository → text

Whoever reviews a change of a policy sees there what becomes another, for which models, and no line that enforces something changes without it: the
files are compared at each check. Reasons and descriptions are left out.
"""

import json
from typing import TYPE_CHECKING, Any

from presage.governance.tiers import RISK_TIERS

if TYPE_CHECKING:
    from presage.governance.repository import Policies

PLANS = "policies/plans"
_WORDS = {"title", "purpose", "owner", "assumptions", "limits", "failure_modes"}


def release_plans(policies: "Policies") -> dict[str, str]:
    """One document a tier: its rules, its models with what they declare, the order of domains and the freezes, and how a tier is proposed."""
    return {f"{PLANS}/{tier}.json": json.dumps(_plan(policies, tier), indent=2, ensure_ascii=False) + "\n" for tier in RISK_TIERS}


def _plan(policies: "Policies", tier: Any) -> dict[str, Any]:
    rollout = policies.rollout
    models = {name: model.model_dump(mode="json", exclude=_WORDS) for name, model in policies.models.items() if model.risk_tier == tier}
    return {
        "schema": "presage.plan/v1",
        "tier": tier,
        "rules": policies.tiers.of(tier).model_dump(mode="json", exclude={"means"}),
        "models": models,
        "thresholds": {name: policies.models[name].thresholds for name in models},
        "rollout": {"order": rollout.order, **rollout.model_dump(mode="json", by_alias=True, include={"after", "freezes"})},
        "prohibited": policies.tiers.prohibited.model_dump(mode="json"),
        "assessment": [rule.model_dump(mode="json") for rule in policies.tiers.assessment],
        "approvals": policies.approvers.model_dump(mode="json", include={"expires_after", "author_may_approve", "one_person_one_approval"}),
    }
