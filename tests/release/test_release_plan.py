"""From where a release stands to its next step: capacity before share, one step after the other, and back from anywhere."""

import pytest
from builders.repositories import ONE, ROOT, TWO
from hypothesis import given
from hypothesis import strategies as st

from presage.errors import InputError
from presage.governance.tiers import RISK_TIERS, load_risk_tiers
from presage.release.plan import Original, advance, revert, rollback, start
from presage.release.standing import Canary, Standing

TIERS = load_risk_tiers(ROOT / "policies" / "risk-tiers.yaml")
standings = st.builds(lambda replicas, written: Standing(ONE, replicas, replicas if written else None), st.integers(1, 40), st.booleans())


def way(standing: Standing, tier: str, capacity: int) -> list[tuple[str, Standing]]:
    """Every step until there is nothing to come."""
    original = Original(standing.replicas, standing.written)
    change = start(standing, TWO, TIERS.of(tier))
    steps = []
    while change is not None:
        steps.append((change.step, change.after))
        change = advance(change.after, TIERS.of(tier), capacity, original)
    return steps


@given(standings, st.sampled_from(RISK_TIERS), st.integers(1, 60))
def test_a_good_release_ends_as_the_stable_one_with_everything_else_as_it_was(standing, tier, capacity):
    steps = way(standing, tier, capacity)
    assert steps[-1] == ("retire", Standing(TWO, standing.replicas, standing.written))
    assert [step for step, _ in steps][-2:] == ["promote", "retire"]
    percents = [after.canary.percent for step, after in steps if step in ("start", "raise")]
    assert percents == [step.percent for step in TIERS.of(tier).canary.steps]


@given(standings, st.sampled_from(RISK_TIERS), st.integers(1, 60))
def test_capacity_is_there_before_the_share_that_needs_it(standing, tier, capacity):
    before = standing
    for step, after in way(standing, tier, capacity):
        if after.canary is not None:
            assert 1 <= after.canary.replicas <= after.replicas  # KServe refuses more
            assert after.replicas - after.canary.replicas >= standing.replicas  # what is left of the stable one can take everything back
        if step == "raise":
            assert before.canary.replicas >= max(capacity, standing.replicas) * after.canary.percent / 100
            assert before.canary.replicas == after.canary.replicas and before.replicas == after.replicas  # a share's commit changes the share alone
        if step == "prepare":
            assert before.canary.percent == after.canary.percent
        if step == "promote":
            assert before.canary.percent == 100 and before.canary.replicas >= max(capacity, standing.replicas)
        before = after


@given(standings, st.sampled_from(RISK_TIERS), st.integers(1, 60), st.data())
def test_from_any_step_one_change_takes_it_all_back(standing, tier, capacity, data):
    steps = [after for step, after in way(standing, tier, capacity) if after.canary is not None and after.stable == ONE]
    here = data.draw(st.sampled_from(steps))
    assert revert(here, Original(standing.replicas, standing.written)).after == standing


def test_one_release_at_a_time():
    busy = Standing(ONE, 2, None, Canary(TWO, 5, 1))
    with pytest.raises(InputError, match="is on its way, at 5 percent"):
        start(busy, TWO, TIERS.of("low"))
    with pytest.raises(InputError, match="stable release already"):
        start(Standing(ONE, 2), ONE, TIERS.of("low"))
    with pytest.raises(InputError, match="nothing to take back"):
        revert(Standing(ONE, 2), Original(2, None))


def test_a_rollback_takes_what_is_on_its_way_with_it():
    here = Standing(TWO, 4, 4, Canary("presage://incident:3@sha256:" + "3" * 64, 50, 2), "presage://incident:3@sha256:" + "3" * 64)
    assert rollback(here, ONE, Original(2, None)).after == Standing(ONE, 2, None)
    with pytest.raises(InputError, match="stable release already"):
        rollback(Standing(ONE, 2), ONE, Original(2, None))
