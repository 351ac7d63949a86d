"""manifests/metrics.yaml is true: running programs export what it says, and nothing else."""

import contextlib
import re
import subprocess
import sys

import httpx2
import numpy as np
import pytest
from builders.ports import free_port
from prometheus_client.parser import text_string_to_metric_families
from watched import METRICS

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER


def families(text):
    """Name as exported → (type, its labels where it has samples)."""
    found = {}
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = set().union(*(set(sample.labels) for sample in family.samples)) - {"le"} if family.samples else None
        found[name] = (family.type, labels)
    return found


def written(program):
    return {metric["name"]: (metric["type"], set(metric["labels"])) for metric in METRICS["programs"][program]}


@pytest.fixture(scope="module")
def exported(serving_site, tmp_path_factory):
    """Of each program, once it has done everything that it counts."""
    port = free_port()
    with ServerProcess(serving_site, tmp_path_factory.mktemp("server"), f"--metrics_port={port}") as server:
        row = np.nan_to_num(serving_site.x[:1])
        x = {"name": "x", "shape": list(row.shape), "datatype": "FP32", "data": row.ravel().tolist()}
        asked = [
            ("/predict", {"servers": [NEWCOMER], "explain": True}), ("/predict", {"servers": ["nobody"]}), ("/v2/models/incident/infer", {"inputs": [x]}),
        ]  # fmt: skip
        assert [httpx2.post(server.address + path, json=document).status_code for path, document in asked] == [200, 404, 200]
        serving = families(httpx2.get(f"http://127.0.0.1:{port}/metrics").text)
    return {"inference.server": serving, "inference.stream": families(streamed(tmp_path_factory.mktemp("stream")))}


def streamed(folder):
    """What a stream shows after its first rows."""
    port = free_port()
    command = [
        sys.executable, "-m", "inference.stream", "--source=simulated:servers=2,seed=3", "--speed=60", f"--online_store=sqlite:{folder / 'online.db'}",
        f"--event_log={folder / 'events'}", "--http_port=0", f"--metrics_port={port}",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert any("rows written" in line for line in process.stderr)
            return httpx2.get(f"http://127.0.0.1:{port}/metrics").text
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


@pytest.mark.parametrize("program", METRICS["programs"])
def test_a_running_program_exports_what_the_list_says_and_nothing_else(exported, program):
    wanted, found = written(program), exported[program]
    assert found.keys() == wanted.keys()
    assert {name: kind for name, (kind, _) in found.items()} == {name: kind for name, (kind, _) in wanted.items()}
    for name, (_, labels) in found.items():
        assert labels == wanted[name][1], name


def test_the_list_names_each_metric_once_a_program_and_explains_it():
    assert METRICS["schema"] == "presage.metrics/v1"
    for program, metrics in METRICS["programs"].items():
        names = [metric["name"] for metric in metrics]
        assert len(names) == len(set(names)), program
        for metric in metrics:
            assert metric.keys() == {"name", "type", "labels", "meaning"} and metric["meaning"], metric
            assert metric["type"] in {"counter", "gauge", "histogram"} and (metric["type"] == "counter") is metric["name"].endswith("_total"), metric
            assert re.fullmatch(r"(presage|request)_[a-z_]+", metric["name"])


def test_no_metric_of_ours_has_a_label_that_a_scrape_would_rename():
    """A label of the target's own name wins over the program's, which Prometheus then calls exported_…"""
    added = set(METRICS["scrape"]["all"]) | set(METRICS["scrape"]["predictors"])
    clashes = {metric["name"]: set(metric["labels"]) & added for those in METRICS["programs"].values() for metric in those}
    assert {name: labels for name, labels in clashes.items() if labels} == {}
