"""A Deployment is replaced Pod by Pod, never with fewer ready or more in all than its strategy allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presage.local.rollout import PodState, Strategy, read_strategy, step
from presage.manifests.fields import FieldError, Fields


def limits(surge, unavailable):
    return {"maxSurge": surge, "maxUnavailable": unavailable}


def rolled(strategy, pods, choose):
    """Carry out steps, one Pod turning ready or going at a time as `choose` says, until nothing is left to do; every state on the way."""
    pods, made = list(pods), len(pods)
    for _ in range(400):
        next_step = step(strategy, "new", pods)
        assert not set(next_step.end) - {pod.name for pod in pods if not pod.ending}
        pods = [PodState(pod.name, pod.revision, pod.ready, pod.ending or pod.name in next_step.end) for pod in pods]
        for _ in range(next_step.create):
            pods.append(PodState(f"p{made}", "new", ready=False))
            made += 1
        yield pods
        moving = [pod for pod in pods if pod.ending or not pod.ready]
        if not moving:
            return
        chosen = moving[choose % len(moving)]
        pods = [pod for pod in pods if pod is not chosen]
        if not chosen.ending:
            pods.append(PodState(chosen.name, chosen.revision, ready=True))
    raise AssertionError("does not come to an end")


@given(st.integers(1, 5), st.integers(0, 3), st.integers(0, 3), st.integers(0, 5), st.integers(0, 100))
def test_a_rolling_update_keeps_enough_ready_and_never_too_many(replicas, surge, unavailable, before, choose):
    if not surge and not unavailable:
        surge = 1
    strategy = Strategy("RollingUpdate", replicas, surge, min(unavailable, replicas))
    old = [PodState(f"p{n}", "old", ready=True) for n in range(before)]
    states = list(rolled(strategy, old, choose))
    floor = min(before, replicas - strategy.unavailable)
    for pods in states:
        living = [pod for pod in pods if not pod.ending]
        assert sum(pod.ready for pod in living) >= floor
        assert len(living) <= max(before, replicas + surge)
    assert [pod.revision for pod in states[-1]] == ["new"] * replicas


@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 100))
def test_recreate_never_runs_two_revisions_at_once(replicas, before, choose):
    old = [PodState(f"p{n}", "old", ready=True) for n in range(before)]
    states = list(rolled(Strategy("Recreate", replicas), old, choose))
    assert all(len({pod.revision for pod in pods}) <= 1 for pods in states)
    assert [pod.revision for pod in states[-1]] == ["new"] * replicas


def test_a_new_pod_that_never_gets_ready_leaves_the_old_one_serving():
    strategy = Strategy("RollingUpdate", 1)
    pods = [PodState("web-0", "old", ready=True)]
    assert step(strategy, "new", pods).create == 1
    stuck = [*pods, PodState("web-1", "new", ready=False)]
    assert (step(strategy, "new", stuck).create, step(strategy, "new", stuck).end) == (0, ())
    assert step(strategy, "newer", stuck).end == ("web-1",)


@pytest.mark.parametrize(
    ("written", "meant"),
    [({}, (1, 0)), (limits(2, 1), (2, 1)), (limits("50%", "50%"), (2, 1)), (limits(0, 1), (0, 1))],
)
def test_percentages_are_rounded_up_for_surge_and_down_for_unavailable(written, meant):
    read = read_strategy(Fields("Deployment web", "spec", {"strategy": {"rollingUpdate": written}}), 3)
    assert (read.surge, read.unavailable) == meant


@pytest.mark.parametrize("written", [{"type": "Sometimes"}, {"rollingUpdate": limits("many", 0)}, {"rollingUpdate": limits(0, 0)}, {"speed": 1}])
def test_a_strategy_that_cannot_be_followed_is_refused(written):
    with pytest.raises(FieldError):
        read_strategy(Fields("Deployment web", "spec", {"strategy": written}), 2)
