"""`presage://NAME:local` is the newest release of this state that was trained on the same fleet."""

import pytest
from builders.releases import world

from presage.errors import UsageError
from presage.files import write_json
from presage.local.overrides import override, source_of
from presage.local.releases import bind, local_names, local_uri, trained_release, training_source
from presage.state import State


def service(uri):
    spec = {"predictor": {"model": {"storageUri": uri}}}
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "incident"}, "spec": spec}


def stream(*args):
    spec = {"template": {"spec": {"containers": [{"name": "telemetry", "args": list(args)}]}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "telemetry", "namespace": "presage"}, "spec": spec}


def ran(state, run_id, source, uri):
    write_json(state.runs / run_id / "result.json", {"source": source, "model": {"uri": uri}})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("state")
    return State.open(root), world(root).published.uri


@pytest.fixture
def state(made):
    yield made[0]
    for result in made[0].runs.glob("*/result.json"):
        result.unlink()


def test_only_local_names_of_inference_services_are_left_to_this_machine():
    assert local_names([service("presage://incident:local"), service("presage://other:3@sha256:00"), stream("presage://x:local")]) == ["incident"]


def test_binding_changes_the_storage_uri_and_nothing_else():
    (bound,) = bind([service("presage://incident:local")], {local_uri("incident"): "presage://incident:3@sha256:00"})
    assert bound == service("presage://incident:3@sha256:00")


def test_a_release_trained_on_the_same_fleet_is_found_however_long_its_history(made, state):
    ran(state, "one", "simulated:servers=6,days=9,seed=7", made[1])
    assert str(trained_release(state, "incident", "simulated:servers=6")) == made[1]


@pytest.mark.parametrize("source", ["simulated:servers=6", "simulated:metrics=host", "parquet:/data/asd.parquet"])
def test_a_release_of_another_fleet_does_not_count(made, state, source):
    ran(state, "one", source, made[1])
    assert trained_release(state, "incident", "simulated") is None


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"source": "simulated", "model": {"uri": 7}}'])
def test_a_damaged_result_is_passed_over(made, state, damage):
    ran(state, "one", "simulated", made[1])
    (state.runs / "two").mkdir(exist_ok=True)
    (state.runs / "two" / "result.json").write_text(damage)
    assert str(trained_release(state, "incident", "simulated")) == made[1]


def test_a_release_that_left_the_store_does_not_count(made, state):
    ran(state, "one", "simulated", made[1].replace("incident:1@", "incident:9@"))
    assert trained_release(state, "incident", "simulated") is None


def test_the_host_is_scored_by_a_model_of_a_simulated_fleet_with_its_metrics():
    assert (training_source("host"), training_source("simulated:servers=6")) == ("simulated:metrics=host", "simulated:servers=6")


def test_an_override_changes_the_argument_and_says_so():
    objects, said = override([stream("--source=simulated", "--speed=60", "--host=0.0.0.0")], "host", 1.0)
    assert objects == [stream("--source=host", "--speed=1", "--host=0.0.0.0")]
    assert said[0] == "Deployment presage/telemetry: --source=host (the manifest says --source=simulated)"
    assert source_of(objects) == "host"


def test_an_override_equal_to_the_manifest_is_none():
    assert override([stream("--source=simulated", "--speed=60")], "simulated", 60.0)[1] == []


def test_an_override_that_nothing_takes_is_refused():
    with pytest.raises(UsageError, match="no container of this overlay takes --speed"):
        override([stream("--source=simulated")], None, 5.0)
