"""A model's policy: thresholds follow from costs, and a mistake in the file is said with its key."""

from pathlib import Path

import pytest

from presage.errors import InputError
from presage.governance.model_policy import load_model_policy

POLICY = Path("policies/models/incident.yaml")


def test_the_threshold_is_where_reacting_starts_to_pay():
    policy = load_model_policy(POLICY)
    for tier, threshold in policy.thresholds.items():
        cost_of_reacting = (1 - threshold) * getattr(policy.costs.false_alarm, tier)
        assert cost_of_reacting == pytest.approx(threshold * policy.costs.missed_incident)
        assert policy.tier(threshold) == tier
        assert policy.tier(threshold - 1e-9) != tier


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("missed_incident: 5000", "missed_incident: -1", "costs.missed_incident"),
        ("    watch: 250 ", "    watch: 9000 ", "must rise"),
        ("horizon: 1h", "horizon: soon", "kpi.horizon"),
        ("    above: 0.95\n    risk: 0.6", "    risk: 0.6", "exactly one of above, below"),
        ("owner:", "ownr:", "owner"),
    ],
)
def test_a_mistake_is_said_with_file_and_key(tmp_path: Path, old: str, new: str, said: str):
    text = POLICY.read_text()
    assert old in text
    wrong = tmp_path / "incident.yaml"
    wrong.write_text(text.replace(old, new))
    with pytest.raises(InputError) as error:
        load_model_policy(wrong)
    assert said in str(error.value)
    assert str(wrong) in str(error.value)


def test_a_missing_policy_says_where_to_start(tmp_path: Path):
    with pytest.raises(InputError, match="no model policy here"):
        load_model_policy(tmp_path / "none.yaml")
