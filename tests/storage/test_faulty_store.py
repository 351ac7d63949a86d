"""An object store that is busy, breaks off or answers nonsense: a bounded number of tries, then a sentence."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from presage.storage.s3 import Bucket, S3Settings
from presage.storage.storage import Changed, StorageError, Versioned


class Scripted(ThreadingHTTPServer):
    """Answers each request with the next of `answers`: a status, a status with a body, or None: the connection breaks off in mid-body."""

    daemon_threads = True

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.asked = list(answers), []


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append(self.command)
        answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        status, body = (200, b"whole content") if answer is None else answer if isinstance(answer, tuple) else (answer, b"")
        self.send_response(status)
        self.send_header("etag", '"1"')
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:5] if answer is None else body)
        self.close_connection = True

    do_PUT = do_HEAD = do_GET  # noqa: N815

    def log_message(self, *words):
        pass


@pytest.fixture
def store(tmp_path):
    """A function: a bucket whose server gives these answers, and the server."""
    (tmp_path / "access_key").write_text("A")
    (tmp_path / "secret_key").write_text("B")
    servers = []

    def made(*answers):
        server = Scripted(*answers)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return Bucket(S3Settings(f"http://127.0.0.1:{server.server_port}", "r", tmp_path), "releases", tries=3), server

    yield made
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_busy_store_and_a_broken_connection_are_tried_again(store):
    bucket, server = store(503, None, (200, b"content"))
    assert bucket.read("k", 100) == b"content"
    assert server.asked == ["GET", "GET", "GET"]


def test_a_store_that_stays_busy_is_given_up_after_so_many_tries(store):
    bucket, server = store((503, b"<Error><Code>SlowDown</Code></Error>"))
    with pytest.raises(StorageError, match=r"failed at GET s3://releases/k \(503 SlowDown, 3 tries\)"):
        bucket.read("k", 100)
    assert len(server.asked) == 3


def test_a_store_that_cannot_write_may_be_full(store):
    bucket, _ = store((500, b"<Error><Code>InternalError</Code></Error>"))
    with pytest.raises(StorageError, match="Its disk may be full"):
        bucket.write("k", b"content")


def test_what_the_store_decided_is_not_asked_again(store):
    bucket, server = store((403, b"<Error><Code>AccessDenied</Code></Error>"))
    with pytest.raises(StorageError, match=r"refuses PUT s3://releases/k \(403 AccessDenied\)"):
        bucket.write("k", b"content")
    assert server.asked == ["PUT"]


@pytest.mark.parametrize("status", [404, 409, 412])
def test_a_condition_that_does_not_hold_is_another_writer(store, status):
    bucket, _ = store(status)
    with pytest.raises(Changed):
        bucket.replace("index.json", b"{}", Versioned(b"", '"0"'))


def test_a_store_without_conditional_writes_is_refused(store):
    bucket, _ = store(501)
    with pytest.raises(StorageError, match="cannot do a conditional PUT"):
        bucket.replace("index.json", b"{}", None)


def test_a_redirect_is_not_followed(store):
    bucket, server = store(307)
    with pytest.raises(StorageError, match="307"):
        bucket.read("k", 100)
    assert server.asked == ["GET"]


def test_an_answer_larger_than_asked_for_is_cut(store):
    bucket, _ = store((200, b"x" * 1_000_000))
    assert len(bucket.read("k", 10)) == 11


def test_who_may_not_list_may_still_write(store):
    """Amazon answers 403 for what is absent where listing is not allowed."""
    bucket, _ = store(403)
    assert not bucket.holds("k", 1)
