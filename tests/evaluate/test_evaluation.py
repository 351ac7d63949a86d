"""The evaluation of a fleet, from folders that the steps made: what it says, and what it must not read."""

import shutil

import numpy as np
import polars as pl
import pytest
from builders.incidents import policy

from components.evaluate.evaluation import evaluate
from presage.errors import InputError
from presage.files import read_json, sha256_file
from presage.package.calibration import VennAbers

FAMILIES = ("logistic_regression", "lightgbm")


def changed(evaluated, folder, name, table):
    """The run's folders with one table of labels or folds replaced."""
    for part in ("labels", "folds", "detectors", *FAMILIES):
        shutil.copytree(evaluated.root / part, folder / part)
    table.write_parquet(folder / name)
    return [folder / family for family in FAMILIES], folder / "labels", folder / "folds", folder / "detectors", policy(), folder / "evaluation"


def test_measures_are_those_of_scikit_learn_on_the_rows_it_writes(evaluated):
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    document, table = read_json(evaluated.evaluation / "evaluation.json"), pl.read_parquet(evaluated.evaluation / "predictions.parquet")
    winner = next(family for family in document["families"] if family["name"] == document["winner"])
    label = table["label"].to_numpy()
    np.testing.assert_allclose(winner["average_precision"], average_precision_score(label, table["score"]))
    np.testing.assert_allclose(winner["roc_auc"], roc_auc_score(label, table["score"]))
    np.testing.assert_allclose(winner["brier"], brier_score_loss(label, table["risk"]))
    np.testing.assert_allclose(document["prevalence"], label.mean())
    ensemble = next(baseline for baseline in document["baselines"] if baseline["name"] == "unsupervised_ensemble")
    np.testing.assert_allclose(document["gain"], winner["average_precision"] - ensemble["average_precision"])
    assert winner["average_precision_interval"][0] <= winner["average_precision"] <= winner["average_precision_interval"][1]


def test_everything_the_contract_names_is_there(evaluated):
    document = read_json(evaluated.evaluation / "evaluation.json")
    assert {"winner", "horizon_minutes", "prevalence", "rows", "clusters", "families", "baselines", "gain", "gain_interval", "paired", "thresholds", "strict",
            "point_adjusted"} <= document.keys()  # fmt: skip
    assert [family["name"] for family in document["families"]] == list(FAMILIES)
    assert [baseline["name"] for baseline in document["baselines"]] == ["unsupervised_ensemble", "persistence"]
    pairs = {(pair["family"], pair["against"]) for pair in document["paired"]}
    assert {(family, against) for family in FAMILIES for against in ("unsupervised_ensemble", "persistence")} <= pairs
    for entry in (*document["families"], *document["baselines"]):
        assert set(entry["events_detected"]) == set(entry["events_detected_early"]) == {"1", "0.2"}
        assert sum(server["events"] for server in entry["per_server"]) == entry["events"] > 0
    assert document["strict"]["prevalence"] < document["prevalence"]


def test_a_model_of_incidents_that_announce_themselves_detects_them_early(evaluated):
    document = read_json(evaluated.evaluation / "evaluation.json")
    winner = next(family for family in document["families"] if family["name"] == document["winner"])
    assert winner["events_detected"]["1"] > 0.9 and winner["events_detected_early"]["1"] > 0.7 and winner["median_lead_minutes"] > 10


def test_persistence_is_the_label_of_one_horizon_ago(evaluated):
    table = pl.read_parquet(evaluated.evaluation / "predictions.parquet")
    earlier = pl.read_parquet(evaluated.labels / "labels.parquet").select("entity", pl.col("time").dt.offset_by("1h"), expected=pl.col("label").fill_null(0))
    both = table.join(earlier, on=["entity", "time"], how="inner")
    assert both.height > 100 and (both["persistence"] == both["expected"]).all()


def test_the_calibration_beside_each_family_gives_the_risks_that_were_judged(evaluated):
    table = pl.read_parquet(evaluated.evaluation / "predictions.parquet")
    winner = read_json(evaluated.evaluation / "evaluation.json")["winner"]
    calibration = VennAbers.load((evaluated.evaluation / "calibration" / f"{winner}.safetensors").read_bytes())
    risk, p0, p1 = calibration.apply(table["score"].cast(pl.Float64).to_numpy())
    for name, expected in (("risk", risk), ("p0", p0), ("p1", p1)):
        np.testing.assert_allclose(table[name], expected)


def test_labels_of_the_test_part_choose_nothing(evaluated, tmp_path):
    """Winner, thresholds and calibration stay the same when every test label is turned round."""
    labels = pl.read_parquet(evaluated.labels / "labels.parquet")
    test = pl.read_parquet(evaluated.folds / "folds.parquet").filter(pl.col("part") == "test").select("entity", "time", turned=pl.lit(True))
    turned = labels.join(test, on=["entity", "time"], how="left", maintain_order="left").with_columns(
        label=pl.when(pl.col("turned")).then(1 - pl.col("label")).otherwise("label").cast(pl.Int8)
    )
    arguments = changed(evaluated, tmp_path, "labels/labels.parquet", turned.drop("turned"))
    evaluate(*arguments)
    before, after = (read_json(folder / "evaluation.json") for folder in (evaluated.evaluation, tmp_path / "evaluation"))
    assert before["winner"] == after["winner"] and before["thresholds"] == after["thresholds"]
    for family in FAMILIES:
        place = f"calibration/{family}.safetensors"
        assert sha256_file(evaluated.evaluation / place) == sha256_file(tmp_path / "evaluation" / place)


def test_a_part_of_one_class_is_refused_and_nothing_is_written(evaluated, tmp_path):
    labels = pl.read_parquet(evaluated.labels / "labels.parquet").with_columns(label=pl.lit(0, dtype=pl.Int8))
    arguments = changed(evaluated, tmp_path, "labels/labels.parquet", labels)
    with pytest.raises(InputError, match="the part select has 0 incident rows"):
        evaluate(*arguments)
    assert not (tmp_path / "evaluation").exists()


def test_a_model_that_left_rows_out_is_named(evaluated, tmp_path):
    arguments = changed(evaluated, tmp_path, "lightgbm/scores.parquet", pl.read_parquet(evaluated.root / "lightgbm" / "scores.parquet").head(10))
    with pytest.raises(InputError, match=r"lightgbm/scores\.parquet: \d+ rows of select, calibrate and test have no score"):
        evaluate(*arguments)


def test_evaluating_again_writes_the_same_numbers(evaluated, tmp_path):
    evaluate([evaluated.root / family for family in FAMILIES], evaluated.labels, evaluated.folds, evaluated.detectors, policy(), tmp_path / "again")
    for name in ("evaluation.json", "curves.json"):
        assert (tmp_path / "again" / name).read_bytes() == (evaluated.evaluation / name).read_bytes()
