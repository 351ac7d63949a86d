"""Replicas follow the load as KEDA and the HorizontalPodAutoscaler behind it have them follow; what cannot be told here is said."""

import asyncio
import math
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from builders.ports import free_port
from hypothesis import given
from hypothesis import strategies as st
from planes import container, deployment, eventually, manifests, record_of, web

from presage.local import observe as observing
from presage.local import status, up
from presage.local.autoscaling import Course, Load, Scaling, Trigger, Used, decide, read_scaling, read_value
from presage.local.cluster import checked
from presage.local.compare import compare
from presage.local.pods import Pod, Workload
from presage.local.prometheus import ScrapePort, command, prometheus_files, write_files
from presage.local.record import ScaleRecord
from presage.local.rollout import Strategy
from presage.local.scaler import Scaler
from presage.manifests.expand import expand
from presage.manifests.fields import FieldError
from presage.manifests.objects import parse_objects
from presage.manifests.render import manifests_folder

ASKED, WAITING, CPU = Trigger("sum(rate(requests))", 100.0), Trigger("sum(waiting)", 16.0), Trigger("", 80.0)
loads = st.one_of(st.none(), st.floats(0, 5000)).map(Load)
uses = st.lists(st.one_of(st.none(), st.floats(0, 400)), min_size=0, max_size=6).map(lambda shares: Used(tuple(shares)))
bounds = st.tuples(st.integers(1, 4), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def scaling(*triggers, least=1, most=8, up=0.0, down=300.0):
    return Scaling("models", "incident-predictor", least, most, triggers or (ASKED,), 0.5, up, down)


def after(values, *, current=1, every=15.0, of=None):
    """Replicas after each look at these values, one a look."""
    of, course, found = of or scaling(), Course(), []
    for number, value in enumerate(values):
        decision, course = decide(of, course, now=number * every, current=current, measured=[Load(value)])
        current = decision.replicas
        found.append(current)
    return found


@given(bounds, st.integers(0, 12), st.lists(st.tuples(loads, loads, uses), min_size=1, max_size=30))
def test_replicas_are_always_within_their_bounds(limits, current, series):
    least, most = limits
    of, course = scaling(ASKED, WAITING, CPU, least=least, most=most), Course()
    for number, measured in enumerate(series):
        decision, course = decide(of, course, now=15.0 * number, current=current, measured=measured)
        current = decision.replicas
        assert least <= current <= most
        assert decision.because


@given(st.floats(0, 700), st.integers(1, 8))
def test_a_load_that_stays_ends_where_it_is_shared_by_the_threshold(value, current):
    reached = after([value] * 60, current=current)
    wanted = min(max(math.ceil(value / 100), 1), 8)
    ended = reached[-1]
    assert ended == wanted or abs(1 - value / (100 * ended)) <= 0.1 + 1e-9
    assert reached[-20:] == [ended] * 20


@given(st.floats(0, 800), st.floats(0, 800), st.integers(1, 8))
def test_more_load_never_means_fewer_replicas(one, other, current):
    less, more = sorted((one, other))
    assert after([less], current=current)[0] <= after([more], current=current)[0]


@given(st.integers(1, 8), st.floats(0.9, 1.1, exclude_min=True, exclude_max=True))
def test_within_a_tenth_of_its_threshold_nothing_changes(current, ratio):
    assert after([ratio * 100 * current], current=current) == [current]


@given(st.lists(st.floats(0, 800), min_size=2, max_size=40))
def test_no_replica_goes_that_was_asked_for_in_the_last_five_minutes(values):
    reached = after(values)
    for number, replicas in enumerate(reached[1:], start=1):
        window = values[max(0, number - 19) : number + 1]  # of 15 s each, with the look that is just not five minutes old
        if replicas < reached[number - 1]:
            assert replicas >= min(8, max(math.ceil(value / 100) if abs(1 - value / (100 * reached[number - 1])) > 0.1 else 0 for value in window))


def test_a_load_that_falls_is_followed_after_five_quiet_minutes_and_not_before():
    reached = after([600.0] * 2 + [50.0] * 22)
    assert reached[:2] == [5, 6]  # four more at once, then the rest
    assert reached[2:21] == [6] * 19 and reached[21] == 1
    assert after([600.0] * 2 + [50.0] * 5, of=scaling(down=60.0))[-1] == 1


def test_a_new_watch_holds_what_it_finds_for_the_window():
    assert after([0.0] * 22, current=4)[:20] == [4] * 20


def test_a_window_upwards_waits_until_the_load_has_stayed():
    assert after([600.0, 50.0, 600.0, 600.0, 600.0, 600.0, 600.0], of=scaling(up=45.0)) == [1, 1, 1, 1, 5, 6, 6]


@given(st.integers(1, 8), loads, uses)
def test_the_trigger_that_asks_for_most_decides(current, load, used):
    def alone(trigger, found):
        return decide(scaling(trigger), Course(), now=0, current=current, measured=[found])[0].replicas

    together = decide(scaling(ASKED, CPU), Course(), now=0, current=current, measured=[load, used])[0].replicas
    assert together == max(alone(ASKED, load), alone(CPU, used))


@given(st.integers(1, 8), st.floats(0, 800), st.integers(1, 30))
def test_what_cannot_be_measured_lets_no_replica_go(current, value, looks):
    of, course = scaling(ASKED, WAITING), Course()
    for number in range(looks):
        decision, course = decide(of, course, now=15.0 * number, current=current, measured=[Load(value), Load(None)])
        assert decision.replicas >= current
        current = decision.replicas
    nothing, _ = decide(of, course, now=1e4, current=current, measured=[Load(None), Load(None)])
    assert nothing.replicas == current and "measured" in nothing.because


@pytest.mark.parametrize(("current", "shares", "wanted"), [
    (2, (80.0, 80.0), 2), (2, (87.0, 87.0), 2), (2, (120.0, 120.0), 3), (1, (200.0,), 3), (4, (40.0, 40.0, 40.0, 40.0), 2), (2, (), 2), (2, (None, None), 2),
    (2, (160.0, None), 2),   # the second one will take half of it
    (2, (240.0, None), 3),
    (3, (60.0, 60.0, None), 3),  # downwards a Pod that is not ready does not count; the window holds it
])  # fmt: skip
def test_the_processors_time_counts_by_its_share_of_what_ready_pods_request(current, shares, wanted):
    decision, _ = decide(scaling(CPU, down=0.0), Course(), now=0, current=current, measured=[Used(shares)])
    assert decision.replicas == (wanted if (current, shares) != (3, (60.0, 60.0, None)) else 2)


def answer(*values, kind="vector", state="success"):
    return {"status": state, "data": {"resultType": kind, "result": [{"metric": {}, "value": [1.0, value]} for value in values]}}


@pytest.mark.parametrize(("found", "value"), [
    (answer("42.5"), 42.5), (answer(), 0.0), (answer("NaN"), 0.0), (answer("+Inf"), 0.0), (answer("1", "2"), None), (answer("many"), None),
    (answer("1", state="error"), None), ({"status": "success"}, None), ([], None), (None, None),
    ({"status": "success", "data": {"resultType": "scalar", "result": [1.0, "7"]}}, 7.0),
])  # fmt: skip
def test_an_answer_is_taken_as_keda_takes_it(found, value):
    assert read_value(found) == value


SPEC = {
    "scaleTargetRef": {"name": "web"}, "minReplicaCount": 1, "maxReplicaCount": 3,
    "triggers": [{"type": "cpu", "metadata": {"value": "80"}, "metricType": "Utilization"}],
}  # fmt: skip


def scaled_object(**spec):
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "web", "namespace": "presage"}, "spec": SPEC | spec}


def web_deployment(*containers):
    made = deployment(containers=list(containers) or [container(resources={"requests": {"cpu": "250m"}})])
    del made["spec"]["replicas"]
    return made


def query(expression, threshold="1"):
    return {"type": "prometheus", "metadata": {"serverAddress": "http://prometheus-operated.monitoring.svc:9090", "query": expression, "threshold": threshold}}


def test_the_committed_overlays_scale_by_processor_requests_and_queue():
    for overlay, most in (("local", 2), ("staging", 6), ("production", 6)):
        text = [path.read_text() for path in (manifests_folder() / "rendered" / overlay).glob("[mp]*/manifest.yaml")]
        objects = expand([found for one in text for found in parse_objects(one, overlay)])
        deployments = {(found["metadata"]["namespace"], found["metadata"]["name"]): found for found in objects if found["kind"] == "Deployment"}
        found = [one for one in objects if one["kind"] == "ScaledObject"]
        assert {one["metadata"]["namespace"] for one in found} <= {"models-network", "models-databases"} and found
        for one in found:
            key = (one["metadata"]["namespace"], one["metadata"]["name"])
            read = read_scaling(one, deployments[key])
            assert (read.key, read.most, read.request, read.calm_down, len(read.triggers)) == (key, most, 0.5, 300, 3)
            assert all(f'namespace="{key[0]}"' in trigger.query for trigger in read.triggers if trigger.query)


@pytest.mark.parametrize(("found", "workload", "says"), [
    (scaled_object(triggers=[{"type": "memory", "metadata": {"value": "80"}}]), web_deployment(), "prometheus and cpu"),
    (scaled_object(triggers=[]), web_deployment(), "empty"),
    (scaled_object(triggers=[query("up", "0")]), web_deployment(), "above 0"),
    (scaled_object(fallback={"replicas": 3, "failureThreshold": 1}), web_deployment(), "fallback"),
    (scaled_object(scaleTargetRef={"name": "web", "kind": "StatefulSet"}), web_deployment(), "StatefulSet"),
    (scaled_object(), None, "no Deployment of the plan"),
    (scaled_object(), web_deployment(container()), r"resources\.requests\.cpu"),
], ids=["memory", "no trigger", "no threshold", "fallback", "another kind", "nobody", "nothing requested"])  # fmt: skip
def test_what_the_plane_cannot_follow_is_named_with_object_and_field(found, workload, says):
    with pytest.raises(FieldError, match=says):
        read_scaling(found, workload)


def test_without_prometheus_replicas_stay_at_the_least_and_that_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(observing, "installed", lambda: False)
    reading, _ = checked(tmp_path, [web_deployment(), scaled_object(minReplicaCount=2)])
    assert [one.strategy.replicas for one in reading.workloads] == [2]
    assert reading.scalings == []
    assert reading.not_honoured["ScaledObjects: no Prometheus tells the load here, so replicas stay at the least"] == ["presage/web"]


def test_a_plane_that_nobody_watches_runs_the_least_of_what_scales(state, tmp_path):
    plane = up(state=state, manifests=manifests(tmp_path, web_deployment(), scaled_object(minReplicaCount=2)))
    assert sorted(process.name for process in plane.processes) == ["web", "web-1"]
    assert any(what.startswith("ScaledObjects") for what in plane.not_honoured) and plane.scaled == {}


class Exporter:
    """A program with one gauge, as Prometheus reads it."""

    def __init__(self) -> None:
        exporter = self
        self.value = 0.0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f"load {exporter.value}\n".encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]


MONITOR = {
    "apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": {"name": "web", "namespace": "presage"},
    "spec": {"selector": {}, "podMetricsEndpoints": [{"port": "metrics", "interval": "1s", "scrapeTimeout": "1s"}]},
}  # fmt: skip
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus (Debian package prometheus)")


def scaler_of(*triggers, pods=lambda: [], prometheus=lambda: None, before=None, **over):
    made = Scaler(pods, prometheus, lambda: None, before)
    made.replace([scaling(*triggers, **over)])
    return made


def replicas(scaler):
    return scaler.record["models/incident-predictor"].replicas


@pytest.mark.long
@needs_prometheus
def test_a_real_prometheus_tells_the_load_and_replicas_follow(tmp_path):
    exporter, port = Exporter(), free_port()
    target = ScrapePort("web-0", "presage", {}, "web", "metrics", "127.0.0.1", exporter.port)
    write_files(tmp_path, prometheus_files([MONITOR], [target]))
    process = subprocess.Popen(command(tmp_path, "127.0.0.1", port), cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        exporter.value = 3.0
        scaler = scaler_of(Trigger("sum(load)", 1.0), prometheus=lambda: f"127.0.0.1:{port}", down=0.0)

        def looked(wanted):
            asyncio.run(scaler.look(time.monotonic()))
            return replicas(scaler) == wanted

        assert eventually(lambda: looked(3), 30)
        exporter.value = 1.0
        assert eventually(lambda: looked(1), 30)
    finally:
        process.terminate()
        process.wait(20)
        exporter.server.shutdown()
        exporter.server.server_close()


def test_a_prometheus_that_is_gone_changes_nothing():
    scaler = scaler_of(prometheus=lambda: f"127.0.0.1:{free_port()}", before={"models/incident-predictor": ScaleRecord(4, 1, 8, "as before")})
    for _ in range(30):
        asyncio.run(scaler.look(time.monotonic()))
    assert (replicas(scaler), scaler.record["models/incident-predictor"].because) == (4, "nothing can be measured")


def running(pid, ready=True, name="incident-predictor-0"):
    pod = SimpleNamespace(key=f"models/{name}", namespace="models", workload="incident-predictor", containers=[SimpleNamespace(name="main")])
    record = SimpleNamespace(pid=pid, container="main")
    return SimpleNamespace(pod=pod, ready=ready, ending=False, records=[record, SimpleNamespace(pid=1, container="istio-proxy")])


def test_a_real_process_that_is_busy_gets_company_once_it_was_ready_for_a_whole_look():
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        pods = [running(busy.pid, ready=False)]
        scaler = scaler_of(Trigger("", 20.0), pods=lambda: pods)
        looks = [time.monotonic()]
        asyncio.run(scaler.look(looks[0]))
        pods[:] = [running(busy.pid)]
        asyncio.run(scaler.look(time.monotonic()))
        assert replicas(scaler) == 1  # it was ready, and nobody looked before
        begun = time.monotonic()
        while time.monotonic() - begun < 0.5:
            pass
        asyncio.run(scaler.look(time.monotonic()))
        assert replicas(scaler) > 1
        assert scaler.record["models/incident-predictor"].because.startswith("cpu is ")
    finally:
        busy.kill()
        busy.wait()


def test_a_newer_plan_keeps_replicas_within_its_bounds():
    scaler = scaler_of(before={"models/incident-predictor": ScaleRecord(4, 1, 8, "")})
    scaler.replace([scaling(most=3)])
    pod = Pod("incident-predictor", "incident-predictor", "models", "default", {}, "a", (), (), (), 5.0, None)
    workload = Workload("Deployment", pod, Strategy("RollingUpdate", 1))
    assert scaler.strategy(workload).replicas == 3
    scaler.replace([])
    assert (scaler.strategy(workload).replicas, scaler.record) == (1, {})


@pytest.mark.slow
@needs_prometheus
def test_on_a_plane_replicas_follow_what_prometheus_reads_of_the_programs(state, tmp_path):
    load = tmp_path / "metrics"
    load.write_text("load 1\n")
    serving = web(f"import os; os.chdir({str(tmp_path)!r})", ports=[{"name": "metrics", "containerPort": 8080}],
                  readinessProbe={"httpGet": {"path": "/metrics", "port": "metrics"}, "periodSeconds": 1}, resources={"requests": {"cpu": "1"}})  # fmt: skip
    calm = {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}
    folder = manifests(tmp_path, web_deployment(serving), MONITOR, scaled_object(triggers=[query("max(load)")], advanced=calm))
    up(state=state, manifests=folder)
    assert status(state).scaled["presage/web"].startswith("1 of 1 to 3 replicas")
    load.write_text("load 3\n")

    def settled_at(count):
        record = record_of(state)
        pods = {process.pod for process in record.processes if process.workload == "web" and process.ready}
        return record.ready and len(pods) == record.scaled["presage/web"].replicas == count

    assert eventually(lambda: settled_at(3), 90)
    assert compare(state, folder) == []
    up(state=state, manifests=folder)  # the same plan: nothing that scaled is undone
    assert settled_at(3)
    load.write_text("load 1\n")
    assert eventually(lambda: settled_at(1), 90)
    assert "max(load) is 1, 1 a replica: 1" in status(state).scaled["presage/web"]
