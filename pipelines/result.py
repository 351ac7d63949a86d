"""What a run comes to, as one document: read from the evaluation and the package, never computed anew.

result.json holds all of it; what `-o json` prints is PRINTED, which docs/schemas/run.json describes.
"""

from pathlib import Path
from typing import Any

from presage.files import read_json

MEASURES = ("average_precision", "average_precision_interval", "roc_auc", "brier", "events_detected", "events_detected_early", "median_lead_minutes")
PRINTED = (
    "run_id", "pipeline", "status", "seconds", "peak_memory_mib", "winner", "families", "model", "prevalence", *MEASURES,
    "unsupervised_average_precision", "gain_interval", "persistence_average_precision", "report",
)

SCORED = ("run_id", "pipeline", "status", "seconds", "peak_memory_mib", "release", "job", "rows", "refused", "tiers", "rungs", "predictions")


def result_document(folder: Path, artifacts: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """folder: the run's. artifacts: name → place seen from it. about: run_id, pipeline, status, seconds, peak_memory_mib, ….

    Steps that the pipeline does not have leave their part out.
    """
    document = {**about, "artifacts": artifacts}
    if "evaluation" in artifacts:
        document |= _measures(read_json(folder / artifacts["evaluation"] / "evaluation.json"))
    if "packaged" in artifacts:
        document["model"] = read_json(folder / artifacts["packaged"] / "result.json")["model"]
    if "quality" in artifacts and "quarantine" in artifacts:
        document["quarantined"] = _quarantined(folder / artifacts["quarantine"], folder / artifacts["quality"])
    return document


def scoring_document(folder: Path, artifacts: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """As above, of batch scoring: what the step's summary says, and where the predictions lie."""
    place = (folder / artifacts["predictions"]).resolve()
    return {**about, **read_json(place / "summary.json"), "predictions": str(place), "artifacts": artifacts}


def printed(document: dict[str, Any]) -> dict[str, Any]:
    """The part of result.json, or of scored.json, that is printed for programs, in the order of PRINTED or SCORED."""
    return {name: document[name] for name in (SCORED if "predictions" in document else PRINTED) if name in document}


def _measures(evaluation: dict[str, Any]) -> dict[str, Any]:
    families = {family["name"]: family for family in evaluation["families"]}
    baselines = {baseline["name"]: baseline for baseline in evaluation["baselines"]}
    winner = families[evaluation["winner"]]
    return {
        "winner": winner["name"],
        "families": [{name: family[name] for name in ("name", "average_precision", "average_precision_interval", "seconds")} for family in families.values()],
        "prevalence": evaluation["prevalence"],
        **{name: winner[name] for name in MEASURES},
        "unsupervised_average_precision": baselines["unsupervised_ensemble"]["average_precision"],
        "gain": evaluation["gain"],
        "gain_interval": evaluation["gain_interval"],
        "persistence_average_precision": baselines["persistence"]["average_precision"],
    }


def _quarantined(ingested: Path, validated: Path) -> dict[str, Any]:
    """{rows, cells, kept_rows}: refused whole at ingest or validate; cells refused alone; rows that went on."""
    at_ingest, at_validate = read_json(ingested / "summary.json"), read_json(validated / "quality.json")
    return {
        "rows": at_ingest["refused_rows"] + at_validate["refused_rows"],
        "cells": at_ingest["refused_cells"] + sum(metric["refused"] for metric in at_validate["metrics"]),
        "kept_rows": at_validate["rows"] - at_validate["refused_rows"],
    }
