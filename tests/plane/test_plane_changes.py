"""A running plane is moved without dropping a request: canary, promotion, rollback, rotation, access."""

import http.client
import json
import ssl
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from builders.mesh_plane import PREDICT, RunningPlane

from presage.errors import PlaneError
from presage.secrets import pki

METHOD, PATH, BODY = PREDICT


class Load:
    """Clients that ask for predictions without pause on connections they keep; a connection that the door closes between requests is opened anew."""

    def __init__(self, plane: RunningPlane, clients: int = 4) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.failures: list[str] = []
        self._plane = plane
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    def start(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def more(self, count: int, seconds: float = 120) -> None:
        wanted = sum(self.answers.values()) + count
        self._plane.eventually(lambda: sum(self.answers.values()) >= wanted, seconds)

    def _ask(self) -> None:
        certificate = self._plane.certificate("operators", ttl="2h")
        token = self._plane.token(seconds=3600)
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        connection: http.client.HTTPSConnection | None = None
        while not self._end.is_set():
            try:
                connection = connection or self._plane.connection(certificate)
                connection.request(METHOD, PATH, BODY, headers)
                answer = connection.getresponse()
                content = answer.read()
                version = json.loads(content)["predictions"][0]["model"]["version"] if answer.status == 200 else content.decode()[:100]
                with self._lock:
                    self.answers[answer.status, version] += 1
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, ssl.SSLError, http.client.HTTPException) as error:
                with self._lock:
                    self.failures.append(repr(error))
                connection = None

    @property
    def failed(self) -> list[object]:
        return [*self.failures, *(found for found in self.answers.items() if found[0][0] != 200)]


@contextmanager
def load(plane: RunningPlane):
    running = Load(plane).start()
    running.more(20)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def second(plane):
    return plane.second_release()


def shares(load: Load) -> dict[str, int]:
    return {version: count for (status, version), count in load.answers.items() if status == 200}


@pytest.mark.slow
def test_a_canary_gets_its_share_is_promoted_by_copy_and_rolled_back_with_no_request_lost(plane, second):
    with load(plane) as running:
        plane.apply(canary=second, percent=5)
        assert {backend.name: backend.weight for backend in route(plane).backends} == {"incident-predictor": 95, "incident-canary-predictor": 5}
        plane.apply(canary=second, percent=50)
        plane.apply(canary=second, percent=100)
        running.more(8)  # asked before the change, answered after it
        running.answers.clear()
        running.more(50)
        assert shares(running).keys() == {"2"}
        plane.apply(stable=second, canary=second, percent=100)
        plane.apply(stable=second)
        assert [backend.name for backend in route(plane).backends] == ["incident-predictor"]
        running.answers.clear()
        running.more(50)
        assert shares(running).keys() == {"2"}
        plane.apply()
        running.more(8)
        running.answers.clear()
        running.more(50)
        assert shares(running).keys() == {"1"}
    assert running.failed == []


def route(plane: RunningPlane):
    return next(found for found in plane.status.routes if found.name == "models-network/incident")


def test_a_canary_whose_release_the_gate_refuses_gets_nothing_and_the_stable_one_answers_on(plane):
    nowhere = f"presage://incident:9@sha256:{'0' * 64}"
    with load(plane) as running:
        with pytest.raises(PlaneError, match=r"incident-canary-predictor.*refused \[digest\]"):
            plane.apply(canary=nowhere, percent=50)
        assert {backend.name: backend.weight for backend in route(plane).backends} == {"incident-predictor": 100, "incident-canary-predictor": 0}
        running.more(50)
        plane.apply()
    assert running.failed == []


def test_a_stable_release_that_is_refused_leaves_the_old_pod_serving(plane):
    nowhere = f"presage://incident:9@sha256:{'0' * 64}"
    with load(plane) as running:
        with pytest.raises(PlaneError, match=r"refused \[digest\]"):
            plane.apply(stable=nowhere)
        running.more(50)
        plane.apply()
    assert running.failed == []
    assert shares(running).keys() == {"1"}


@pytest.mark.parametrize("mount", ["pki-mesh", pytest.param("pki-edge", marks=pytest.mark.slow)])
def test_every_certificate_and_the_authority_behind_it_are_changed_under_load(plane, mount):
    before = next(iter((plane.state.plane / "client").glob("tls.crt"))).read_bytes()
    with load(plane) as running:
        new = pki.rotate_issuer(plane.vault, mount, default=False)
        running.more(20)
        time.sleep(12)  # two looks of the plane at its authorities: everybody trusts both
        pki.use_issuer(plane.vault, mount, new)
        time.sleep(12)  # and everything is issued anew
        running.more(50)
        if mount == "pki-mesh":
            pki.retire_issuer(plane.vault, mount)
            time.sleep(7)
        running.more(50)
        if mount == "pki-edge":
            plane.eventually(lambda: (plane.state.plane / "client" / "tls.crt").read_bytes() != before, 30)
    assert running.failed == []
    plane.forget_certificates()
    assert plane.ask("/v2").status == 200


def test_changed_access_holds_at_once_and_is_no_interruption_for_others(plane):
    generated = plane.manifests / "base" / "platform" / "generated"
    policy = next(path for path in generated.rglob("authorizationpolicy.*status-page*.yaml"))
    text = policy.read_text()
    with load(plane) as running:
        assert plane.ask("/v2/models", account="status-page").status == 200
        policy.write_text(text.replace("/v2/models", "/v2/nothing"))
        plane.apply()
        assert plane.ask("/v2/models", account="status-page").status == 403
        policy.write_text(text)
        plane.apply()
        assert plane.ask("/v2/models", account="status-page").status == 200
    assert running.failed == []
