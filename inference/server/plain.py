"""The plain endpoint, version 1: takes server names or rows by feature name, and answers with predictions (versions: all there are)."""

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated

import msgspec
import numpy as np

from inference.path.request import MOST_REASONS, TOP, PathRequest
from inference.path.served import ServedRelease
from inference.server.context import check_context
from inference.server.exchange import HttpResponse
from inference.server.json_body import decode
from presage.errors import RequestRefused

Unset = msgspec.UnsetType
UNSET = msgspec.UNSET


class PredictBody(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """servers: their newest rows are looked up; rows: feature name → value, null or left out = not seen. Exactly one of both.
    explain: with reasons; top: how many a row. context: what the release's router chooses by, such as domain or system_type."""

    servers: list[str] | Unset = UNSET
    rows: list[dict[str, float | None]] | Unset = UNSET
    explain: bool | Unset = UNSET
    top: Annotated[int, msgspec.Meta(ge=1, le=MOST_REASONS)] | Unset = UNSET
    context: dict[str, str] | Unset = UNSET


class ReasonView(msgspec.Struct):
    """value: null = not seen; contribution: to the score, in log-odds or probability; metric: what the feature is about, for a
    detector score the metric that carries it (null: several, none, or not known)."""

    feature: str
    value: float | None
    contribution: float
    metric: str | None


class ModelName(msgspec.Struct):
    name: str
    version: str


class FeaturesUsed(msgspec.Struct):
    """age_seconds, coverage (seen share of each window): null where the caller gave the row."""

    version: str
    age_seconds: float | None
    coverage: list[float] | None


class Prediction(msgspec.Struct):
    """server, time: null where the caller gave the row. interval: of the risk. tier: none, watch, act or page. warming:
    `15m of 6h` while a window is less than half covered. rung: who answered, from primary down to default."""

    server: str | None
    time: str | None
    risk: float
    interval: tuple[float, float]
    tier: str
    reasons: list[ReasonView]
    model: ModelName
    features: FeaturesUsed
    warming: str | None
    rung: str
    prediction_id: str


Parts = tuple[str | None, str | None, float, tuple[float, float], str, list[ReasonView], ModelName, FeaturesUsed, str | None, str, str]
"""The fields of a Prediction, in its order."""


class Predictions(msgspec.Struct):
    predictions: list[Prediction]


class Servers(msgspec.Struct):
    servers: list[str]


_decoder = msgspec.json.Decoder(PredictBody)
_encode = msgspec.json.Encoder().encode


def read_predict(body: bytes, release: ServedRelease, column: dict[str, int]) -> PathRequest:
    """`column`: input name → place. Raises RequestRefused(400)."""
    asked = decode(_decoder, body, _keys)
    request = PathRequest(explain=asked.explain is True, top=TOP if asked.top is UNSET else asked.top, endpoint="predict")
    if asked.context is not UNSET:
        request.context = check_context(asked.context)
    if asked.servers is not UNSET:
        request.servers = asked.servers
    if asked.rows is not UNSET:
        if release.contract.kind == "sequence":
            raise RequestRefused(400, "rows", "This model reads a sequence of ticks, not a row of features. Name servers, or send x to /v2.")
        x = np.full((len(asked.rows), len(column)), np.nan, dtype=np.float32)
        for index, row in enumerate(asked.rows[:65536]):
            try:
                x[index, [column[name] for name in row]] = [np.nan if value is None else value for value in row.values()]
            except KeyError as error:
                name = str(error.args[0])
                raise RequestRefused(400, "feature", f"rows[{index}] names {name[:80]!r}: no input of this model.{_nearest(name, column)}") from None
        request.x = x
    return request


def _nearest(name: str, column: dict[str, int]) -> str:
    near = get_close_matches(name[:80], column, n=1)
    return f" Is it {near[0]!r}?" if near else " GET /openapi.json names them all."


def _keys(body: PredictBody) -> int:
    rows = 0 if body.rows is UNSET else 1 + sum(map(len, body.rows))
    context = 0 if body.context is UNSET else 1 + len(body.context)
    return rows + context + (body.servers is not UNSET) + (body.explain is not UNSET) + (body.top is not UNSET)


def write_predict(answer: PathRequest, release: ServedRelease) -> HttpResponse:
    model = ModelName(release.name, release.version)
    predictions = [Prediction(*prediction_parts(answer, release, model, index)) for index in range(answer.rows)]
    return HttpResponse(200, _encode(Predictions(predictions)))


def prediction_parts(answer: PathRequest, release: ServedRelease, model: ModelName, index: int) -> Parts:
    """Of one row; every version of the answer begins with them."""
    return (
        answer.servers[index] if answer.servers is not None else None,
        _instant(answer.time[index]),
        round(answer.risk[index], 6),
        (round(answer.low[index], 6), round(answer.high[index], 6)),
        answer.tier[index],
        [ReasonView(*reason) for reason in answer.reasons[index]],
        model,
        FeaturesUsed(release.contract.feature_version, _rounded(answer.age[index]), _shares(answer.coverage[index])),
        answer.warming[index],
        answer.rung[index],
        answer.row_id(index),
    )


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _shares(coverage: list[float] | None) -> list[float] | None:
    return None if coverage is None else [round(share, 4) for share in coverage]
