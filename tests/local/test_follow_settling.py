"""Which applications of a commit are taken: apart from each other, judged by the policies of the commit, as many as can be run together."""

import pytest
import yaml
from branches import NOT_BAD, config_map, policy
from hypothesis import given, settings
from hypothesis import strategies as st

from presage.errors import PlaneError
from presage.local.following.judged import settle
from presage.local.record import Plan
from presage.manifests.objects import parse_objects


def texts(**applications):
    return {name: yaml.safe_dump_all(objects).encode() for name, objects in applications.items()}


def everything(found):
    return Plan("local", [one for name in sorted(found) for one in parse_objects(found[name], name)])


def runnable(*pairs):
    """A plan maker that refuses texts in which one of these values stands without the other, as a Pod without its ConfigMap."""

    def make(found):
        values = {one["data"]["value"] for one in everything(found).objects if one["kind"] == "ConfigMap"}
        for value, needed in pairs:
            if value in values and needed not in values:
                raise PlaneError(f"{value} needs {needed}")
        return everything(found)

    return make


def test_what_did_not_change_is_not_planned_again():
    now = texts(web=[config_map("a")])
    assert settle(now, now, runnable()).plan is None


def test_a_refused_application_keeps_what_it_had_and_the_others_go_on():
    before = texts(policies=NOT_BAD, web=[config_map("a")], other=[config_map("a", "other")])
    wanted = texts(policies=NOT_BAD, web=[config_map("bad")], other=[config_map("b", "other")])
    settled = settle(wanted, before, runnable())
    denied = "ValidatingAdmissionPolicy 'values' with binding 'values' denied request: value: write a good one."
    assert settled.refused == {"web": f"ConfigMap presage/settings: {denied}"}
    assert settled.taken == {**before, "other": wanted["other"]}


def test_one_refused_object_refuses_its_whole_application():
    before = texts(policies=NOT_BAD, web=[config_map("a"), config_map("a", "second")])
    settled = settle(texts(policies=NOT_BAD, web=[config_map("b"), config_map("bad", "second")]), before, runnable())
    assert (settled.taken, settled.plan) == (before, None)


def test_a_policy_judges_the_commit_that_brings_it():
    settled = settle(texts(policies=NOT_BAD, web=[config_map("bad")]), texts(web=[config_map("a")]), runnable())
    assert settled.refused.keys() == {"web"}
    assert settled.taken.keys() == {"policies", "web"}


def test_what_already_runs_is_not_judged_again_by_a_new_policy():
    before = texts(web=[config_map("bad")])
    settled = settle(texts(policies=NOT_BAD, web=[config_map("bad"), config_map("b", "second")]), before, runnable())
    assert settled.refused == {}


def test_a_policy_that_does_not_compile_leaves_the_old_ones_in_force():
    before = texts(policies=NOT_BAD, web=[config_map("a")])
    settled = settle(texts(policies=policy("object.data.value ="), web=[config_map("bad")]), before, runnable())
    assert "does not compile" in settled.failed["policies"]
    assert settled.refused.keys() == {"web"}
    assert settled.taken == before


def test_a_policy_application_that_cannot_be_run_judges_nobody():
    strange = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    before = texts(policies=policy("true"), web=[config_map("a")])

    def make(found):
        if b"kind: Pod" in found.get("policies", b""):
            raise PlaneError("no such kind")
        return everything(found)

    settled = settle(texts(policies=[*NOT_BAD, strange], web=[config_map("bad")]), before, make)
    assert (settled.failed, settled.refused) == ({"policies": "no such kind"}, {})
    assert b"bad" in settled.taken["web"]


def test_a_deletion_is_judged_too():
    kept = policy(
        "oldObject.metadata.?labels[?'hold'].orValue('') != 'yes'", "it is on hold",
        matchConstraints={"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]}]},
    )
    before = texts(policies=kept, web=[config_map("a"), config_map("a", "second", hold="yes")])
    settled = settle(texts(policies=kept, web=[config_map("a")]), before, runnable())
    assert "ConfigMap presage/second" in settled.refused["web"]
    gone = settle(texts(policies=kept), before, runnable())  # the folder, and all that it held
    assert gone.refused.keys() == {"web"}
    assert settle(texts(policies=kept), texts(policies=kept, web=[config_map("a")]), runnable()).taken.keys() == {"policies"}


def test_an_emptied_application_is_not_taken_away():
    before = texts(web=[config_map("a")])
    settled = settle({"web": b"# nothing\n"}, before, runnable())
    assert "holds no object" in settled.failed["web"]
    assert settled.taken == before


@pytest.mark.parametrize(("text", "says"), [(b"{", "not YAML"), (b"\xff", "no UTF-8 text"), ("a: b".encode("utf-16"), "no UTF-8 text")])
def test_text_that_is_no_yaml_fails_its_application_alone(text, says):
    before = texts(web=[config_map("a")], other=[config_map("a", "other")])
    settled = settle({**texts(other=[config_map("b", "other")]), "web": text}, before, runnable())
    assert says in settled.failed["web"]
    assert settled.taken["web"] == before["web"] and b"value: b" in settled.taken["other"]


def test_an_application_that_cannot_be_run_leaves_the_others_alone():
    settled = settle(texts(a=[config_map("needs")], b=[config_map("y", "b")]), texts(a=[config_map("x")]), runnable(("needs", "absent")))
    assert settled.failed == {"a": "needs needs absent"}
    assert everything(settled.taken) == settled.plan == everything(texts(a=[config_map("x")], b=[config_map("y", "b")]))


def test_applications_that_need_each_other_are_taken_together_and_one_that_cannot_be_run_beside_them_does_not_hinder_them():
    pairs = (("left", "right"), ("right", "left"), ("needs", "absent"))
    wanted = texts(a=[config_map("left", "a")], b=[config_map("right", "b")], c=[config_map("needs", "c")])
    assert settle({name: wanted[name] for name in "ab"}, {}, runnable(*pairs)).taken.keys() == {"a", "b"}
    settled = settle(wanted, {}, runnable(("left", "right"), ("needs", "absent")))
    assert (settled.taken.keys(), settled.failed.keys()) == ({"a", "b"}, {"c"})


def test_an_object_that_two_applications_hold_is_refused():
    settled = settle(texts(a=[config_map("x")], b=[config_map("y")]), texts(a=[config_map("x")]), runnable())
    assert "is in the applications a and b" in settled.failed["b"]


NAMES = st.sampled_from("abcd")


@given(st.dictionaries(NAMES, st.sampled_from(["good", "bad", "needs", "also good"])), st.dictionaries(NAMES, st.just("old")))
def test_every_application_runs_its_own_commit_or_what_it_ran(wanted, before):
    """Whatever mixture of refused, failing and good ones: each is decided by itself."""
    now = texts(policies=NOT_BAD, **{name: [config_map(value, name)] for name, value in wanted.items()})
    old = texts(policies=NOT_BAD, **{name: [config_map(value, name)] for name, value in before.items()})
    settled = settle(now, old, runnable(("needs", "absent")), again=True)
    assert settled.plan == everything(settled.taken)
    for name in {*wanted, *before}:
        good = wanted.get(name) not in ("bad", "needs")
        assert settled.taken.get(name) == (now.get(name) if good else old.get(name))
        assert (name in settled.refused, name in settled.failed) == (wanted.get(name) == "bad", wanted.get(name) == "needs")


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["name", "namespace", "labels", "resourceRules", "matchConstraints", "validations", "expression", "policyName", "x"]), inner, max_size=3,
), max_leaves=8)  # fmt: skip
KINDS = st.sampled_from(["ConfigMap", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Namespace"])


@pytest.mark.long
@settings(max_examples=200)
@given(st.sampled_from(["policies", "web"]), KINDS, st.fixed_dictionaries({"labels": ANYTHING, "namespace": ANYTHING}), ANYTHING)
def test_no_object_however_formed_holds_up_the_others(where, kind, metadata, rest):
    strange = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", **metadata}, "spec": rest, "data": rest}
    before = texts(policies=NOT_BAD, web=[config_map("a")], other=[config_map("a", "other")])
    now = texts(policies=NOT_BAD, web=[config_map("a")], other=[config_map("b", "other")])
    now[where] += b"---\n" + yaml.safe_dump(strange).encode()
    settled = settle(now, before, everything)
    assert settled.taken["other"] == now["other"]
    assert settled.plan == everything(settled.taken)
