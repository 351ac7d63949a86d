"""The server's flags: KServe's where KServe has one, ours beside them; what nobody knows is ignored, as KServe does, but said.

KServe appends flags to a runtime's args, so none of its own may stop the server.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from presage.errors import UsageError
from presage.redis import RedisPlace
from presage.state import State


@dataclass(frozen=True)
class ServerFlags:
    """model_name: served name, else the release's. model_dir: the verified folder. host: loopback unless said otherwise;
    http_port: 0 = any free one. online_store: `sqlite:PATH` or a path; service: of that store. journal_dir, prediction_log:
    folders. journal_replica: URL of the event log that level `replicated` copies to. region: overrides the policy's. trust_keys: folder of
    *.pub; approvals: folder of rules.json and *.dsse.json; revocations: file of revoked releases, read again while it serves.
    ship_seconds: how often the journal is shipped.
    metrics_port: where /metrics alone is served too, None = nowhere. client_identity: whether callers are told apart by the sidecar's
    x-forwarded-client-cert; gateway_identity: whose word on its own caller counts there. client_limits: file of how often each may ask;
    limits_store: the Redis where replicas count that together, None = each for itself; client_revocations: file of refused certificates.
    grpc_port: None = no gRPC, 0 = any free one; max_message_bytes: of one gRPC request. door: which HTTP server. tls_…: PEM files, where
    callers must speak TLS to this very program. drift_file: where somebody says which members have drifted. is_shadow: this server answers
    nobody; shadow_url, shadow_share: who is asked off the answer's way, and how often (0 to 1).
    triton, triton_metrics: host:port of the gRPC and the metrics of a Triton in this Pod, which runs the release's first rung; None = none.
    ignored: flags that mean nothing here."""

    model_name: str | None
    model_dir: Path
    host: str
    http_port: int
    metrics_port: int | None
    online_store: str | None
    service: str
    journal_dir: Path
    journal_replica: str | None
    prediction_log: Path
    region: str | None
    trust_keys: Path
    approvals: Path | None
    revocations: Path | None
    timeout_keep_alive: int
    max_body_bytes: int
    patience_seconds: float
    ship_seconds: float
    client_identity: Literal["none", "xfcc"]
    gateway_identity: str
    client_limits: Path | None
    limits_store: str | None
    client_revocations: Path | None
    grpc_port: int | None
    max_message_bytes: int
    door: Literal["fast", "asgi"]
    tls_certificate: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    drift_file: Path | None
    is_shadow: bool
    shadow_url: str | None
    shadow_share: float
    triton: str | None
    triton_metrics: str | None
    ignored: tuple[str, ...]


_KSERVE_ONLY = (
    "workers", "max_threads", "max_asyncio_workers", "enable_docs_url", "enable_latency_logging", "configure_logging",
    "log_config_file", "access_log_format", "event_loop", "predictor_host", "predictor_protocol", "predictor_use_ssl", "predictor_request_timeout_seconds",
    "predictor_request_retries", "enable_predictor_health_check", "grpc_max_send_message_length",
)  # fmt: skip


GRPC_PORT = 8081  # KServe's
GATEWAY = "spiffe://cluster.local/ns/gateway/sa/presage-istio"


def parse_flags(arguments: list[str]) -> ServerFlags:
    """`--http_port=8080` and `--http-port 8080` alike. Exit code 2 with one sentence where a value cannot be used."""
    description = "Serve one verified release over the Open Inference Protocol and JSON."
    parser = argparse.ArgumentParser(prog="python -m inference.server", description=description, allow_abbrev=False)

    def add(name: str, help: str, **options: object) -> None:
        parser.add_argument(f"--{name}", *([f"--{name.replace('_', '-')}"] if "_" in name else []), help=help, **options)  # type: ignore[arg-type]

    add("model_name", "name to serve under (default: the release's)")
    add("model_dir", "folder that the gate filled", type=Path, default=Path("/mnt/models"))
    add("host", "address to listen on", default="127.0.0.1")
    add("http_port", "port; 0 = any free one", type=_port, default=8080)
    add("metrics_port", "port that serves GET /metrics alone, beside http_port; 0 = none", type=_port, default=0)
    add("online_store", "sqlite:PATH of the online feature store")
    add("service", "feature service in that store", default="incident")
    add("journal_dir", "folder of the journal (default: journal/MODEL in the state directory)", type=Path)
    add("journal_replica", "event log that journal: replicated copies to, as process:127.0.0.1:9400 (python -m inference.journal.replica)")
    add("prediction_log", "folder of the prediction log (default: predictions in the state directory)", type=Path)
    add("region", "region of the prediction log (default: the policy's)")
    add("trust_keys", "folder of trusted *.pub keys (default: $PRESAGE_TRUST_KEYS, else keys in the state directory)", type=Path)
    add("approvals", "folder of rules.json and *.dsse.json: what a release above tier low needs (default: $PRESAGE_APPROVALS)", type=Path)
    add("revocations", "file of revoked releases; read again when it changes (default: $PRESAGE_REVOCATIONS)", type=Path)
    add("timeout_keep_alive", "seconds an idle connection stays open", type=int, default=65)
    add("max_body_bytes", "largest request body", type=int, default=16 << 20)
    add("patience_seconds", "how long a half-sent request may stay open", type=float, default=10.0)
    add("ship_seconds", "how often the journal is shipped to the prediction log", type=float, default=5.0)
    add("client_limits", "file of how often each client may ask; read again when it changes", type=Path)
    add("limits_store", "redis://HOST:PORT/DB of a Redis in which the replicas count limits and quotas together (default: each for itself)", type=_redis)
    add("client_revocations", "file of certificates of callers that are refused; read again when it changes", type=Path)
    add("grpc_port", f"port of gRPC; 0 = any free one (default: {GRPC_PORT} with --enable_grpc, else none)", type=_port)
    add("enable_grpc", "whether gRPC is served; false shuts --grpc_port, too", type=_boolean, nargs="?", const=True)
    add("grpc_max_receive_message_length", "largest gRPC request, bytes", type=int, default=8 << 20)
    add("door", "HTTP server: fast (our own protocol) or asgi (uvicorn)", choices=("fast", "asgi"), default="fast")
    add("tls_certificate", "PEM file: speak TLS, for where no sidecar does; read again when it changes", type=Path)
    add("tls_key", "PEM file of its key", type=Path)
    add("tls_client_ca", "PEM file: callers must show a certificate of this authority", type=Path)
    add("drift_file", "file in which monitoring says which members have drifted", type=Path)
    parser.add_argument("--is_shadow", "--is-shadow", action="store_true", help="mark every record as a shadow's: this server answers nobody")
    add("shadow_url", "infer endpoint of a shadow (http://…, the mesh encrypts), which is asked off the answer's way", type=_plain_url)
    add("shadow_share", "share of requests that the shadow is asked, 0 to 1", type=_share, default=1.0)
    identity = "xfcc: callers are told apart by x-forwarded-client-cert; only where the Pod's sidecar is the one way here"
    add("client_identity", identity, choices=("none", "xfcc"), default="none")
    add("gateway_identity", "SPIFFE id of the gateway, whose clients are named one element earlier in that header", default=GATEWAY)
    add("triton", "host:port of the gRPC of a Triton in this Pod: it runs the members that lie in MODEL_DIR/triton", type=_address)
    add("triton_metrics", "host:port of that Triton's metrics, shown on /metrics here, too", type=_address)
    for name in _KSERVE_ONLY:
        add(name, argparse.SUPPRESS, nargs="?", default=None)
    known, unknown = parser.parse_known_args(arguments)
    if (known.tls_certificate is None) != (known.tls_key is None) or (known.tls_client_ca is not None and known.tls_certificate is None):
        parser.error("--tls_certificate and --tls_key belong together, and --tls_client_ca with them")
    state = None if known.journal_dir and known.prediction_log and (known.trust_keys or os.environ.get("PRESAGE_TRUST_KEYS")) else State.open()
    store = known.online_store
    return ServerFlags(
        model_name=known.model_name,
        model_dir=known.model_dir,
        host=known.host,
        http_port=known.http_port,
        metrics_port=known.metrics_port or None,
        online_store=store if store is None or ":" in store else f"sqlite:{store}",
        service=known.service,
        journal_dir=known.journal_dir or _in_state(state, "journal", known.model_name or "model"),
        journal_replica=known.journal_replica,
        prediction_log=known.prediction_log or _in_state(state, "predictions"),
        region=known.region,
        trust_keys=known.trust_keys or Path(os.environ.get("PRESAGE_TRUST_KEYS") or _in_state(state, "keys")),
        approvals=known.approvals or _from_environment("PRESAGE_APPROVALS"),
        revocations=known.revocations or _from_environment("PRESAGE_REVOCATIONS"),
        timeout_keep_alive=known.timeout_keep_alive,
        max_body_bytes=known.max_body_bytes,
        patience_seconds=known.patience_seconds,
        ship_seconds=known.ship_seconds,
        client_identity=known.client_identity,
        gateway_identity=known.gateway_identity,
        client_limits=known.client_limits,
        limits_store=known.limits_store,
        client_revocations=known.client_revocations,
        grpc_port=_grpc_port(known.grpc_port, known.enable_grpc),
        max_message_bytes=known.grpc_max_receive_message_length,
        door=known.door,
        tls_certificate=known.tls_certificate,
        tls_key=known.tls_key,
        tls_client_ca=known.tls_client_ca,
        drift_file=known.drift_file,
        is_shadow=known.is_shadow,
        shadow_url=known.shadow_url,
        shadow_share=known.shadow_share,
        triton=known.triton,
        triton_metrics=known.triton_metrics,
        ignored=(*(f"--{name}" for name in _KSERVE_ONLY if getattr(known, name) is not None), *unknown),
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port. Give a number from 0 to 65535.")
    return int(text)


def _redis(text: str) -> str:
    try:
        RedisPlace.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(error.message) from None
    return text


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not _port(port):
        raise argparse.ArgumentTypeError(f"{text!r} is no address. Give HOST:PORT, as 127.0.0.1:9000.")
    return text


def _grpc_port(port: int | None, enabled: bool | None) -> int | None:
    """KServe's server has gRPC unless it is switched off. Here it costs memory, so it is there for whoever asks for it."""
    if enabled is False:
        return None
    return GRPC_PORT if port is None and enabled else port


def _boolean(text: str) -> bool:
    value = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}.get(text.lower())
    if value is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false. Write one of them.")
    return value


def _plain_url(text: str) -> str:
    if not text.startswith("http://"):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with http://. Name the shadow's infer endpoint.")
    return text


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no share. Give a number from 0 to 1.")
    return share


def _from_environment(name: str) -> Path | None:
    return Path(value) if (value := os.environ.get(name)) else None


def _in_state(state: State | None, *names: str) -> Path:
    assert state is not None
    return state.root.joinpath(*names)
