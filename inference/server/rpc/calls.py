"""What each method of the protocol answers: a message's bytes in, a message's bytes out. Knows no socket."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from inference.path.queue import overload
from inference.path.request import PathRequest
from inference.server.asked import deadline_of, shadowed_by, ticks_of, trace_of
from inference.server.oip import Wanted, model_metadata
from inference.server.rpc.protocol import HEALTH, MESSAGES, NOT_SERVING, SERVICE, SERVING
from inference.server.rpc.tensors import InferWriter, read_infer
from inference.server.service import Service
from presage.errors import RequestRefused

INFER = f"/{SERVICE}/ModelInfer"


@dataclass(frozen=True)
class Reads:
    """A method that predicts nothing. path: its counterpart over HTTP, by which callers are admitted; read: a message → a message, or
    raises RequestRefused."""

    path: str
    read: Callable[[bytes], bytes]


class Calls:
    """The methods of one server. reads: by gRPC's path, all but `INFER`."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.name, self.version = service.metrics.model, service.metrics.version
        self.infer_path = f"/v2/models/{self.name}/infer"
        self.write = InferWriter(self.name, self.version)
        self._always = service.release.explanation == "always"
        self._metadata = _message("ModelMetadataResponse", **model_metadata(service.release, self.name))
        self.reads = self._reads()

    def ask(self, content: bytes, headers: Mapping[bytes, bytes], now: float) -> tuple[PathRequest, Wanted]:
        """What a ModelInferRequest asks for. headers: lower-case names. Raises RequestRefused."""
        service = self.service
        if not service.available:
            raise RequestRefused(503, "not_ready", "The model is not ready yet. Ask again when ServerReady says so.", retry_after=1)
        if service.queue.full():
            raise overload()
        message = _parsed("ModelInferRequest", content)
        self._check_model(message.model_name, message.model_version)
        asked, wanted = read_infer(message, self._always, service.clock)
        asked.deadline = min(asked.deadline, deadline_of(headers, now))
        asked.trace_id = trace_of(headers)
        if service.is_shadow:
            asked.shadow_of, asked.ticks = shadowed_by(headers), ticks_of(headers)
        return asked, wanted

    def _reads(self) -> dict[str, Reads]:
        service, model = self.service, f"/v2/models/{self.name}"
        about = _message("ServerMetadataResponse", name="presage", version=service.program, extensions=["binary_tensor_data"])
        return {
            f"/{SERVICE}/ServerLive": Reads("/v2/health/live", lambda _: _message("ServerLiveResponse", live=True)),
            f"/{SERVICE}/ServerReady": Reads("/v2/health/ready", lambda _: _message("ServerReadyResponse", ready=service.available)),
            f"/{SERVICE}/ModelReady": Reads(f"{model}/ready", self._model_ready),
            f"/{SERVICE}/ServerMetadata": Reads("/v2", lambda _: about),
            f"/{SERVICE}/ModelMetadata": Reads(model, self._model_metadata),
            f"/{SERVICE}/RepositoryModelLoad": Reads("/v2/repository", _repository),
            f"/{SERVICE}/RepositoryModelUnload": Reads("/v2/repository", _repository),
            f"/{HEALTH}/Check": Reads("/v2/health/ready", self._health),
        }

    def _model_ready(self, content: bytes) -> bytes:
        asked = _parsed("ModelReadyRequest", content)
        self._check_model(asked.name, asked.version)
        return _message("ModelReadyResponse", ready=self.service.available)

    def _model_metadata(self, content: bytes) -> bytes:
        asked = _parsed("ModelMetadataRequest", content)
        self._check_model(asked.name, asked.version)
        return self._metadata

    def _health(self, content: bytes) -> bytes:
        asked = _parsed("HealthCheckRequest", content)
        if asked.service not in ("", SERVICE):
            raise RequestRefused(404, "unknown_service", f"There is no service {asked.service[:60]!r} here. This server has {SERVICE}.")
        return _message("HealthCheckResponse", status=SERVING if self.service.available else NOT_SERVING)

    def _check_model(self, name: str, version: str) -> None:
        if name != self.name:
            raise RequestRefused(404, "unknown_model", f"There is no model {name[:60]!r} here. This server has {self.name!r}.")
        if version not in ("", self.version):
            raise RequestRefused(404, "unknown_version", f"{self.name} has no version {version[:60]!r} here. This server has {self.version}.")


def _repository(_: bytes) -> bytes:
    raise RequestRefused(501, "unsupported", "Loading and unloading are not supported: a release is loaded at start and served whole.")


def _parsed(name: str, content: bytes) -> Any:
    try:
        return MESSAGES[name].FromString(content)
    except (DecodeError, UnicodeDecodeError):
        raise RequestRefused(400, "protobuf", f"The message is no {name}. Send one as protobuf, uncompressed.") from None


def _message(kind: str, /, **fields: Any) -> bytes:
    content: bytes = MESSAGES[kind](**fields).SerializeToString()
    return content
