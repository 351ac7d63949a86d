"""One request in, one response out: routes, dialects, refusals and counts. Knows no socket and no door.

    service = Service(release, queue, metrics, online, served_name="incident", …)
    service.submit(HttpRequest("POST", "/predict", headers, body), reply)     # reply(HttpResponse), once, on the loop's thread
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from inference.clients.buckets import Clients
from inference.metrics.catalogue import ServingMetrics
from inference.path.online import OnlineFeatures
from inference.path.queue import PredictionQueue, overload
from inference.path.request import PathRequest
from inference.path.served import ServedRelease
from inference.path.shadow import Shadow
from inference.server.asked import deadline_of, shadowed_by, ticks_of, trace_of
from inference.server.exchange import HttpRequest, HttpResponse, json_response, refusal_response
from inference.server.oip import HEADER_LENGTH, model_metadata, read_infer, write_infer
from inference.server.openapi import openapi_document
from inference.server.plain import Servers, read_predict, write_predict
from inference.server.versions import DEPRECATED, V1, V2, Headers, last_rungs, write_predict_v2
from presage.errors import RequestRefused
from presage.logs import get_logger

_log = get_logger("presage.server")
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
PROBES = frozenset({"/", "/v2/health/live", "/v2/health/ready", "/metrics"})
"""What the Pod's own keepers ask, who come without a certificate."""
Answer = Callable[[], HttpResponse]
Write = Callable[[PathRequest], HttpResponse]
Reply = Callable[[HttpResponse], None]
_OVERLOADED = refusal_response(overload())
_FAILED = RequestRefused(500, "failed", "The server failed. Its log says why.")


@dataclass(frozen=True)
class Predicts:
    """One endpoint that predicts. endpoint: its name in metrics and journal; read: a request → what is asked, and how it is written."""

    endpoint: str
    read: Callable[[HttpRequest], tuple[PathRequest, Write]]


class Service:
    """Serves one release under one name. ready: the server has warmed up. leaving: it stops; what comes until its HTTP door is shut is answered.

    clients: who may ask how often; None where nobody counts. is_shadow: whether this server answers nobody: its records are marked. shadow:
    who else is asked, off the answer's way. clock: seconds, never going back."""

    def __init__(
        self, release: ServedRelease, queue: PredictionQueue, metrics: ServingMetrics, online: OnlineFeatures, *, served_name: str, program: str,
        clients: Clients | None = None, is_shadow: bool = False, shadow: Shadow | None = None, clock: Callable[[], float] = perf_counter,
    ) -> None:  # fmt: skip
        self.release, self.queue, self.metrics, self.ready, self.leaving = release, queue, metrics, False, False
        self.clients = clients
        self._online, self._name, self.program, self.is_shadow, self.clock = online, served_name, program, is_shadow, clock
        self.shadow = shadow
        self._column = {name: index for index, name in enumerate(release.input_names)}
        self._version = release.version
        self._always = release.explanation == "always"
        self._predicts = self._predicting()
        self._gets = self._routes()

    @property
    def available(self) -> bool:
        """Whether new callers should come here."""
        return self.ready and not self.leaving

    def submit(self, request: HttpRequest, reply: Reply) -> None:
        """Never raises: what is refused says why, what went wrong inside says only that it did. `reply` is called once, on the loop's
        thread: before this returns for what needs no prediction, after the present tick for the rest."""
        before = self.clock()
        if (marks := DEPRECATED.get(request.path)) is not None:
            reply = _marked(reply, marks)
        predicts = self._predicts.get(request.path)
        asked: PathRequest | None = None
        try:
            caller = "" if self.clients is None else self.clients.admit(request.headers, request.path, before)
            if predicts is None:
                response = self._read(request)
            elif request.method == "POST" and self.queue.full():  # at its busiest a server says this most: nothing is parsed, nothing raised
                self.metrics.refused.add(self._name, "overload")
                response = _OVERLOADED
            else:
                asked, write = self._ask(request, predicts, before)
                asked.caller = caller
        except RequestRefused as refusal:
            response = self._refused(refusal)
            if refusal.status == 405:
                response = response._replace(headers=(*response.headers, (b"allow", b"GET, HEAD" if predicts is None else b"POST")))
        except Exception:
            _log.exception("a request failed inside", path=request.path[:200])
            response = self._refused(_FAILED)
        if asked is None or predicts is None:
            self._finish(response, "other" if predicts is None else predicts.endpoint, "", before, reply)
            return

        def done(answered: PathRequest) -> None:
            rung = ""
            if answered.refused is not None:
                response = self._refused(answered.refused)
            else:
                try:
                    response, rung = write(answered), answered.rung[0]
                    self.count(answered)
                except Exception:
                    _log.exception("an answer could not be written", path=request.path[:200])
                    response = self._refused(_FAILED)
            self._finish(response, answered.endpoint, rung, before, reply)

        self.queue.submit(asked, done)

    def handle(self, request: HttpRequest) -> HttpResponse:
        """The same in one call, for callers in this process and where no loop runs."""
        answers: list[HttpResponse] = []
        self.submit(request, answers.append)
        if not answers:
            self.queue.flush()
        return answers[0]

    def count(self, answered: PathRequest) -> None:
        """What an answer of whatever door says about itself."""
        metrics = self.metrics
        metrics.journal_records.add(by=answered.rows)
        for tier in answered.tier:
            metrics.tiers.add(self._name, tier)
        for score in answered.score or ():
            metrics.score.observe(score)
        for risk in answered.risk:
            metrics.risk.observe(risk)
        if self.shadow is not None:
            self.shadow.offer(answered)

    def _ask(self, request: HttpRequest, predicts: Predicts, now: float) -> tuple[PathRequest, Write]:
        self._check_post(request, binary=HEADER_LENGTH in request.headers)
        asked, write = predicts.read(request)
        headers = request.headers
        asked.deadline = min(asked.deadline, deadline_of(headers, now))
        asked.trace_id = trace_of(headers)
        if self.is_shadow:
            asked.shadow_of, asked.ticks = shadowed_by(headers), ticks_of(headers)
        return asked, write

    def _infer(self, request: HttpRequest) -> tuple[PathRequest, Write]:
        asked, wanted = read_infer(request, self._always, self.clock)
        return asked, lambda answered: write_infer(answered, wanted, self._name, self._version)

    def _predict(self, request: HttpRequest) -> tuple[PathRequest, Write]:
        return read_predict(request.body, self.release, self._column), lambda answered: write_predict(answered, self.release)

    def _predict_v2(self, request: HttpRequest) -> tuple[PathRequest, Write]:
        return read_predict(request.body, self.release, self._column), lambda answered: write_predict_v2(answered, self.release)

    def _refused(self, refusal: RequestRefused) -> HttpResponse:
        self.metrics.refused.add(self._name, refusal.reason)
        return refusal_response(refusal)

    def _finish(self, response: HttpResponse, endpoint: str, rung: str, before: float, reply: Reply) -> None:
        self.metrics.requests.add(self._name, self._version, endpoint, str(response.status), rung)
        if endpoint != "other":
            added = self.clock() - before
            self.metrics.seconds[endpoint].observe(added)
            timing = (b"server-timing", b"presage;dur=%.3f" % (1e3 * added))
            response = HttpResponse(response.status, response.body, response.content_type, (*response.headers, timing))
        reply(response)

    def _check_post(self, request: HttpRequest, binary: bool) -> None:
        if request.method != "POST":
            raise RequestRefused(405, "method", f"{request.path} takes POST, not {request.method[:20]}.")
        if not self.ready:
            raise RequestRefused(503, "not_ready", "The model is not ready yet. Ask again when /v2/health/ready says so.", retry_after=1)
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
        if path.startswith("/v2/repository/"):
            raise RequestRefused(501, "unsupported", f"{path[:100]} is not supported: a release is loaded at start and served whole.")
        if path.startswith(f"/v2/models/{self._name}/versions/"):
            asked = path.split("/")[5][:60]
            raise RequestRefused(404, "unknown_version", f"{self._name} has no version {asked!r} here, or no such call. This server has {self._version}.")
        if path.startswith("/v2/models/"):
            raise RequestRefused(404, "unknown_model", f"There is no model {path.split('/')[3][:60]!r} here, or no such call. This server has {self._name!r}.")
        raise RequestRefused(404, "unknown_path", f"There is no {path[:100]!r} here. GET /openapi.json and /v2/models name what there is.")

    def _ready(self, document: dict[str, object]) -> HttpResponse:
        return json_response({**document, "ready": self.available}, 200 if self.available else 503)

    def _predicting(self) -> dict[str, Predicts]:
        model = f"/v2/models/{self._name}"
        infer, first = Predicts("infer", self._infer), Predicts("predict", self._predict)
        return {
            f"{model}/infer": infer, f"{model}/versions/{self._version}/infer": infer,
            "/predict": first, f"{V1}/predict": first, f"{V2}/predict": Predicts("predict", self._predict_v2),
        }  # fmt: skip

    def _routes(self) -> dict[str, Answer]:
        metadata = json_response(model_metadata(self.release, self._name))
        rules = json_response(last_rungs(self.release))
        model = f"/v2/models/{self._name}"

        def servers() -> HttpResponse:
            return json_response(Servers(self._online.entities()))

        def model_ready() -> HttpResponse:
            return self._ready({"name": self._name})

        openapi = json_response(openapi_document(self.release, self.program, self._name))
        return {
            "/": lambda: json_response({"status": "alive"}),
            "/v2": lambda: json_response({"name": "presage", "version": self.program, "extensions": ["binary_tensor_data"]}),
            "/v2/health/live": lambda: json_response({"live": True}),
            "/v2/health/ready": lambda: self._ready({}),
            "/v2/models": lambda: json_response({"models": [self._name]}),
            model: lambda: metadata,
            f"{model}/versions/{self._version}": lambda: metadata,
            f"{model}/ready": model_ready,
            f"{model}/versions/{self._version}/ready": model_ready,
            "/servers": servers,
            f"{V1}/servers": servers,
            f"{V2}/servers": servers,
            f"{V2}/rules": lambda: rules,
            "/metrics": lambda: HttpResponse(200, self.metrics.exposition(), _TEXT),
            "/openapi.json": lambda: openapi,
        }


def _marked(reply: Reply, marks: Headers) -> Reply:
    return lambda response: reply(response._replace(headers=(*response.headers, *marks)))


def _shown(header: bytes) -> str:
    return repr(header[:60].decode("latin-1"))
