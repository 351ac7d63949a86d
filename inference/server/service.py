"""One request in, one response out: routes, dialects, refusals and counts. Knows no socket and no door.

    service = Service(release, chain, metrics, online, served_name="incident")
    service.handle(HttpRequest("POST", "/predict", headers, body))
"""

from collections.abc import Callable
from time import perf_counter

import structlog

from inference.clients.buckets import Clients, LimitReached
from inference.metrics.catalogue import ServingMetrics
from inference.path.chain import Chain
from inference.path.online import OnlineFeatures
from inference.path.request import PathRequest
from inference.path.served import ServedRelease
from inference.server.exchange import HttpRequest, HttpResponse, error_response, json_response
from inference.server.oip import HEADER_LENGTH, model_metadata, read_infer, write_infer
from inference.server.openapi import openapi_document
from inference.server.plain import Servers, read_predict, write_predict
from presage.errors import RequestRefused

_log = structlog.get_logger("presage.server")
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
PROBES = frozenset({"/", "/v2/health/live", "/v2/health/ready", "/metrics"})
"""What the Pod's own keepers ask, who come without a certificate."""
Answer = Callable[[], HttpResponse]


class Service:
    """Serves one release under one name. `ready` is False until the server has warmed up, and again when it stops.

    clients: who may ask how often; None where nobody counts."""

    def __init__(
        self, release: ServedRelease, chain: Chain, metrics: ServingMetrics, online: OnlineFeatures, *, served_name: str, program: str,
        clients: Clients | None = None,
    ) -> None:
        self.release, self.metrics, self.ready = release, metrics, False
        self.clients = clients
        self._chain, self._online, self._name, self._program = chain, online, served_name, program
        self._column = {name: index for index, name in enumerate(release.input_names)}
        self._version = release.version
        self._always = release.explanation == "always"
        self._infer_path = f"/v2/models/{served_name}/infer"
        self._gets = self._routes()

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Never raises: what is refused says why, what went wrong inside says only that it did."""
        before = perf_counter()
        endpoint, rung = "other", ""
        try:
            if request.path == self._infer_path:
                endpoint = "infer"
            elif request.path == "/predict":
                endpoint = "predict"
            if self.clients is not None:
                self.clients.admit(request, before)
            if endpoint == "infer":
                response, rung = self._infer(request)
            elif endpoint == "predict":
                response, rung = self._predict(request)
            else:
                response = self._read(request)
        except LimitReached as reached:
            self.metrics.refused.add(self._name, reached.reason)
            response = error_response(reached.status, reached.message)._replace(headers=((b"retry-after", b"%d" % reached.retry_after),))
        except RequestRefused as refusal:
            self.metrics.refused.add(self._name, refusal.reason)
            response = error_response(refusal.status, refusal.message)
        except Exception:
            _log.exception("a request failed inside", path=request.path[:200])
            response = error_response(500, "The server failed. Its log says why.")
        self.metrics.requests.add(self._name, self._version, endpoint, str(response.status), rung)
        if endpoint != "other":
            self.metrics.seconds[endpoint].observe(perf_counter() - before)
        return response

    def _infer(self, request: HttpRequest) -> tuple[HttpResponse, str]:
        self._check_post(request, binary=HEADER_LENGTH in request.headers)
        asked, wanted = read_infer(request, self._always)
        return self._answered(asked, lambda: write_infer(asked, wanted, self._name, self._version))

    def _predict(self, request: HttpRequest) -> tuple[HttpResponse, str]:
        self._check_post(request, binary=False)
        asked = read_predict(request.body, self.release, self._column)
        return self._answered(asked, lambda: write_predict(asked, self.release))

    def _answered(self, asked: PathRequest, write: Answer) -> tuple[HttpResponse, str]:
        """The path, then the answer, then what it says about itself."""
        self._chain(asked)
        metrics = self.metrics
        metrics.journal_records.add(by=asked.rows)
        for tier in asked.tier:
            metrics.tiers.add(self._name, tier)
        for score in asked.score or ():
            metrics.score.observe(score)
        return write(), asked.rung[0]

    def _check_post(self, request: HttpRequest, binary: bool) -> None:
        if request.method != "POST":
            raise RequestRefused(405, "method", f"{request.path} takes POST, not {request.method[:20]}.")
        if not self.ready:
            raise RequestRefused(503, "not_ready", "The model is not ready yet. Ask again when /v2/health/ready says so.")
        encoding = request.headers.get(b"content-encoding", b"identity")
        if encoding != b"identity":
            raise RequestRefused(415, "encoding", f"Content-Encoding is {_shown(encoding)}. Send the body as it is.")
        content_type = request.headers.get(b"content-type", b"application/json")
        allowed = (b"application/json", b"application/octet-stream") if binary else (b"application/json",)
        if content_type not in allowed and content_type.split(b";", 1)[0].strip().lower() not in allowed:
            raise RequestRefused(415, "content_type", f"Content-Type is {_shown(content_type)}. Send {allowed[-1].decode()}.")

    def _read(self, request: HttpRequest) -> HttpResponse:
        answer = self._gets.get(request.path)
        if answer is None:
            return self._unknown(request)
        if request.method not in ("GET", "HEAD"):
            raise RequestRefused(405, "method", f"{request.path} takes GET, not {request.method[:20]}.")
        return answer()

    def _unknown(self, request: HttpRequest) -> HttpResponse:
        path = request.path
        if path.startswith("/v2/repository/") or (path.startswith(f"/v2/models/{self._name}/") and path.split("/")[4] == "versions"):
            raise RequestRefused(501, "unsupported", f"{path[:100]} is not supported: a release is loaded at start and served whole.")
        if path.startswith("/v2/models/"):
            raise RequestRefused(404, "unknown_model", f"There is no model {path.split('/')[3][:60]!r} here, or no such call. This server has {self._name!r}.")
        raise RequestRefused(404, "unknown_path", f"There is no {path[:100]!r} here. GET /openapi.json and /v2/models name what there is.")

    def _ready(self, document: dict[str, object]) -> HttpResponse:
        return json_response({**document, "ready": self.ready}, 200 if self.ready else 503)

    def _routes(self) -> dict[str, Answer]:
        metadata = json_response(model_metadata(self.release, self._name))
        openapi = json_response(openapi_document(self.release, self._program))
        return {
            "/": lambda: json_response({"status": "alive"}),
            "/v2": lambda: json_response({"name": "presage", "version": self._program, "extensions": ["binary_tensor_data"]}),
            "/v2/health/live": lambda: json_response({"live": True}),
            "/v2/health/ready": lambda: self._ready({}),
            "/v2/models": lambda: json_response({"models": [self._name]}),
            f"/v2/models/{self._name}": lambda: metadata,
            f"/v2/models/{self._name}/ready": lambda: self._ready({"name": self._name}),
            "/servers": lambda: json_response(Servers(self._online.entities())),
            "/metrics": lambda: HttpResponse(200, self.metrics.exposition(), _TEXT),
            "/openapi.json": lambda: openapi,
        }


def _shown(header: bytes) -> str:
    return repr(header[:60].decode("latin-1"))


