"""Asking the running path for predictions: of servers by name, or of feature rows.

    from presage import predict
    for prediction in predict(["web-01", "db-03"]):
        print(prediction.server, prediction.risk, prediction.tier)

Errors: PlaneError where nothing answers, InputError where the request cannot be answered as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from presage.client.answers import MOST_EXPLAINED, MOST_ROWS, TOP, FeatureState, ModelName, Prediction, Predictions, Reason
from presage.client.connection import Access, Connection, sentence
from presage.errors import InputError, PlaneError
from presage.state import State

__all__ = ["TOP", "Access", "FeatureState", "ModelName", "Prediction", "Reason", "known_servers", "plane_access", "plane_endpoint", "predict"]
API = "/api/v2"
TIMEOUT = 30.0  # seconds; 4096 rows take well under one


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
        self._connection = Connection(access, TIMEOUT)

    def __enter__(self) -> "_Path":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def servers(self) -> list[str]:
        return sorted(msgspec.json.decode(self._call("GET", f"{API}/servers"), type=_Servers).servers)

    def ask(self, key: str, asked: list[Any], explain: bool, top: int) -> Iterator[Prediction]:
        most = MOST_EXPLAINED if explain else MOST_ROWS
        for start in range(0, len(asked), most):
            body = msgspec.json.encode({key: asked[start : start + most], "explain": explain, **({} if top == TOP else {"top": top})})
            yield from msgspec.json.decode(self._call("POST", f"{API}/predict", body), type=Predictions).predictions

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        answer = self._connection.ask(method, path, body)
        url = self._connection.url
        if answer.status is None:
            raise PlaneError(f"{url} does not answer ({answer.because}). `presage status` says what runs; `presage up` starts it.")
        if answer.status == 200:
            return answer.body
        said = sentence(answer.body) or f"{url}{path} answered {answer.status}."
        raise (InputError if 400 <= answer.status < 500 else PlaneError)(said)


def _unknown(server: str, known: list[str]) -> str:
    near = get_close_matches(server, known, n=3, cutoff=0.6)
    hint = f"Near it: {', '.join(near)}. " if near else ""
    return f"There is no server {server!r} among the {len(known)} with features. {hint}`presage predict --list-servers` names them all."
