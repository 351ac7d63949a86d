"""Asking the running path for predictions: of servers by name, or of feature rows.

    from presage import predict
    for prediction in predict(["web-01", "db-03"]):
        print(prediction.server, prediction.risk, prediction.tier)

Errors: PlaneError where nothing answers, InputError where the request cannot be answered as it is.
"""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from presage.errors import InputError, PlaneError
from presage.state import State

MOST_ROWS = 4096  # a request, as the path allows
MOST_EXPLAINED = 256
TOP = 3  # reasons where nobody says how many
TIMEOUT = 30.0  # seconds; 4096 rows take well under one


class Reason(msgspec.Struct, frozen=True):
    """What pushed the risk: value in the feature's unit (None = not seen), contribution in the model's own (log-odds); metric:
    what the feature is about, for a detector score the metric that carries it (None: several, none, or not known)."""

    feature: str
    value: float | None
    contribution: float
    metric: str | None = None


class ModelName(msgspec.Struct, frozen=True):
    name: str
    version: str


class FeatureState(msgspec.Struct, frozen=True):
    """version: of the declaration. age_seconds, coverage (of each window, the share of expected samples that was seen): of the
    looked-up row; None where the caller gave the row."""

    version: str
    age_seconds: float | None
    coverage: list[float] | None


class Prediction(msgspec.Struct, frozen=True):
    """One server (or row). risk: chance of an incident active or starting within the horizon; interval: Venn–Abers [p0, p1];
    warming: `15m of 6h` while windows are less than half covered; rung: which part of the ladder answered."""

    server: str | None
    time: datetime | None
    risk: float
    interval: tuple[float, float]
    tier: str
    reasons: list[Reason]
    model: ModelName
    features: FeatureState
    warming: str | None
    rung: str
    prediction_id: str


class _Answer(msgspec.Struct, frozen=True):
    predictions: list[Prediction]


class _Servers(msgspec.Struct, frozen=True):
    servers: list[str]


def predict(
    servers: Sequence[str] = (),
    *,
    rows: Sequence[Mapping[str, float | None]] | None = None,
    explain: bool = True,
    top: int = TOP,
    state: State | None = None,
    endpoint: str | None = None,
) -> list[Prediction]:
    """Predictions in the order asked for: of `servers` (none named: of all), or of `rows` ({feature: value}, None = not seen).

    explain: with the reasons that weigh most, the `top` of them (1 to 32). endpoint: the path's URL; default: that of the plane running in `state`.
    """
    if rows is not None and servers:
        raise InputError("Give servers or rows, not both.")
    with _Path(_access(endpoint, state)) as path:
        if rows is not None:
            return list(path.ask("rows", [dict(row) for row in rows], explain, top))
        known = path.servers()
        for server in servers:
            if server not in known:
                raise InputError(_unknown(server, known))
        return list(path.ask("servers", list(servers or known), explain, top))


def known_servers(*, state: State | None = None, endpoint: str | None = None) -> list[str]:
    """The servers the online store has features of, by name."""
    with _Path(_access(endpoint, state)) as path:
        return path.servers()


class Access(msgspec.Struct, frozen=True):
    """How to reach a path. url: what people call it; address: where it is connected to, if its name is known to no DNS.

    certificate, key, ca: files for mutual TLS with a gateway; token: file of the token it asks for.
    """

    url: str
    address: str | None = None
    certificate: str | None = None
    key: str | None = None
    ca: str | None = None
    token: str | None = None


def plane_endpoint(state: State | None = None) -> str:
    """The REST address of the plane running in `state`. Raises PlaneError where none runs."""
    return plane_access(state).url


def plane_access(state: State | None = None) -> Access:
    """How this machine's own commands reach the plane running in `state`: through its gateway, where it has one. Raises PlaneError where none runs."""
    from presage.local.overview import status

    state = state or State.open()
    plane = status(state)
    if plane.endpoints.rest is None:
        raise PlaneError(f"Nothing is serving in {state.root}. Start it with `presage up`.")
    if plane.endpoints.gateway is None:
        return Access(plane.endpoints.rest)
    client = plane.client
    return Access(plane.endpoints.rest, plane.endpoints.gateway, client.certificate, client.key, client.ca, client.token)


def _access(endpoint: str | None, state: State | None) -> Access:
    return Access(endpoint) if endpoint else plane_access(state)


class _Path:
    """One connection to the path's plain JSON endpoint."""

    def __init__(self, access: Access) -> None:
        import httpx2

        self._errors = httpx2.TransportError
        self._endpoint = access.url
        host = httpx2.URL(access.url).host
        headers: dict[str, str] = {}
        verify: bool | ssl.SSLContext = True
        self._extensions: dict[str, str] = {}
        if access.address:
            headers["host"] = access.url.partition("://")[2]
            self._extensions["sni_hostname"] = host
        if access.certificate and access.key and access.ca:
            context = ssl.create_default_context(cafile=access.ca)
            context.load_cert_chain(access.certificate, access.key)
            verify = context
        if access.token:
            headers["authorization"] = f"Bearer {Path(access.token).read_text().strip()}"
        self._client = httpx2.Client(base_url=access.address or access.url, timeout=TIMEOUT, trust_env=False, verify=verify, headers=headers)

    def __enter__(self) -> "_Path":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def servers(self) -> list[str]:
        return sorted(msgspec.json.decode(self._call("GET", "/servers"), type=_Servers).servers)

    def ask(self, key: str, asked: list[Any], explain: bool, top: int) -> Iterator[Prediction]:
        most = MOST_EXPLAINED if explain else MOST_ROWS
        for start in range(0, len(asked), most):
            body = msgspec.json.encode({key: asked[start : start + most], "explain": explain, **({} if top == TOP else {"top": top})})
            yield from msgspec.json.decode(self._call("POST", "/predict", body), type=_Answer).predictions

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        try:
            headers = {"content-type": "application/json"} if body else None
            answer = self._client.request(method, path, content=body, headers=headers, extensions=self._extensions)
        except self._errors as error:
            raise PlaneError(f"{self._endpoint} does not answer ({error}). `presage status` says what runs; `presage up` starts it.") from None
        content: bytes = answer.content
        if answer.status_code == 200:
            return content
        sentence = _sentence(content) or f"{self._endpoint}{path} answered {answer.status_code}."
        raise (InputError if 400 <= answer.status_code < 500 else PlaneError)(sentence)


def _sentence(content: bytes) -> str:
    try:
        document = msgspec.json.decode(content)
    except msgspec.MsgspecError:
        return ""
    return str(document.get("error", "")) if isinstance(document, dict) else ""


def _unknown(server: str, known: list[str]) -> str:
    near = get_close_matches(server, known, n=3, cutoff=0.6)
    hint = f"Near it: {', '.join(near)}. " if near else ""
    return f"There is no server {server!r} among the {len(known)} with features. {hint}`presage predict --list-servers` names them all."
