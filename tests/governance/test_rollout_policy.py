"""When nothing is promoted, and in which order domains come."""

from datetime import UTC, datetime

import pytest
from builders.approvals import ROOT

from presage.errors import InputError
from presage.governance.rollout import load_rollout, parse_rollout

TEXT = (ROOT / "policies" / "rollout.yaml").read_text()


@pytest.mark.parametrize(
    ("moment", "freeze"),
    [
        ("2026-11-27T23:59:59", None), ("2026-11-28T00:00:00", "FRZ-1"), ("2026-11-29T23:59:59", "FRZ-1"), ("2026-11-30T00:00:00", None),
        ("2026-12-18T23:59:00", None), ("2026-12-21T00:00:00", "FRZ-2"), ("2027-01-04T05:59:59", "FRZ-2"), ("2027-01-04T06:00:00", None),
    ],
)  # fmt: skip
def test_a_freeze_holds_from_its_first_moment_until_its_end(moment, freeze):
    found = load_rollout(ROOT / "policies" / "rollout.yaml").frozen(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert (found.id if found else None) == freeze


def test_databases_come_after_network_and_a_domain_that_is_not_named_waits_for_nobody():
    policy = load_rollout(ROOT / "policies" / "rollout.yaml")
    assert (policy.before("network"), policy.before("databases"), policy.before("storage")) == ((), ("network",), ())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("order: [network, databases]", "order: [network, network]", "names a domain twice"),
        ("until: 2027-01-04T06:00:00Z, ", "", "exactly one of every, or from and until"),
        ("until: 2027-01-04T06:00:00Z", "until: 2026-01-04T06:00:00Z", "before it begins"),
        ('from: "00:00", until: "24:00"', 'from: "22:00", until: "06:00"', "no time at all"),
        ("2026-12-19T00:00:00Z", "2026-12-19T00:00:00", "timezone"),
    ],
)
def test_a_freeze_that_says_nothing_is_refused(old, new, says):
    assert old in TEXT
    with pytest.raises(InputError, match=says):
        parse_rollout(TEXT.replace(old, new), "policies/rollout.yaml")
