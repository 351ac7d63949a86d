"""Credentials of callers on the running plane: rotated without a failed request, and worthless within ten seconds of their revocation."""

import http.client
import json
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from builders.mesh_plane import PREDICT

SOON = 10.0  # seconds, as the platform promises for a leaked key


def presage(plane, *arguments):
    command = [sys.executable, "-m", "presage.cli", "--state", str(plane.state.root), "access", *arguments, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class Caller:
    """Asks for predictions without pause on one connection, with the certificate that lies in `folder` whenever it opens one. reopen: a new
    connection for each request, as programs that start again and again."""

    def __init__(self, plane, folder, reopen=False):
        self.plane, self.folder, self.reopen = plane, folder, reopen
        self.statuses, self.failures, self._stop = [], [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        self.plane.eventually(lambda: self.statuses or self.failures)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        method, path, body = PREDICT
        token, connection = self.plane.token(), None
        while not self._stop.is_set():
            try:
                connection = connection or self.plane.connection(self.folder)
                connection.request(method, path, body, {"content-type": "application/json", "authorization": f"Bearer {token}"})
                answer = connection.getresponse()
                answer.read()
                self.statuses.append(answer.status)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
                connection = None
            if self.reopen and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def test_a_revoked_key_is_refused_within_ten_seconds_also_on_a_connection_that_is_open(plane, tmp_path):
    lost, kept = tmp_path / "lost", tmp_path / "kept"
    for folder in (lost, kept):
        presage(plane, "rotate", "operators", "--to", str(folder))
    with Caller(plane, lost) as open_connection, Caller(plane, lost, reopen=True) as new_connections, Caller(plane, kept) as beside:
        plane.eventually(lambda: len(open_connection.statuses) > 20 and len(new_connections.statuses) > 5)
        assert not open_connection.failures and set(open_connection.statuses) == {200}
        before = time.monotonic()
        presage(plane, "revoke", "--certificate", str(lost / "tls.crt"), "--because", "a test")
        plane.eventually(lambda: 403 in open_connection.statuses and (403 in new_connections.statuses or new_connections.failures), seconds=SOON)
        took = time.monotonic() - before
        already = len(open_connection.statuses)
        plane.eventually(lambda: len(open_connection.statuses) > already + 20)
        assert set(open_connection.statuses[already:]) == {403}  # and stays refused
        # The gateway itself lets no new connection in, as soon as it has the authority's new list.
        plane.eventually(lambda: _door_is_shut(plane, lost), seconds=20)
    assert took < SOON
    assert not beside.failures and set(beside.statuses) == {200}
    [line] = [line for line in presage(plane, "revoked")["revoked"] if line["because"] == "a test"]
    assert line["client"] == "spiffe://cluster.local/ns/clients/sa/operators"


def _door_is_shut(plane, certificate):
    with suppress(ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
        plane.ask("/v2", certificate=certificate)
        return False
    return True


@pytest.mark.slow
def test_rotating_a_client_s_certificate_fails_no_request_and_ends_the_old_one(plane, tmp_path):
    folder, old = tmp_path / "client", tmp_path / "old"
    first = presage(plane, "rotate", "operators", "--to", str(folder))
    old.mkdir()
    for name in ("tls.crt", "tls.key"):
        (old / name).write_bytes((folder / name).read_bytes())
    with Caller(plane, folder, reopen=True) as rotating, Caller(plane, old) as behind:
        plane.eventually(lambda: len(rotating.statuses) > 10 and len(behind.statuses) > 10)
        second = presage(plane, "rotate", "operators", "--to", str(folder), "--overlap", "8s")
        assert second["replaced"][0]["sha256"] == first["sha256"]
        assert not behind.failures and set(behind.statuses) == {200}  # both hold
        plane.eventually(lambda: 403 in behind.statuses, seconds=8 + SOON)
        already = len(rotating.statuses)
        plane.eventually(lambda: len(rotating.statuses) > already + 10)
    assert not rotating.failures and set(rotating.statuses) == {200}
