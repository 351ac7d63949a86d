"""What breaks a caller and what does not, over generated contracts, and through the path's own checks."""

import math

import msgspec
import numpy as np
import pytest
from builders.releases import contract
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.metrics.catalogue import ServingMetrics
from inference.path.guard import guard_values
from inference.path.request import PathRequest
from inference.path.shape import PathLimits, check_shape
from presage.contracts.compare import compare, worst
from presage.contracts.successor import check_successor, judge
from presage.contracts.version import Version, parse_version
from presage.errors import ArtifactRefused, RequestRefused
from presage.package.contract import Contract, InputField, OutputField

replace = msgspec.structs.replace
NAMES = [f"metric{number}.mean_1h" for number in range(5)]
bounds = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))
words = st.sampled_from(["", "chance of an incident", "Chance of an incident.", "something else"])


def between(low, high):
    """Negative zero is zero."""
    return st.floats(low + 0.0, high + 0.0)


@st.composite
def ranges(draw):
    low, high = draw(bounds), draw(bounds)
    return (high, low) if low is not None and high is not None and low > high else (low, high)


@st.composite
def inputs(draw, name):
    low, high = draw(ranges())
    return InputField(name, draw(st.sampled_from(["1", "By"])), low, high, draw(st.booleans()), meaning=draw(words))


@st.composite
def outputs(draw, name):
    if draw(st.booleans()):
        values = draw(st.lists(st.sampled_from(["none", "watch", "act", "page"]), unique=True))
        return OutputField(name, "BYTES", [-1], draw(words), values=values)
    low, high = draw(ranges())
    return OutputField(name, "FP32", draw(st.sampled_from([[-1], [-1, 2], [-1, -1]])), draw(words), low=low, high=high)


@st.composite
def contracts(draw):
    base = contract()
    kind = draw(st.sampled_from(["feature_row", "sequence"]))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    return replace(
        base,
        version=draw(st.sampled_from(["1.0.0", "1.2.3", "2.0.0"])),
        kind=kind,
        history=draw(st.integers(1, 3)) if kind == "sequence" else 0,
        inputs=[draw(inputs(name)) for name in names],
        outputs=[draw(outputs(name)) for name in draw(st.lists(st.sampled_from(["risk", "interval", "tier"]), min_size=1, unique=True))],
        entity=draw(st.sampled_from(["server", "cluster"])),
        horizon=draw(st.sampled_from(["1h", "6h"])),
    )


def loosened(draw, field):
    """What takes no less than `field` took."""
    low = None if field.low is None or draw(st.booleans()) else field.low - draw(st.floats(0, 100, width=16))
    high = None if field.high is None or draw(st.booleans()) else field.high + draw(st.floats(0, 100, width=16))
    return replace(field, low=low, high=high, nullable=field.nullable or draw(st.booleans()))


def tightened(draw, field):
    """What gives no more than `field` gave."""
    if field.dtype == "BYTES":
        return replace(field, values=[value for value in field.values if draw(st.booleans())] or field.values)
    least, most = -1e7 if field.low is None else field.low, 1e7 if field.high is None else field.high
    low = draw(between(least, most))
    return replace(field, low=low, high=draw(between(low, most)))


@st.composite
def successions(draw):
    """A contract, and one that was changed by a few steps, which may or may not break its callers."""
    old = draw(contracts())
    new = old
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(new.inputs) - 1))
        field = new.inputs[place]
        step = draw(st.sampled_from(["loosen", "loosen", "tighten", "add", "remove", "move", "other", "output", "more", "words"]))
        fields, answers = list(new.inputs), list(new.outputs)
        if step == "loosen":
            fields[place] = loosened(draw, field)
        elif step == "tighten":
            fields[place] = draw(inputs(field.name))
        elif step == "add" and (free := [name for name in NAMES if name not in {field.name for field in fields}]):
            fields.insert(draw(st.integers(0, len(fields))), draw(inputs(free[0])))
        elif step == "remove" and len(fields) > 1:
            del fields[place]
        elif step == "move":
            fields = draw(st.permutations(fields))
        elif step == "output":
            answers[0] = tightened(draw, answers[0])
        elif step == "more":
            answers = [*answers, OutputField(f"more{len(answers)}", "FP32", [-1], "another")]
        elif step == "words":
            fields[place] = replace(field, meaning=draw(words))
        elif step == "other":
            new = draw(contracts())
            continue
        new = replace(new, inputs=fields, outputs=answers)
    return old, new


@given(contracts())
def test_a_contract_does_not_differ_from_itself(one):
    assert compare(one, one) == [] and judge(one, one).required == one.version and not judge(one, one).understated


@given(contracts(), contracts())
def test_contracts_that_differ_beyond_their_version_never_compare_equal(one, other):
    same = replace(one, version="1.0.0") == replace(other, version="1.0.0")
    assert (compare(one, other) == []) == same
    assert (compare(other, one) == []) == same


@given(successions())
def test_what_breaks_nobody_in_one_direction_gives_something_up_in_the_other(pair):
    """Both directions name the same places. A change of inputs or outputs that machines see breaks callers in at least one of them."""
    old, new = pair
    there, back = compare(old, new), compare(new, old)
    assert {change.where for change in there} == {change.where for change in back}
    directions = {change.where: {change.effect} for change in there}
    for change in back:
        directions[change.where].add(change.effect)
    for where, effects in directions.items():
        if where.startswith(("inputs.", "outputs.")) and not where.endswith("meaning"):
            assert "breaking" in effects or effects == {"editorial"}, where


@st.composite
def rows(draw, described: Contract):
    """A request that `described` takes: x of its shape, each value in range, missing only where it may be, no row empty."""
    count = draw(st.integers(1, 3))
    ticks = described.history if described.kind == "sequence" else 1
    x = np.full((count, ticks, len(described.inputs)), np.nan, np.float32)
    for column, field in enumerate(described.inputs):
        low, high = (-1e6 if field.low is None else field.low), (1e6 if field.high is None else field.high)
        value = between(min(low, high), max(low, high))
        for place in np.ndindex(count, ticks):
            missing = field.nullable and column and draw(st.booleans())
            x[(*place, column)] = np.nan if missing else draw(value)
    return x if described.kind == "sequence" else x[:, 0]


@st.composite
def asked(draw):
    old, new = draw(successions())
    return old, new, draw(rows(old))


METRICS = ServingMetrics("incident", "1", "tiny", {}, lambda: 0)


def taken(described: Contract, x) -> bool:
    request = PathRequest(x=x.copy())
    try:
        check_shape(described, PathLimits())(request)
    except RequestRefused:
        return False
    guard_values(described, METRICS)([request])
    return request.refused is None


@settings(max_examples=400, deadline=None)
@given(asked())
def test_a_caller_of_the_old_contract_is_taken_by_the_path_under_a_compatible_one(case):
    old, new, x = case
    assert taken(old, x)
    if worst(compare(old, new)) != "breaking":
        assert taken(new, x)


def fits(field: OutputField, value) -> bool:
    if field.dtype == "BYTES":
        return not field.values or value in field.values
    return (-math.inf if field.low is None else field.low) <= value <= (math.inf if field.high is None else field.high)


@settings(max_examples=300, deadline=None)
@given(successions(), st.data())
def test_a_reader_of_the_old_contract_understands_the_answers_of_a_compatible_one(pair, data):
    old, new = pair
    if worst(compare(old, new)) == "breaking":
        return
    given_now = {field.name: field for field in new.outputs}
    for known in old.outputs:
        field = given_now[known.name]
        assert (field.dtype, len(field.shape)) == (known.dtype, len(known.shape))
        if field.dtype == "BYTES":
            value = data.draw(st.sampled_from(field.values)) if field.values else "anything"
        else:
            low = min(-1e6, field.high or 0.0) if field.low is None else field.low
            value = data.draw(between(low, max(1e6, low) if field.high is None else field.high))
        assert fits(known, value)


def with_input(**changes):
    old = contract()
    return replace(old, inputs=[replace(old.inputs[0], **changes), *old.inputs[1:]])


def with_output(**changes):
    old = contract()
    return replace(old, outputs=[replace(old.outputs[0], **changes)])


OLD = replace(contract(), inputs=[replace(contract().inputs[0], low=0.0, high=1.0), *contract().inputs[1:]])
FIRST = OLD.inputs[0]
RISK = OLD.outputs[0]


@pytest.mark.parametrize(("new", "effect", "where"), [
    (replace(OLD, inputs=OLD.inputs[1:]), "breaking", f"inputs.{FIRST.name}"),
    (replace(OLD, inputs=[*OLD.inputs, InputField("late.mean_1h")]), "breaking", "inputs.late.mean_1h"),
    (replace(OLD, inputs=[*OLD.inputs, InputField("late.mean_1h", nullable=False)]), "breaking", "inputs.late.mean_1h"),
    (replace(OLD, inputs=[OLD.inputs[1], FIRST, *OLD.inputs[2:]]), "breaking", "inputs"),
    (replace(OLD, inputs=[replace(FIRST, unit="%"), *OLD.inputs[1:]]), "breaking", f"inputs.{FIRST.name}.unit"),
    (replace(OLD, inputs=[replace(FIRST, dtype="FP64"), *OLD.inputs[1:]]), "breaking", f"inputs.{FIRST.name}.dtype"),
    (replace(OLD, inputs=[replace(FIRST, high=0.9), *OLD.inputs[1:]]), "breaking", f"inputs.{FIRST.name}.high"),
    (replace(OLD, inputs=[replace(FIRST, high=1.5), *OLD.inputs[1:]]), "compatible", f"inputs.{FIRST.name}.high"),
    (replace(OLD, inputs=[replace(FIRST, low=None), *OLD.inputs[1:]]), "compatible", f"inputs.{FIRST.name}.low"),
    (replace(OLD, inputs=[replace(FIRST, nullable=False), *OLD.inputs[1:]]), "breaking", f"inputs.{FIRST.name}.nullable"),
    (replace(OLD, inputs=[replace(FIRST, meaning="mean of all cores"), *OLD.inputs[1:]]), "editorial", f"inputs.{FIRST.name}.meaning"),
    (replace(OLD, kind="sequence"), "breaking", "kind"),
    (replace(OLD, entity="cluster"), "breaking", "entity"),
    (replace(OLD, horizon="6h"), "breaking", "horizon"),
    (replace(OLD, name="other"), "breaking", "name"),
    (replace(OLD, history=3), "editorial", "history"),
    (replace(OLD, detectors=1), "compatible", "detectors"),
    (replace(OLD, features={**OLD.features, "tick": "1m"}), "breaking", "features.tick"),
    (replace(OLD, features={**OLD.features, "min_coverage": 0.7}), "compatible", "features.min_coverage"),
    (replace(OLD, features={**OLD.features, "name": "other"}), "editorial", "features.name"),
    (replace(OLD, outputs=[]), "breaking", "outputs.risk"),
    (replace(OLD, outputs=[RISK, OutputField("tier", "BYTES", [-1], "tier")]), "compatible", "outputs.tier"),
    (replace(OLD, outputs=[replace(RISK, dtype="BYTES")]), "breaking", "outputs.risk.dtype"),
    (replace(OLD, outputs=[replace(RISK, shape=[-1, 2])]), "breaking", "outputs.risk.shape"),
    (replace(OLD, outputs=[replace(RISK, shape=[1])]), "compatible", "outputs.risk.shape"),
    (replace(OLD, outputs=[replace(RISK, low=0.0)]), "compatible", "outputs.risk.low"),
    (replace(OLD, outputs=[replace(RISK, values=["0"])]), "compatible", "outputs.risk.values"),
    (replace(OLD, inputs=[replace(FIRST, unit="%", low=-1.0), *OLD.inputs[1:]]), "breaking", f"inputs.{FIRST.name}.unit"),
    (replace(OLD, outputs=[replace(RISK, unit="%")]), "breaking", "outputs.risk.unit"),
    (replace(OLD, outputs=[replace(RISK, meaning="an anomaly score")]), "breaking", "outputs.risk.meaning"),
    (replace(OLD, outputs=[replace(RISK, meaning=RISK.meaning.capitalize() + ".")]), "editorial", "outputs.risk.meaning"),
], ids=str)  # fmt: skip
def test_every_kind_of_change_has_its_effect_and_its_place(new, effect, where):
    changes = compare(OLD, new)
    assert (changes[0].effect, changes[0].where) == (effect, where) and changes[0].because


@pytest.mark.parametrize(("old", "new", "effect"), [
    (["none", "page"], ["page", "none"], "editorial"), (["none", "page"], ["none"], "compatible"), (["none"], ["none", "page"], "breaking"),
    ([], ["none"], "compatible"), (["none"], [], "breaking"), (["none", "page"], ["none", "act"], "breaking"),
])  # fmt: skip
def test_what_text_can_be_is_a_set_and_only_a_new_value_breaks_a_reader(old, new, effect):
    before, after = (replace(OLD, outputs=[OutputField("tier", "BYTES", [-1], "tier", values=values)]) for values in (old, new))
    assert [(change.effect, change.where) for change in compare(before, after)] == [(effect, "outputs.tier.values")]


@pytest.mark.parametrize(("version", "refused", "understated"), [
    ("1.0.0", True, False), ("1.9.9", True, False), ("2.0.0", False, False), ("3.1.0", False, False),
])  # fmt: skip
def test_a_breaking_change_is_refused_under_the_same_major_version(version, refused, understated):
    verdict = judge(OLD, replace(OLD, horizon="6h", version=version))
    assert (verdict.required, verdict.refused, verdict.understated) == ("2.0.0", refused, understated)


@pytest.mark.parametrize(("changes", "version", "required", "understated"), [
    ({"detectors": 1}, "1.0.0", "1.1.0", True), ({"detectors": 1}, "1.0.1", "1.1.0", True), ({"detectors": 1}, "1.1.0", "1.1.0", False),
    ({"history": 1}, "1.0.0", "1.0.1", True), ({"history": 1}, "1.0.1", "1.0.1", False), ({}, "1.0.0", "1.0.0", False),
])  # fmt: skip
def test_a_version_that_does_not_tell_of_a_change_is_remarked(changes, version, required, understated):
    verdict = judge(OLD, replace(OLD, version=version, **changes))
    assert (verdict.required, verdict.refused, verdict.understated) == (required, False, understated)


def test_the_refusal_names_the_change_the_rule_and_the_version_to_take():
    with pytest.raises(ArtifactRefused) as caught:
        check_successor(OLD, replace(OLD, inputs=[replace(FIRST, high=0.9), *OLD.inputs[1:]]), "releases/")
    message = caught.value.message
    assert caught.value.reason == "contract" and "releases/: contract 1.0.0 breaks callers of 1.0.0" in message
    assert f"inputs.{FIRST.name}.high 1.0 → 0.9 (values that callers may send are refused)" in message and "call it 2.0.0" in message


@pytest.mark.parametrize(("text", "version"), [
    ("1.2.3", Version(1, 2, 3)), ("0.0.0", Version(0, 0, 0)), ("1.2", None), ("v1.2.3", None), ("01.2.3", None), ("1.2.3-rc1", None), ("1.2.3\n", None),
    ("١.٢.٣", None),
])  # fmt: skip
def test_a_version_is_three_numbers(text, version):
    assert parse_version(text) == version


@pytest.mark.parametrize(("changes", "says"), [
    ({"version": "2"}, "MAJOR.MINOR.PATCH"),
    ({"kind": "sequence"}, "history of 0 ticks"),
    ({"outputs": [RISK, RISK]}, "names an output twice"),
    ({"inputs": [FIRST, FIRST]}, "names an input twice"),
    ({"inputs": [replace(FIRST, low=2.0)]}, "the range 2 to 1, in which nothing lies"),
])  # fmt: skip
def test_a_contract_that_makes_no_sense_is_refused_where_it_is_read(changes, says):
    with pytest.raises(ArtifactRefused, match=says):
        Contract.from_json(replace(OLD, **changes).to_json())
