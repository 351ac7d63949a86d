"""History decided again: by the same release to the bit, by another with its differences shown; through the gate, and by the server's own path."""

import shutil

import msgspec
import numpy as np
import pytest
from builders.logs import decision, floats, masking, snapshot, write_log
from builders.replays import ROWS, answer, other_detectors, publish

from benchmarks.serving_release import NEWCOMER, POLICY
from inference.log.folder import files
from inference.log.reading import read_decisions
from inference.log.replay import ready, replay, verified
from inference.log.subjects import Subjects
from presage.errors import ArtifactRefused
from presage.files import sha256_bytes
from presage.governance.model_policy import load_model_policy
from presage.package.keys import Trust
from presage.package.store import ReleaseStore

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def answered(serving_site, tmp_path_factory):
    return answer(serving_site, tmp_path_factory.mktemp("answered"))


def again(answered, release="incident", log=None, **options):
    found = ready(verified(str(release), answered.store, Trust.open(answered.keys), None))
    return replay(log or answered.log, found, None, **options)


def test_the_log_holds_every_answer_with_what_it_was_made_on(answered, serving_site):
    logged = [one for file in files(answered.log, "decisions") for one in read_decisions(file, None)]
    assert [one.decision.prediction_id for one in logged] == [one["prediction_id"] for one in answered.answers]
    said = [(one["risk"], one["tier"], one["server"]) for one in answered.answers]
    assert [(round(one.decision.risk, 6), one.decision.tier, one.decision.server) for one in logged] == said
    assert all((one.snapshot is None) == bool(one.decision.x) for one in logged)
    assert logged[0].writer.inputs == tuple(field.name for field in serving_site.contract.inputs)


def test_the_same_release_gives_the_same_answers_to_the_bit(answered):
    replayed = again(answered)
    assert (replayed.decisions, replayed.replayed, replayed.same) == (len(answered.answers),) * 3
    assert (replayed.rounding, replayed.different, replayed.reasons_changed, replayed.mean_difference) == (0, 0, 0, 0.0)
    assert replayed.tier_changes == replayed.rung_changes == replayed.not_replayed == replayed.largest == []


def test_a_folder_that_the_gate_filled_is_checked_again_and_replayed(answered, serving_site):
    assert again(answered, serving_site.model_dir).different == 0


def test_another_model_s_differences_are_counted_by_tier_and_listed_largest_first(answered, tmp_path):
    replayed = again(answered, publish(answered, tmp_path, primary="simpler"), most=5)
    changed = {one["prediction_id"]: one for one in answered.answers}
    assert replayed.replayed == len(answered.answers) and replayed.different > ROWS / 2 and replayed.same + replayed.different == replayed.decisions
    assert sum(change.decisions for change in replayed.tier_changes) > 0 and all(change.was != change.now for change in replayed.tier_changes)
    moved = [abs(one.new_risk - one.risk) for one in replayed.largest]
    assert len(moved) == 5 and moved == sorted(moved, reverse=True)
    assert all(changed[one.prediction_id]["risk"] == round(one.risk, 6) for one in replayed.largest)


def test_other_costs_move_tiers_and_no_risk(answered, tmp_path):
    policy = load_model_policy(POLICY)
    dearer = policy.model_copy(update={"costs": policy.costs.model_copy(update={"missed_incident": policy.costs.missed_incident * 50})})
    replayed = again(answered, publish(answered, tmp_path, policy=dearer))
    assert replayed.tier_changes and replayed.mean_difference == 0.0
    assert all(one.risk == one.new_risk and one.tier != one.new_tier for one in replayed.largest)


def test_other_detectors_are_computed_anew_from_the_online_rows_of_then(answered, serving_site, tmp_path):
    uri = publish(answered, tmp_path, detectors=other_detectors(serving_site, tmp_path / "fitted"))
    replayed = again(answered, uri, most=100)
    assert replayed.replayed == len(answered.answers) and replayed.not_replayed == []
    servers = {one.server for one in replayed.largest}
    assert servers and None not in servers, "rows that callers gave bring their scores with them"


def test_only_the_days_and_rungs_asked_for_are_replayed(answered):
    day = files(answered.log, "decisions")[0].day
    assert again(answered, since=day).decisions == len(answered.answers)
    assert again(answered, until=day.replace(year=day.year - 1)).decisions == 0
    assert again(answered, rung="simpler").decisions == 0


def test_a_decision_of_a_lower_rung_is_decided_by_the_first_and_counted_there(answered, tmp_path):
    [first, *_] = [one for file in files(answered.log, "decisions") for one in read_decisions(file, None) if one.decision.x]
    fallen = decision(1, x=first.decision.x, rung="rules", because="primary: slow", used="", score=None, risk=0.6, low=0.0, high=1.0, tier="act")
    shadow = decision(2, x=first.decision.x, shadow_of="id-1-0")
    log = write_log(tmp_path, [fallen, shadow], writer=first.writer)
    replayed = again(answered, log=log)
    assert [(one.was, one.now, one.decisions) for one in replayed.rung_changes] == [("rules", "primary", 1)]
    assert replayed.decisions == 1 and again(answered, log=log, shadows=True).decisions == 2


def test_the_same_row_very_often_is_history_and_no_flood(answered, tmp_path):
    [first, *_] = [one for file in files(answered.log, "decisions") for one in read_decisions(file, None) if one.decision.x]
    often = [replace(first.decision, prediction_id=f"id-{number}-0") for number in range(700)]
    assert again(answered, log=write_log(tmp_path, often, writer=first.writer)).same == 700


def test_what_cannot_be_decided_again_is_counted_with_its_cause(answered, tmp_path):
    [first, *_] = [one for file in files(answered.log, "decisions") for one in read_decisions(file, None) if one.decision.x]
    records = [decision(1), snapshot("server-2"), decision(2), decision(3, x=floats(1, 2))]
    log = write_log(tmp_path / "one", records, writer=replace(first.writer, inputs=()))
    write_log(tmp_path / "one", [decision(4, x=first.decision.x)], writer=replace(first.writer, model="another"))
    replayed = again(answered, log=log)
    version = answered.site.contract.feature_version
    assert {cause.cause: cause.decisions for cause in replayed.not_replayed} == {
        "the online row that it read is not in the log": 1,
        f"its features have version abc, the release reads {version}": 1,
        f"the row has 2 values, the release reads {len(answered.site.contract.inputs)}": 1,
        "of another model: another": 1,
    }
    assert replayed.replayed == 0 and replayed.decisions == 4


def test_a_row_whose_inputs_stood_in_another_order_is_read_by_name(answered, tmp_path):
    found = [one for file in files(answered.log, "decisions") for one in read_decisions(file, None) if one.decision.x]
    names = found[0].writer.inputs[::-1]
    turned = [replace(one.decision, x=np.frombuffer(one.decision.x, "<f4")[::-1].tobytes()) for one in found]
    assert again(answered, log=write_log(tmp_path, turned, writer=replace(found[0].writer, inputs=names))).same == len(found)


def test_a_forgotten_subject_s_decisions_are_not_replayed_and_others_are_to_the_bit(answered, tmp_path):
    given = [one for file in files(answered.log, "decisions") for one in read_decisions(file, None) if one.decision.x]
    records = [replace(one.decision, context={"customer": name}) for one, name in zip(given, ("Ann", "Bob"), strict=False)]
    keys = tmp_path / "subjects.db"
    by = masking({"subject: none": "subject: context.customer", "named: {domain: internal,": "named: {customer: subject, domain: internal,",
                  "otherwise: internal ": "otherwise: subject "}, keys)  # fmt: skip
    log = write_log(tmp_path, records, by=by, writer=given[0].writer)
    release = ready(verified("incident", answered.store, Trust.open(answered.keys), None))
    with Subjects.open(keys) as subjects:
        assert replay(log, release, subjects).same == 2
        subjects.forget("Ann", records[0].time + 1)
        replayed = replay(log, release, subjects)
    assert replayed.same == 1 and [cause.cause for cause in replayed.not_replayed] == ["sealed: its subject was forgotten, or its key is not here"]


def test_a_release_that_the_gate_refuses_decides_nothing(answered, tmp_path):
    shutil.copytree(answered.releases, tmp_path / "releases")
    model = tmp_path / "releases/blobs/sha256" / sha256_bytes(answered.site.onnx)
    model.write_bytes(answered.site.onnx[:-1] + b"!")
    with pytest.raises(ArtifactRefused):
        verified("incident", ReleaseStore(tmp_path / "releases"), Trust.open(answered.keys), None)


def test_a_newcomer_stays_a_newcomer(answered):
    """Its coverage is in the log, so its tier stays none whatever its risk."""
    [one] = {one["tier"] for one in answered.answers if one["server"] == NEWCOMER}
    assert one == "none" and again(answered).tier_changes == []


def test_replay_writes_nothing_into_the_log(answered):
    before = {path: path.stat().st_mtime_ns for path in answered.log.rglob("*")}
    again(answered)
    assert {path: path.stat().st_mtime_ns for path in answered.log.rglob("*")} == before
