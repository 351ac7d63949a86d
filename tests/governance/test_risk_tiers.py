"""Risk tiers: a tier only tightens, facts propose a tier, and no model has a lower one."""

from pathlib import Path

import pytest
from builders.approvals import ROOT, change_yaml
from hypothesis import given
from hypothesis import strategies as st

from presage.documents import read_commented, write_commented
from presage.errors import InputError
from presage.governance.model_policy import load_model_policy
from presage.governance.tiers import RISK_TIERS, Impact, below, load_risk_tiers, parse_risk_tiers

TIERS = ROOT / "policies" / "risk-tiers.yaml"
TEXT = TIERS.read_text()


@pytest.fixture(scope="module")
def tiers():
    return load_risk_tiers(TIERS)


LOOSER = [
    ("high", ("approvals", "roles"), ["compliance"], "approvals"),
    ("high", ("approvals", "people"), 0, "approvals"),
    ("medium", ("evidence",), ["contract"], "evidence"),
    ("high", ("journal",), "process", None),
    ("medium", ("journal",), "replicated", "journal"),
    ("high", ("explanation",), "never", "explanation"),
    ("high", ("replicas",), 1, "replicas"),
    ("high", ("straight_to_stable",), True, "straight_to_stable"),
    ("high", ("canary", "shadow"), False, "canary.shadow"),
    ("high", ("canary", "steps"), [{"percent": 5, "soak": "2h"}, {"percent": 100, "soak": "2h"}], "canary.steps"),
    ("high", ("canary", "steps"), [{"percent": 5, "soak": "1m"}, {"percent": 10, "soak": "1h"}, {"percent": 25, "soak": "1h"}, {"percent": 50, "soak": "1h"},
                                   {"percent": 100, "soak": "1h"}], "canary.steps"),
    ("high", ("canary", "detect", "errors"), 0.02, "canary.detect"),
    ("high", ("canary", "bad_missed"), 0.1, "canary.bad_missed"),
]  # fmt: skip


@pytest.mark.parametrize(("tier", "key", "value", "says"), LOOSER, ids=lambda value: str(value)[:40])
def test_a_tier_that_is_looser_than_the_one_below_it_is_refused(tier, key, value, says):
    text = with_value(("tiers", tier, *key), value)
    if says is None:
        assert parse_risk_tiers(text, "tiers").of(tier)
        return
    with pytest.raises(InputError, match=f"{says} is looser than that of"):
        parse_risk_tiers(text, "risk-tiers.yaml")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (("tiers", "low", "canary", "steps"), [{"percent": 50, "soak": "1m"}, {"percent": 5, "soak": "1m"}], "must rise"),
        (("tiers", "low", "canary", "steps"), [{"percent": 5, "soak": "1m"}], "end at 5 percent"),
        (("tiers", "low", "canary", "wait_at_most"), "1m", "wait_at_most is shorter"),
        (("tiers", "low", "canary", "detect", "latency"), 0.9, "latency"),
        (("tiers", "low", "replica"), 1, "replica"),
        (("assessment",), [{"id": "ASM-1", "when": {}, "tier": "high", "because": "always"}], "names no fact"),
    ],
)
def test_a_mistake_is_said_with_its_key(key, value, says):
    with pytest.raises(InputError, match=says) as error:
        parse_risk_tiers(with_value(key, value), "policies/risk-tiers.yaml")
    assert "policies/risk-tiers.yaml" in error.value.message


def with_value(key, value) -> str:
    document = place = read_commented(TEXT, "risk-tiers.yaml")
    for name in key[:-1]:
        place = place[name]
    place[key[-1]] = value
    return write_commented(document)


impacts = st.builds(
    Impact,
    action=st.sampled_from(["informs", "recommends", "acts"]),
    people=st.lists(st.sampled_from(["none", "on_call", "staff", "customers"]), min_size=1, max_size=4, unique=True).map(tuple),
    data=st.sampled_from(["machine", "personal", "special"]),
    domain=st.sampled_from(["operations", "staffing", "safety", "other"]),
)


@given(impact=impacts, more=st.sampled_from(["staff", "customers"]))
def test_reaching_more_people_never_lowers_the_tier_that_is_proposed(tiers, impact, more):
    wider = impact.model_copy(update={"people": (*impact.people, more)})
    assert not below(tiers.proposed(wider).tier, tiers.proposed(impact).tier)


@given(impact=impacts)
def test_a_proposal_says_by_which_rules(tiers, impact):
    proposal = tiers.proposed(impact)
    assert bool(proposal.because) == (proposal.tier != "low")


@pytest.mark.parametrize(
    ("impact", "says"),
    [
        ({"action": "acts"}, "asks for medium at least"),
        ({"action": "acts", "people": ["customers"]}, "asks for high at least"),
        ({"data": "special"}, "asks for high at least"),
        ({"domain": "staffing", "action": "acts"}, "may not be built"),
        ({"assessment": None}, "impact.assessment is missing, and it reaches on_call"),
    ],
)
def test_a_model_of_a_lower_tier_than_its_facts_ask_for_is_refused(tmp_path: Path, impact, says):
    policy = tmp_path / "policies" / "models" / "incident.yaml"
    policy.parent.mkdir(parents=True)
    (tmp_path / "policies" / "risk-tiers.yaml").write_text(TEXT)
    policy.write_text((ROOT / "policies" / "models" / "incident.yaml").read_text())
    assert load_model_policy(policy).risk_tier == "low"
    change_yaml(policy, lambda document: document["impact"].update(impact))
    with pytest.raises(InputError, match=says):
        load_model_policy(policy)


@pytest.mark.parametrize(("tier", "says"), [("high", "journal is process, and tier high asks for disk"), ("medium", "")])
def test_a_model_does_at_least_what_its_tier_asks_for(tmp_path: Path, tier, says):
    policy = tmp_path / "policies" / "models" / "incident.yaml"
    policy.parent.mkdir(parents=True)
    (tmp_path / "policies" / "risk-tiers.yaml").write_text(TEXT)
    policy.write_text((ROOT / "policies" / "models" / "incident.yaml").read_text().replace("risk_tier: low", f"risk_tier: {tier}"))
    if says:
        with pytest.raises(InputError, match=says):
            load_model_policy(policy)
    else:
        assert load_model_policy(policy).risk_tier == tier


def test_every_tier_needs_at_least_the_roles_and_people_of_the_one_below(tiers):
    needs = [tiers.of(tier).approvals for tier in RISK_TIERS]
    assert [need.people for need in needs] == sorted(need.people for need in needs)


def test_a_mistake_is_said_with_its_line():
    """Of the key that is wrong; where a key is missing, of what it should stand in."""
    line = next(number for number, text in enumerate(TEXT.splitlines(), start=1) if "latency: 1.25" in text)
    with pytest.raises(InputError, match=rf"^policies/risk-tiers.yaml:{line}: tiers.high.canary.detect.latency: .*0.25"):
        parse_risk_tiers(TEXT.replace("latency: 1.25", "latency: 0.25"), "policies/risk-tiers.yaml")
    line = next(number for number, text in enumerate(TEXT.splitlines(), start=1) if "medium:" in text)
    with pytest.raises(InputError, match=rf"^policies/risk-tiers.yaml:{line}: tiers.medium.means: Field required"):
        without = next(text for text in TEXT.splitlines(keepends=True) if text.startswith("    means: A prediction opens"))
        parse_risk_tiers(TEXT.replace(without, ""), "policies/risk-tiers.yaml")
