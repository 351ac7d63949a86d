"""The package step: two releases that the gate admits, documents made from the run, the same bytes for the same run."""

import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import onnxruntime
import polars as pl
import pytest
from builders.releases import policy
from builders.trained import HISTORY, METRICS, steps

from components.package.lineage import RunIdentity, folder_digest
from components.package.package import package
from presage.contracts.reading import previous_contract
from presage.contracts.successor import judge
from presage.errors import InputError
from presage.files import read_json, write_json
from presage.package.gate import admit
from presage.package.keys import Trust
from presage.package.store import ReleaseStore
from presage.package.trees import TreeArrays
from presage.state import State

RUN = RunIdentity("run-1", "2026-11-22T06:00:00Z", "sha256:" + "c" * 64, "sha256:" + "d" * 64, 7)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return steps(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def packaged(trained, tmp_path_factory):
    root = tmp_path_factory.mktemp("packaged")
    package(trained, policy(), RUN, State.open(root / "state"), root / "packaged")
    return root


def another_state(packaged, root):
    """A state of its own, but for the registry, whose tables take seconds to make."""
    shutil.copytree(packaged / "state" / "mlflow", root / "state" / "mlflow")
    return State.open(root / "state")


def admitted(root, name):
    state = State.open(root / "state")
    uri = next(model["uri"] for model in read_json(root / "packaged" / "result.json")["models"] if model["name"] == name)
    return admit(uri, root / "pods" / name, ReleaseStore(state.releases), Trust.open(state.keys))


def test_the_winner_is_released_with_the_simpler_member_and_the_rules(packaged):
    release = admitted(packaged, "incident")
    assert [(role, one.member.family) for role, one in release.packages.items()] == [("primary", "lightgbm"), ("simpler", "logistic_regression")]
    assert release.document.ladder == ["primary", "simpler", "rules", "default"]
    assert release.document.default == pytest.approx(0.1, abs=0.03)
    assert [rule.id for rule in release.document.rules] == [rule.id for rule in policy().rules]
    assert TreeArrays.load(release.primary.files["trees.safetensors"]).features == 1


def test_the_convolution_is_a_release_of_its_own(packaged):
    release = admitted(packaged, "incident-sequence")
    contract = release.primary.contract
    assert (contract.kind, contract.history, len(contract.inputs), contract.detectors) == ("sequence", HISTORY, METRICS, 0)
    assert release.document.ladder == ["primary", "rules", "default"]
    session = onnxruntime.InferenceSession(release.primary.onnx, providers=["CPUExecutionProvider"])
    assert session.run(["score"], {"x": np.zeros((2, HISTORY, METRICS), np.float32)})[0].tolist() == [0.5, 0.5]


def test_inputs_carry_units_and_ranges_of_the_catalogue(packaged):
    inputs = {field.name: field for field in admitted(packaged, "incident").primary.contract.inputs}
    mean, slope, spread = (inputs[f"system.cpu.utilization.{name}_1h"] for name in ("mean", "slope", "std"))
    assert (mean.unit, mean.low, mean.high) == ("1", 0.0, 1.0)
    assert slope.unit == "1/h" and slope.low < 0 < slope.high
    assert (spread.low, spread.high) == (0.0, 0.5)
    assert inputs["detector.ensemble.last"].low == 0.0
    assert inputs["calendar.hour_sin"].low == -1.0


def test_lineage_and_card_tell_where_the_model_comes_from(packaged, trained):
    primary = admitted(packaged, "incident").primary
    lineage = primary.document("lineage.json")
    assert lineage["data"]["digest"] == folder_digest(trained.validated)
    assert (lineage["run_id"], lineage["seed"], lineage["code"], lineage["lock"]) == ("run-1", 7, RUN.code, RUN.lock)
    assert lineage["features"]["version"] == primary.contract.feature_version
    card = primary.files["card.md"].decode()
    for said in (policy().purpose, "0.6 [0.5, 0.7]", "80 %", lineage["data"]["digest"], *policy().limits, *policy().failure_modes, "license: apache-2.0"):
        assert said in card
    assert "{{" not in card


def test_metrics_hold_measures_and_no_timings(packaged):
    metrics = admitted(packaged, "incident").primary.document("metrics.json")
    assert (metrics["average_precision"], metrics["prevalence"], metrics["gain_interval"]) == (0.6, 0.1, [0.1, 0.5])
    assert not {"seconds", "budget_seconds", "budget_bound"} & metrics.keys()


def test_the_run_and_its_versions_are_registered_as_candidates(packaged):
    result = read_json(packaged / "packaged" / "result.json")
    assert result["registry"]["versions"] == {"incident": "1", "incident-sequence": "1"}
    with sqlite3.connect(packaged / "state" / "mlflow" / "mlflow.db") as registry:
        tags = dict(registry.execute("select key, value from model_version_tags where name = 'incident'").fetchall())
        aliases = registry.execute("select name, alias from registered_model_aliases").fetchall()
    assert tags["presage.release"] == result["model"]["uri"]
    assert sorted(aliases) == [("incident", "candidate"), ("incident-sequence", "candidate")]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (packaged / "state" / "mlflow").rglob("*"))


@pytest.mark.slow
def test_runs_that_end_together_in_a_new_state_are_all_registered(tmp_path):
    """Processes, as runs are: within one, MLflow makes its tables only once."""
    registering = """
import sys, mlflow.tracking
from pathlib import Path
from components.package.registry import register
print("ready", flush=True)
sys.stdin.readline()
register(Path(sys.argv[1]), sys.argv[2], {}, {}, {})
"""
    command = [sys.executable, "-c", registering, str(tmp_path / "mlflow")]
    runs = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for name in ("one", "two")]
    for run in runs:
        run.stdout.readline()
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    said = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said


def test_result_names_the_release_as_the_schema_asks(packaged):
    model = read_json(packaged / "packaged" / "result.json")["model"]
    assert model.keys() == {"name", "version", "digest", "uri"}
    assert model["uri"] == f"presage://incident:{model['version']}@{model['digest']}"


def test_packaging_the_same_run_again_changes_nothing(packaged, trained, tmp_path):
    package(trained, policy(), RUN, State.open(packaged / "state"), tmp_path / "again")
    assert read_json(tmp_path / "again" / "result.json") == read_json(packaged / "packaged" / "result.json")


def test_packaging_the_same_run_elsewhere_gives_the_same_digests(packaged, trained, tmp_path):
    package(trained, policy(), RUN, another_state(packaged, tmp_path), tmp_path / "packaged")
    here, there = (read_json(root / "packaged" / "result.json")["models"] for root in (packaged, tmp_path))
    assert [(one["digest"], one["members"]) for one in here] == [(one["digest"], one["members"]) for one in there]


def test_logistic_regression_alone_has_no_simpler_member(packaged, trained, tmp_path):
    alone = replace(trained, models=[folder for folder in trained.models if folder.name == "logistic_regression"], evaluation=tmp_path / "evaluation")
    evaluation = read_json(trained.evaluation / "evaluation.json")
    families = [family for family in evaluation["families"] if family["name"] == "logistic_regression"]
    write_json(alone.evaluation / "evaluation.json", evaluation | {"winner": "logistic_regression", "families": families})
    (alone.evaluation / "calibration").symlink_to(trained.evaluation / "calibration")
    package(alone, policy(), RUN, another_state(packaged, tmp_path), tmp_path / "packaged")
    assert [member["role"] for model in read_json(tmp_path / "packaged" / "result.json")["models"] for member in model["members"]] == ["primary"]


def test_a_model_of_other_inputs_is_not_packaged(trained, tmp_path):
    folder = shutil.copytree(trained.models[0], tmp_path / "lightgbm")
    training = json.loads((folder / "training.json").read_bytes())
    write_json(folder / "training.json", training | {"inputs": training["inputs"][::-1]})
    with pytest.raises(InputError, match="other inputs"):
        package(replace(trained, models=[folder]), policy(), RUN, State.open(tmp_path / "state"), tmp_path / "packaged")
    assert not (tmp_path / "packaged").exists()


def contract_of(state, name="incident"):
    return previous_contract(ReleaseStore(state.releases), name)


def changed_steps(trained, root, change):
    """The same steps, but for the feature rows: `change` is given the table."""
    shutil.copytree(trained.features, root / "features")
    path = root / "features" / "rows.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    return replace(trained, features=root / "features")


def test_training_again_on_data_that_lies_within_changes_no_contract(trained, packaged, tmp_path):
    """Ranges made from data would move with every run, and each move inwards would break a caller."""
    state = another_state(packaged, tmp_path)
    package(trained, policy(), RUN, state, tmp_path / "first")
    before = contract_of(state)
    slope = next(field.name for field in before.inputs if "slope" in field.name)
    smaller = changed_steps(trained, tmp_path, lambda rows: rows.with_columns(pl.col(slope) / 2))
    package(smaller, policy(), replace(RUN, run_id="run-2"), state, tmp_path / "second")
    assert ReleaseStore(state.releases).versions("incident") == [1, 2] and contract_of(state) == before


def test_data_beyond_a_range_widens_it_and_the_version_tells(trained, packaged, tmp_path):
    state = another_state(packaged, tmp_path)
    package(trained, policy(), RUN, state, tmp_path / "first")
    before = contract_of(state)
    slope = next(field for field in before.inputs if "slope" in field.name)
    larger = changed_steps(trained, tmp_path, lambda rows: rows.with_columns(pl.col(slope.name) + 2 * slope.high))
    package(larger, policy(), replace(RUN, run_id="run-2"), state, tmp_path / "second")
    after = contract_of(state)
    verdict = judge(before, after)
    assert (before.version, after.version, verdict.effect) == ("1.0.0", "1.1.0", "compatible")
    assert [change.where for change in verdict.changes] == [f"inputs.{slope.name}.high"]


def six_hours(major=None):
    changed = policy()
    return changed.model_copy(update={"kpi": changed.kpi.model_copy(update={"horizon": timedelta(hours=6)}), "contract_major": major})


def test_a_breaking_change_takes_the_next_major_version_by_itself_and_is_refused_where_the_policy_promised_another(trained, packaged, tmp_path):
    state = another_state(packaged, tmp_path)
    package(trained, policy().model_copy(update={"contract_major": 1}), RUN, state, tmp_path / "first")
    with pytest.raises(InputError, match=r"promises contract_major 1, and contract 1.0.0 breaks callers of 1.0.0 .* horizon 1h → 6h"):
        package(trained, six_hours(1), RUN, state, tmp_path / "refused")
    assert ReleaseStore(state.releases).versions("incident") == [1] and not (tmp_path / "refused").exists()
    package(trained, six_hours(), RUN, state, tmp_path / "second")
    assert contract_of(state).version == contract_of(state, "incident-sequence").version == "2.0.0"
    with pytest.raises(InputError, match=r"contract_major is 1, and the last release of incident has contract 2.0.0. Say contract_major: 2."):
        package(trained, six_hours(1), RUN, state, tmp_path / "refused")
    package(trained, six_hours(3), RUN, state, tmp_path / "third")
    assert contract_of(state).version == "3.0.0"
