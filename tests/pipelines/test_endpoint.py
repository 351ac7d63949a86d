"""A run can be handed to a Kubeflow Pipelines endpoint: the committed IR, with the arguments that a run here gets."""

from pathlib import Path

import pytest
import yaml
from kubeflow import serving

from pipelines.catalogue import find_pipeline
from pipelines.endpoint import submit
from pipelines.request import Request
from presage import runs
from presage.errors import RunFailed, UsageError

ROOT = Path(__file__).parents[2]


def asked(source: str = "simulated") -> Request:
    return Request("incident-training", source, ROOT / "policies/models/incident.yaml", ROOT / "feature_store/views/server_windows.yaml")


@pytest.mark.long
def test_the_committed_pipeline_and_every_argument_arrive(monkeypatch):
    monkeypatch.setenv("PRESAGE_ENDPOINT_TOKEN", "a-token")
    with serving() as endpoint:
        submitted = runs.submit("incident-training", endpoint.url, source="simulated:servers=3", families=("lightgbm",), seed=11)
    assert (submitted.status, submitted.run_id) == ("submitted", "7d3e0a52-0000-4000-8000-000000000002")
    assert submitted.url.startswith(endpoint.url)
    (body,) = endpoint.runs
    compiled, platform = yaml.safe_load_all(find_pipeline("incident-training").compiled.read_text())
    assert body["pipeline_spec"] == {"pipeline_spec": compiled, "platform_spec": platform}
    given = body["runtime_config"]["parameters"]
    required = {name for name, about in compiled["root"]["inputDefinitions"]["parameters"].items() if not about.get("isOptional")}
    assert required <= given.keys()
    assert (given["source"], given["families"], given["seed"]) == ("simulated:servers=3", ["lightgbm"], 11)
    assert given["policy"] == asked().policy.read_text()
    assert "Bearer a-token" in endpoint.tokens


def test_an_address_where_nothing_answers_is_said_in_a_sentence():
    with serving() as endpoint:
        url = endpoint.url
    with pytest.raises(RunFailed, match=f"Nothing answers as Kubeflow Pipelines at {url}"):
        submit(asked(), url)


def test_a_refusal_is_said_with_its_status():
    with serving() as endpoint:
        endpoint.refuse = 403
        with pytest.raises(RunFailed, match="refused the run: HTTP 403"):
            submit(asked(), endpoint.url)


def test_an_address_that_is_no_url_is_wrong_usage():
    with pytest.raises(UsageError, match="is no URL"):
        submit(asked(), "kubeflow.example")


def test_a_file_that_only_the_cluster_sees_is_no_error_and_never_cached():
    with serving() as endpoint:
        for _ in range(2):
            submit(asked("parquet:/var/lib/presage/fleet.parquet"), endpoint.url)
    first, second = (body["runtime_config"]["parameters"]["source_digest"] for body in endpoint.runs)
    assert first
    assert first != second
