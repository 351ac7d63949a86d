"""A shadow on the plane: asked by the path through its own sidecar, as `incident`, and answering nobody."""

import urllib.request

import polars as pl
import pytest
from builders.mesh_plane import PREDICT


def samples(plane, service, name):
    """Values of a metric at the Pods of an InferenceService, together."""
    found = 0.0
    for process in plane.status.processes:
        if process.serves == service and process.container == "kserve-container":
            address = process.address.rpartition(":")[0]
            text = urllib.request.urlopen(f"http://{address}:9090/metrics", timeout=5).read().decode()
            found += sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))
    return found


@pytest.mark.slow
def test_a_shadow_sees_every_request_through_the_mesh_and_its_records_are_marked(plane):
    plane.apply(shadow=plane.second_release())
    try:
        method, path, body = PREDICT
        asked = 0

        def answered():
            nonlocal asked
            asked += 1
            assert plane.ask(path, method, body).status == 200
            return samples(plane, "incident", 'presage_shadow_total{model="incident",outcome="answered"}') >= 3

        plane.eventually(answered)
        assert samples(plane, "incident", "presage_shadow_difference_count") >= 3
        log = plane.state.plane / "volumes" / "prediction-log" / "shadow" / "decisions"
        whole = plane.eventually(lambda: [path for path in log.rglob("*.parquet") if not path.name.startswith(".") and path.parent.name.startswith("region=")])
        kept = pl.read_parquet(whole, hive_partitioning=False)
        assert len(kept) >= 1 and (kept["shadow_of"] != "").all()
        assert plane.ask("/predict", "POST", body, account="operators").version != kept["version"][0]
    finally:
        plane.apply()
