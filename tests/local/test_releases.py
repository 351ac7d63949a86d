"""`presage://NAME:local` is the newest release of this state that was trained on the same fleet."""

import pytest
from builders.releases import policy, world
from builders.triton import sequence_parts

from presage.errors import UsageError
from presage.files import write_json
from presage.local.overrides import override, source_of
from presage.local.releases import bind, local_names, local_uri, pipeline_of, trained_release, training_source
from presage.package.keys import Trust, local_key
from presage.package.package import build_package
from presage.package.release import compose
from presage.package.store import ReleaseStore
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


def test_the_sequence_release_of_the_same_run_is_found_by_its_own_name(made, state):
    uri = made[1].replace("presage://incident:", "presage://incident-sequence:")
    folder = state.runs / "one"
    write_json(folder / "artifacts" / "packaged" / "result.json", {"models": [{"name": "incident", "uri": made[1]}, {"name": "incident-sequence", "uri": uri}]})
    told = {"source": "simulated", "model": {"name": "incident", "uri": made[1]}, "artifacts": {"packaged": "artifacts/packaged"}}
    write_json(folder / "result.json", told)
    assert str(trained_release(state, "incident", "simulated")) == made[1]
    assert trained_release(state, "incident-sequence", "simulated") is None  # it is not in the store
    world_of_sequence(state)
    assert str(trained_release(state, "incident-sequence", "simulated")) == uri


@pytest.mark.parametrize("place", ["../../elsewhere", "/etc", None, 7])
def test_a_run_that_names_a_place_outside_itself_made_nothing(made, state, place):
    told = {"source": "simulated", "model": {"name": "incident", "uri": made[1]}, "artifacts": {"packaged": place}}
    write_json(state.runs / "one" / "result.json", told)
    assert trained_release(state, "incident-sequence", "simulated") is None


def test_one_training_makes_both_releases_of_a_model():
    assert pipeline_of("incident") == pipeline_of("incident-sequence") == "incident-training"


def world_of_sequence(state):
    """A release of that name in the state's store, of version 1."""
    key = local_key(state.keys)
    store = ReleaseStore(state.releases)
    folder = state.root / "made" / "incident-sequence"
    build_package(sequence_parts(), folder, key)
    stored = {"primary": store.add(folder, Trust.of([key.public]))}
    store.publish(compose("incident-sequence", stored, policy(), 0.05), stored, key)
