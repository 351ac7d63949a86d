"""The JSON Schemas of docs/schemas: valid themselves, as strict as architecture.md's list, and held by real documents elsewhere."""

from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import msgspec
import orjson
import pytest

from presage.local import status, status_document
from presage.predictions import FeatureState, ModelName, Prediction, Reason
from presage.state import State

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted((ROOT / "docs" / "schemas").glob("*.json"))


def validator(name):
    schema = orjson.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_bytes())
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def printed(document):
    return orjson.loads(orjson.dumps(document, default=msgspec.to_builtins, option=orjson.OPT_UTC_Z))


def prediction(**changes):
    given = {
        "server": "web-01", "time": datetime(2026, 3, 1, 12, tzinfo=UTC), "risk": 0.31, "interval": (0.22, 0.4), "tier": "act",
        "reasons": [Reason("system.cpu.utilization.mean_1h", 0.97, 1.2, "system.cpu.utilization"), Reason("detector.ensemble.last", 9.1, 0.4)],
        "model": ModelName("incident", "1"),
        "features": FeatureState("0f" * 8, 12.5, [1.0, 0.9, 0.4]), "warming": "2h of 6h", "rung": "primary", "prediction_id": "ab-0",
    }  # fmt: skip
    return Prediction(**{**given, **changes})


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_each_schema_is_valid_and_names_a_command(path):
    schema = orjson.loads(path.read_bytes())
    jsonschema_rs.meta.validate(schema)
    assert schema["title"] == f"presage {path.stem.replace('-', ' ')} -o json"


def test_the_library_s_prediction_is_what_the_schema_describes():
    given_row = prediction(server=None, time=None, warming=None, reasons=[], features=FeatureState("0f" * 8, None, None))
    validator("predict").validate(printed([prediction(), given_row]))


@pytest.mark.parametrize("changes", [{"risk": 1.2}, {"tier": "panic"}, {"rung": "guess"}, {"interval": (0.1, 0.2, 0.3)}, {"warming": "soon"}], ids=str)
def test_a_prediction_outside_the_contract_is_refused(changes):
    assert not validator("predict").is_valid(printed([prediction(**changes)]))


def test_the_status_of_a_state_where_nothing_runs_follows_the_schema(tmp_path):
    document = status_document(status(State.open(tmp_path)))
    validator("status").validate(printed(document))


def test_a_run_handed_to_an_endpoint_follows_the_schema_and_half_a_run_does_not():
    where = {"endpoint": "https://kfp.example", "url": "https://kfp.example/#/runs/4c1"}
    submitted = {"run_id": "4c1", "pipeline": "incident-training", "status": "submitted", **where}
    validator("run").validate(submitted)
    assert not validator("run").is_valid({**submitted, "status": "succeeded"})


@pytest.mark.parametrize("command", ["run", "predict", "status"])
def test_the_page_for_people_names_every_key_of_the_schema(command):
    schema = orjson.loads((ROOT / "docs" / "schemas" / f"{command}.json").read_bytes())
    described = schema.get("$defs", {}).get("finished") or schema.get("items") or schema
    section = (ROOT / "docs" / "machine-readable.md").read_text().split(f"## presage {command}\n")[1].split("\n## ")[0]
    assert {key for key in described["properties"] if f"`{key}`" not in section} == set()
