"""A small HTTP server that answers as the Kubeflow Pipelines API (v2beta1) documents: enough of it to take a run."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

EXPERIMENT = {"experiment_id": "5f0c1c1e-0000-4000-8000-000000000001", "display_name": "presage", "namespace": ""}


@dataclass
class Endpoint:
    """url; runs: bodies of POST /runs; tokens: Authorization headers seen; refuse: the HTTP status to refuse runs with, or 0."""

    url: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    refuse: int = 0


@contextmanager
def serving() -> Iterator[Endpoint]:
    """The endpoint, for as long as the block lasts."""
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            endpoint.tokens.append(self.headers.get("Authorization") or "")
            path = urlsplit(self.path).path
            answers: dict[str, Any] = {
                "/apis/v2beta1/healthz": {"multi_user": False},
                "/apis/v2beta1/experiments": {"experiments": [EXPERIMENT], "total_size": 1},
            }
            self._answer(200 if path in answers else 404, answers.get(path, {"error": "not found"}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if endpoint.refuse or urlsplit(self.path).path != "/apis/v2beta1/runs":
                return self._answer(endpoint.refuse or 404, {"error": "refused"})
            endpoint.runs.append(body)
            return self._answer(200, {**body, "run_id": "7d3e0a52-0000-4000-8000-000000000002", "state": "PENDING"})

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        endpoint.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield endpoint
        finally:
            server.shutdown()
            thread.join()
