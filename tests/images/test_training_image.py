"""The training image runs a component as the compiled pipeline calls it, with a read-only root and no network."""

import json
import subprocess

import pytest
import yaml

from images.podman import CONFINED
from images.recipes import ROOT, version

pytestmark = pytest.mark.images


def test_a_compiled_component_runs_in_it(made, tmp_path):
    [pipeline, *_] = yaml.load_all((ROOT / "pipelines/compiled/incident_training.yaml").read_text(), Loader=yaml.CSafeLoader)
    container = pipeline["deploymentSpec"]["executors"]["exec-ingest"]["container"]
    assert container["image"].partition(":")[0] == "presage/training"
    work = tmp_path / "work"
    work.mkdir(mode=0o777)
    work.chmod(0o777)

    def artifact(name):
        return {"artifacts": [{"name": name, "uri": f"/job/{name}", "type": {"schemaTitle": "system.Dataset"}, "metadata": {}}]}

    given = {
        "inputs": {"parameterValues": {"source": "simulated:servers=3,days=2,seed=1", "source_digest": "", "on_bad_row": "quarantine", "code_digest": "0"}},
        "outputs": {"artifacts": {name: artifact(name) for name in ("telemetry", "quarantine")}, "outputFile": "/job/outputs.json"},
    }
    arguments = [json.dumps(given) if word == "{{$}}" else word for word in container["args"]]
    options = ["--rm", "--network=none", *CONFINED, "--tmpfs=/tmp:rw,mode=1777", f"--volume={work}:/job:rw"]
    command = [*made.builder.command, "run", *options, f"localhost/presage/training:{version()}", *container["command"], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(json.loads((work / "outputs.json").read_text())["artifacts"]) == {"telemetry", "quarantine"}
    assert any((work / "telemetry").rglob("*.parquet"))
