"""What the path reads of a policy is what the policy says, and what cannot be read is refused."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from inference.path.terms import terms_of
from presage.errors import ArtifactRefused
from presage.governance.model_policy import BoundsPolicy, BreakerPolicy, GuardsPolicy, LadderPolicy, load_model_policy

POLICY = load_model_policy(Path(__file__).parents[3] / "policies" / "models" / "incident.yaml")
DURATION = some.integers(1, 10**9).map(lambda milliseconds: timedelta(milliseconds=milliseconds))
BREAKER = some.builds(BreakerPolicy, failures=some.integers(1), cooldown=DURATION, longest_cooldown=DURATION, recover=some.integers(1))
LADDER = some.builds(LadderPolicy, slow_after=DURATION, breaker=BREAKER, drift_return=some.floats(0, 1, exclude_min=True))
GUARDS = some.builds(GuardsPolicy, on_far=some.sampled_from(["mark", "refuse"]), replayed_per_minute=some.integers(1))


def plain(found):
    """Nested names to values, durations in seconds."""
    if isinstance(found, timedelta):
        return found.total_seconds()
    names = getattr(found, "__struct_fields__", None) or getattr(type(found), "model_fields", None)
    return {name: plain(getattr(found, name)) for name in names} if names else found


@given(LADDER, some.builds(BoundsPolicy, wait=DURATION, deadline=DURATION), GUARDS, some.sampled_from(["never", "on_request", "always"]))
def test_whatever_the_policy_says_the_path_goes_by_it(ladder, bounds, guards, explanation):
    policy = POLICY.model_copy(update={"ladder": ladder, "bounds": bounds, "guards": guards, "explanation": explanation})
    terms = terms_of(policy.model_dump(mode="json"))
    assert plain(terms) == {name: plain(getattr(policy, name)) for name in terms.__struct_fields__}


@pytest.mark.parametrize(("name", "value", "says"), [
    ("journal", "none", "journal"), ("explanation", None, "explanation"), ("region", 7, "region"), ("bounds", {"wait": "5ms"}, "deadline"),
    ("bounds", {"wait": "soon", "deadline": "10s"}, "'soon' is no duration"), ("bounds", {"wait": 5, "deadline": "10s"}, "wait"),
    ("guards", {"on_far": "mark", "replayed_per_minute": 0}, "replayed_per_minute"), ("ladder", None, "ladder"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(name, value, says):
    document = POLICY.model_dump(mode="json") | {name: value}
    with pytest.raises(ArtifactRefused, match=says):
        terms_of(document)
    del document[name]
    with pytest.raises(ArtifactRefused, match=name):
        terms_of(document)
