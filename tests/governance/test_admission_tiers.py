"""The compiled policy presage-tiers, asked offline: each rule allows what it should and denies what it should not."""

from copy import deepcopy

import pytest
from builders.approvals import ROOT
from hypothesis import given
from hypothesis import strategies as st

from presage.governance.admission.tiers import Literals, tiers_policy
from presage.governance.tiers import load_risk_tiers
from presage.manifests.admission import OfflinePolicy

TIERS = load_risk_tiers(ROOT / "policies" / "risk-tiers.yaml")
ONE, TWO, THREE, GONE = (f"sha256:{digit * 64}" for digit in "1234")
NAMES = {ONE: "incident:1", TWO: "incident:2", THREE: "incident:3"}


def uri(digest: str, name: str = "") -> str:
    return f"presage://{name or NAMES.get(digest, 'incident:9')}@{digest}"


def policy(tier: str, served: tuple[str, ...] = ()) -> OfflinePolicy:
    return OfflinePolicy(tiers_policy(Literals(TIERS, {"incident": tier}, NAMES, (GONE,), served)))


HIGH, LOW = policy("high"), policy("low")


def service(stable: str = uri(ONE), canary: tuple[str, int] | None = None, *, replicas: int = 2, name: str = "incident"):
    def model(named):
        return {"modelFormat": {"name": "presage"}, "storageUri": named}

    found = {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": name, "namespace": "models-network"},
        "spec": {"predictor": {"minReplicas": replicas, "model": model(stable)}},
    }  # fmt: skip
    if canary:
        found["spec"]["canary"] = [{"trafficPercent": canary[1], "predictor": {"name": "canary", "minReplicas": 1, "model": model(canary[0])}}]
    return found


ALLOWED = {
    "a new service with an approved release": (service(), None),
    "the first step": (service(canary=(uri(TWO), 5)), service()),
    "less than the first step": (service(canary=(uri(TWO), 1)), service()),
    "the next step": (service(canary=(uri(TWO), 10)), service(canary=(uri(TWO), 5))),
    "part of the next step": (service(canary=(uri(TWO), 20)), service(canary=(uri(TWO), 10))),
    "back a step": (service(canary=(uri(TWO), 5)), service(canary=(uri(TWO), 50))),
    "again where it was": (service(canary=(uri(TWO), 25)), service(canary=(uri(TWO), 25))),
    "promotion by copy": (service(uri(TWO), (uri(TWO), 100)), service(canary=(uri(TWO), 100))),
    "the entry goes": (service(uri(TWO)), service(uri(TWO), (uri(TWO), 100))),
    "the canary is taken back": (service(), service(canary=(uri(TWO), 50))),
    "resolved for the first time": (service(), service("presage://incident:0@unresolved")),
    "a shadow of it": (service(uri(TWO), name="incident-shadow", replicas=1), None),
}
DENIED = {
    "nothing is known of the model": (service(name="other"), None, "no policy says what other is for"),
    "a release that nobody approved": (service(uri("sha256:" + "9" * 64)), None, "not approved for tier high"),
    "an approved digest under another name": (service(uri(ONE, "incident:2")), None, "not approved for tier high"),
    "a canary that nobody approved": (service(canary=(uri("sha256:" + "9" * 64), 5)), service(), "not approved for tier high"),
    "an unresolved release": (service("presage://incident:0@unresolved"), None, "not approved for tier high"),
    "revoked": (service(uri(GONE)), None, "revoked: presage://incident:9@sha256:4444"),
    "a canary that was revoked": (service(canary=(uri(GONE), 5)), service(), "revoked"),
    "a shadow that was revoked": (service(uri(GONE), name="incident-shadow"), None, "revoked"),
    "one replica": (service(replicas=1), None, "asks for 2 replicas"),
    "no word of replicas": ({**service(), "spec": {"predictor": {"model": service()["spec"]["predictor"]["model"]}}}, None, "asks for 2 replicas"),
    "more than the first step": (service(canary=(uri(TWO), 6)), service(), "rises by more than one step"),
    "a step left out": (service(canary=(uri(TWO), 25)), service(canary=(uri(TWO), 5)), "rises by more than one step"),
    "a new service with its canary far ahead": (service(canary=(uri(TWO), 50)), None, "rises by more than one step"),
    "another release where one had got to": (service(canary=(uri(THREE), 50)), service(canary=(uri(TWO), 50)), "rises by more than one step"),
    "straight into the stable one": (service(uri(TWO)), service(), "takes a release that its canary served at 100 percent"),
    "promoted from half way": (service(uri(TWO), (uri(TWO), 50)), service(canary=(uri(TWO), 50)), "takes a release that its canary"),
    "promoted while another is at 100": (service(uri(THREE), (uri(TWO), 100)), service(canary=(uri(TWO), 100)), "takes a release that its canary"),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_what_a_release_does_on_its_way_is_admitted(what):
    new, old = ALLOWED[what]
    assert HIGH.ask(new, old).messages == ()


@pytest.mark.parametrize("what", DENIED)
def test_what_the_tier_does_not_allow_is_refused_with_its_reason(what):
    new, old, says = DENIED[what]
    messages = HIGH.ask(new, old).messages
    assert any(says in message for message in messages) and not any(message.startswith("error") for message in messages), messages


def test_two_canaries_are_one_too_many():
    two = service(canary=(uri(TWO), 5))
    two["spec"]["canary"].append({**deepcopy(two["spec"]["canary"][0]), "trafficPercent": 1})
    assert any("more than one canary" in message for message in HIGH.ask(two, service()).messages)


def test_a_release_that_served_before_is_gone_back_to_at_once():
    back = policy("high", ("incident:1@" + ONE,))
    assert back.ask(service(uri(ONE)), service(uri(TWO))).messages == ()
    assert HIGH.ask(service(uri(ONE)), service(uri(TWO))).messages != ()


def test_tier_low_needs_no_approval_and_goes_straight():
    assert LOW.ask(service(uri("sha256:" + "9" * 64), replicas=1), service(replicas=1)).messages == ()
    assert LOW.ask(service(canary=(uri(TWO), 100), replicas=1), service(replicas=1)).messages == ()
    assert LOW.ask(service(uri(GONE), replicas=1)).messages != ()


def test_kserves_own_updates_and_what_changes_nothing_are_not_judged():
    bad = service(uri(GONE))
    assert not HIGH.ask(bad, service(), user="system:serviceaccount:kserve:kserve-controller-manager").judged
    assert not HIGH.ask(bad, deepcopy(bad)).judged


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6))
def test_no_admitted_change_leaves_a_step_out(percents):
    """Whatever is asked for in whatever order."""
    steps = [step.percent for step in TIERS.of("high").canary.steps]
    at = 0
    for percent in percents:
        admitted = HIGH.ask(service(canary=(uri(TWO), percent)), service(canary=(uri(TWO), at) if at else None)).allowed
        assert admitted == (not any(at < step < percent for step in steps))
        at = percent if admitted else at
