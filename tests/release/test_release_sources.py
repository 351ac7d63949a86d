"""What a judge counts: increments, Pods that start anew, failures; and a real Prometheus asked for the same."""

import json
import shutil
import subprocess
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from builders.ports import free_port
from builders.repositories import ONE, TWO
from hypothesis import given
from hypothesis import strategies as st

from presage.errors import StateError
from presage.release.sources.counters import Counts, is_failure, sum_of
from presage.release.sources.prometheus import PrometheusSource
from presage.release.standing import Canary, Place, Standing

BOUNDS = (0.01, 0.1, float("inf"))


def text(ok: int, failed: int = 0, fallen: int = 0, probes: int = 0, digest: str = "sha256:" + "1" * 64, slow: int = 0) -> str:  # noqa: PLR0917
    """The metrics of a predictor that answered so many. slow: of these, beyond 0.1 s."""
    asked = ok + failed + fallen
    lines = [
        "# TYPE presage_requests_total counter",
        f'presage_requests_total{{model="incident",version="1",endpoint="infer",code="200",rung="primary"}} {ok}',
        f'presage_requests_total{{model="incident",version="1",endpoint="predict",code="500",rung=""}} {failed}',
        f'presage_requests_total{{model="incident",version="1",endpoint="grpc",code="200",rung="rules"}} {fallen}',
        f'presage_requests_total{{model="incident",version="1",endpoint="other",code="200",rung=""}} {probes}',
        "# TYPE presage_request_seconds histogram",
        *(
            f'presage_request_seconds_bucket{{model="incident",version="1",endpoint="infer",le="{bound}"}} {asked if bound > 0.1 else asked - slow}'
            for bound in ("0.01", "0.1", "+Inf") for bound in [float(bound)]
        ),
        f'presage_request_seconds_sum{{model="incident",version="1",endpoint="infer"}} {asked}',
        f'presage_request_seconds_count{{model="incident",version="1",endpoint="infer"}} {asked}',
        "# TYPE presage_risk histogram",
        f'presage_risk_bucket{{model="incident",version="1",le="0.1"}} {asked}',
        f'presage_risk_bucket{{model="incident",version="1",le="+Inf"}} {asked}',
        f'presage_risk_sum{{model="incident",version="1"}} {asked}',
        f'presage_risk_count{{model="incident",version="1"}} {asked}',
        "# TYPE presage_build_info gauge",
        f'presage_build_info{{digest="{digest}",release="incident:1"}} 1',
    ]
    return "\n".join(lines).replace('le="inf"', 'le="+Inf"') + "\n"


def test_what_counts_as_a_request_and_as_a_failure():
    counts = Counts.parse(text(90, failed=4, fallen=6, probes=1000))
    assert (counts.requests, counts.failed) == (100, 10)
    assert counts.seconds == {0.01: 100, 0.1: 100, float("inf"): 100}
    assert is_failure("503", "") and is_failure("200", "simpler") and not is_failure("200", "primary") and not is_failure("422", "")
    assert Counts.parse("") == Counts()


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 50), st.booleans()), min_size=1, max_size=12))
def test_increments_add_up_to_what_was_counted_whatever_starts_anew(steps):
    """A Pod that starts anew has counted from nothing; what it had counted before is not lost and not counted twice."""
    ok = failed = 0
    before, added = Counts(), []
    for more, worse, restarts in steps:
        if restarts:
            ok = failed = 0
        ok, failed = ok + more, failed + worse
        now = Counts.parse(text(ok, failed))
        if restarts and now.requests >= before.requests:  # it has overtaken itself between two looks: nothing in the numbers tells
            before = Counts()
        added.append(now.since(before))
        before = now
    assert sum_of(added).requests == sum(more + worse for more, worse, _ in steps)
    assert sum_of(added).failed == sum(worse for _, worse, _ in steps)


class _Predictors(BaseHTTPRequestHandler):
    def do_GET(self):
        content = self.server.texts[self.path].encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words):
        pass


@pytest.fixture
def predictors():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Predictors) as server:
        server.texts = {"/stable": text(1000), "/canary": text(50, digest="sha256:" + "2" * 64)}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def prometheus(predictors, tmp_path):
    """A real Prometheus that scrapes both every half second, with the labels that PodMonitors give."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (make tools)")
    address = f"127.0.0.1:{predictors.server_address[1]}"
    jobs = [
        {
            "job_name": track, "metrics_path": f"/{track}", "scrape_interval": "500ms", "scrape_timeout": "500ms",
            "static_configs": [{"targets": [address], "labels": {"namespace": "models-network", "inferenceservice": "incident", "track": track}}],
        }
        for track in ("stable", "canary")
    ]  # fmt: skip
    (tmp_path / "prometheus.yml").write_text(json.dumps({"scrape_configs": jobs}))  # JSON is YAML
    port = free_port()
    places = [f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["prometheus", *places], stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def eventually(claim, seconds: float = 30.0):
    """The first truthy answer of `claim`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := claim():
                return found
        except (StateError, httpx2.HTTPError):
            pass
        threading.Event().wait(0.2)
    raise AssertionError("it did not come about")


@pytest.mark.long
def test_a_real_prometheus_says_what_was_added_and_what_is_live(prometheus, predictors):
    source = PrometheusSource(prometheus, Place("production", "models-network", "incident"))
    standing = Standing(ONE, 2, None, Canary(TWO, 5, 1))
    eventually(lambda: not any(words in source.live(standing) for words in ("does not run", "are scraped")))  # both have been scraped
    assert source.capacity() == 1
    source.begin(standing, datetime.now(UTC))
    assert source.look(standing, datetime.now(UTC)).stable == Counts(0, 0, {0.01: 0, 0.1: 0, float("inf"): 0}, {0.1: 0, float("inf"): 0})
    predictors.texts = {"/stable": text(1950, slow=100), "/canary": text(90, failed=10, digest="sha256:" + "2" * 64)}
    looks = []

    def both_are_in() -> bool:
        nonlocal source
        kept = json.loads(json.dumps(source.remember()))
        source = PrometheusSource(prometheus, Place("production", "models-network", "incident"))  # as a program that looks once and leaves
        source.recall(kept)
        looks.append(source.look(standing, datetime.now(UTC)))
        return sum(one.canary.requests for one in looks) >= 50 and sum(one.stable.requests for one in looks) >= 950

    eventually(both_are_in)
    stable, canary = sum_of(one.stable for one in looks), sum_of(one.canary for one in looks)
    assert (canary.requests, canary.failed, stable.requests, stable.failed) == (50, 10, 950, 0)  # to the last one: nothing is extrapolated
    assert stable.seconds[float("inf")] - stable.seconds[0.1] == 100
    predictors.texts = {"/stable": text(1960, slow=100), "/canary": text(3, digest="sha256:" + "2" * 64)}  # the canary has started anew
    eventually(lambda: looks.append(source.look(standing, datetime.now(UTC))) or sum(one.canary.requests for one in looks) == 53)
    assert source.live(standing) == ""
    assert "50 are due" in source.live(Standing(ONE, 2, None, Canary(TWO, 50, 1)))
    assert "of 2 canary Pods" in source.live(Standing(ONE, 2, None, Canary(TWO, 5, 2)))
    assert "the canary's Pods are still there" in source.live(Standing(ONE, 2))
    assert "does not run" in source.live(Standing(TWO, 2))


def test_a_prometheus_that_is_out_or_refuses_is_said():
    source = PrometheusSource(f"http://127.0.0.1:{free_port()}", Place("production", "models-network", "incident"))
    with pytest.raises(StateError, match="does not answer as Prometheus does"):
        source.capacity()
