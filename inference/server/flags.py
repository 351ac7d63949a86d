"""The server's flags: KServe's where KServe has one, ours beside them; what nobody knows is ignored, as KServe does, but said.

KServe appends flags to a runtime's args, so none of its own may stop the server.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from presage.state import State


@dataclass(frozen=True)
class ServerFlags:
    """model_name: served name, else the release's. model_dir: the verified folder. host: loopback unless said otherwise;
    http_port: 0 = any free one. online_store: `sqlite:PATH` or a path; service: of that store. journal_dir, prediction_log:
    folders. region: overrides the policy's. trust_keys: folder of *.pub. ship_seconds: how often the journal is shipped.
    metrics_port: where /metrics alone is served too, None = nowhere. client_identity: whether callers are told apart by the sidecar's
    x-forwarded-client-cert; gateway_identity: whose word on its own caller counts there. client_limits: file of how often each may ask.
    ignored: flags that mean nothing here."""

    model_name: str | None
    model_dir: Path
    host: str
    http_port: int
    metrics_port: int | None
    online_store: str | None
    service: str
    journal_dir: Path
    prediction_log: Path
    region: str | None
    trust_keys: Path
    timeout_keep_alive: int
    max_body_bytes: int
    patience_seconds: float
    ship_seconds: float
    client_identity: Literal["none", "xfcc"]
    gateway_identity: str
    client_limits: Path | None
    ignored: tuple[str, ...]


_KSERVE_ONLY = (
    "grpc_port", "workers", "max_threads", "max_asyncio_workers", "enable_grpc", "enable_docs_url", "enable_latency_logging", "configure_logging",
    "log_config_file", "access_log_format", "event_loop", "predictor_host", "predictor_protocol", "predictor_use_ssl", "predictor_request_timeout_seconds",
    "predictor_request_retries", "enable_predictor_health_check", "grpc_max_send_message_length", "grpc_max_receive_message_length",
)  # fmt: skip


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
    add("prediction_log", "folder of the prediction log (default: predictions in the state directory)", type=Path)
    add("region", "region of the prediction log (default: the policy's)")
    add("trust_keys", "folder of trusted *.pub keys (default: $PRESAGE_TRUST_KEYS, else keys in the state directory)", type=Path)
    add("timeout_keep_alive", "seconds an idle connection stays open", type=int, default=65)
    add("max_body_bytes", "largest request body", type=int, default=16 << 20)
    add("patience_seconds", "how long a half-sent request may stay open", type=float, default=10.0)
    add("ship_seconds", "how often the journal is shipped to the prediction log", type=float, default=5.0)
    add("client_limits", "file of how often each client may ask; read again when it changes", type=Path)
    identity = "xfcc: callers are told apart by x-forwarded-client-cert; only where the Pod's sidecar is the one way here"
    add("client_identity", identity, choices=("none", "xfcc"), default="none")
    add("gateway_identity", "SPIFFE id of the gateway, whose clients are named one element earlier in that header", default=GATEWAY)
    for name in _KSERVE_ONLY:
        add(name, argparse.SUPPRESS, nargs="?", default=None)
    known, unknown = parser.parse_known_args(arguments)
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
        prediction_log=known.prediction_log or _in_state(state, "predictions"),
        region=known.region,
        trust_keys=known.trust_keys or Path(os.environ.get("PRESAGE_TRUST_KEYS") or _in_state(state, "keys")),
        timeout_keep_alive=known.timeout_keep_alive,
        max_body_bytes=known.max_body_bytes,
        patience_seconds=known.patience_seconds,
        ship_seconds=known.ship_seconds,
        client_identity=known.client_identity,
        gateway_identity=known.gateway_identity,
        client_limits=known.client_limits,
        ignored=(*(f"--{name}" for name in _KSERVE_ONLY if getattr(known, name) is not None), *unknown),
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port. Give a number from 0 to 65535.")
    return int(text)


def _in_state(state: State | None, *names: str) -> Path:
    assert state is not None
    return state.root.joinpath(*names)
