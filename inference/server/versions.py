"""Versions of the plain endpoint, side by side, and how a caller learns that one is on its way out.

    /api/v1/predict   the document that `presage predict -o json` prints
    /api/v2/predict   the same, and why this rung answered, which member scored, what the guards remarked, how far the row lies from the training data
    /api/v2/rules     what a caller needs to answer itself when no Pod does (presage.client)
    /predict          version 1 by its old name: deprecated, marked in every answer as RFC 9745 (Deprecation), RFC 8594 (Sunset) and
                      RFC 5829 (successor-version) say

A version's document only ever grows by a field that callers may ignore; whatever else changes is a new version beside it.
"""

from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec

from inference.path.request import PathRequest
from inference.path.served import ServedRelease
from inference.server.exchange import HttpResponse
from inference.server.plain import ModelName, Prediction, prediction_parts

V1, V2 = "/api/v1", "/api/v2"
DEPRECATED_SINCE = datetime(2026, 11, 30, tzinfo=UTC)
SUNSET = datetime(2027, 11, 30, tzinfo=UTC)
Headers = tuple[tuple[bytes, bytes], ...]


class PredictionV2(Prediction):
    """because: why this rung answered. used: id of the member that scored, empty on the rungs without a model. doubts: what the guards
    remarked without refusing. distance: from the training data, null where it was not measured."""

    because: str
    used: str
    doubts: list[str]
    distance: float | None


class PredictionsV2(msgspec.Struct):
    predictions: list[PredictionV2]


class LastRule(msgspec.Struct):
    """An engineer's heuristic: where `feature` is above or below the bound, the risk is at least `risk`."""

    id: str
    feature: str
    above: float | None
    below: float | None
    risk: float


class ContractView(msgspec.Struct):
    """What was promised: entity: the kind of key that `servers` names; horizon: the span of time that the risk is of."""

    name: str
    version: str
    entity: str
    horizon: str
    feature_version: str


class LastRungs(msgspec.Struct):
    """What answers when no model does, in the order of use: rules, then `default`. thresholds: lowest risk of each tier; a row that the
    default answers has the tier none."""

    model: ModelName
    digest: str
    contract: ContractView
    rules: list[LastRule]
    default: float
    thresholds: dict[str, float]


_encode = msgspec.json.Encoder().encode


def write_predict_v2(answer: PathRequest, release: ServedRelease) -> HttpResponse:
    """Version 2 of the plain answer."""
    model = ModelName(release.name, release.version)
    predictions = [
        PredictionV2(
            *prediction_parts(answer, release, model, index),
            because=answer.because[index],
            used=answer.used,
            doubts=answer.doubts[index] if answer.doubts else [],
            distance=answer.distance[index] if answer.distance else None,
        )
        for index in range(answer.rows)
    ]
    return HttpResponse(200, _encode(PredictionsV2(predictions)))


def last_rungs(release: ServedRelease) -> LastRungs:
    """The release's rules over features that it has, its default and its thresholds."""
    contract = release.contract
    names = contract.view.names
    return LastRungs(
        ModelName(release.name, release.version),
        release.digest,
        ContractView(contract.name, contract.version, contract.entity, contract.horizon, contract.feature_version),
        [LastRule(rule.id, names[rule.column], rule.above, rule.below, rule.risk) for rule in release.rules],
        release.default,
        dict(sorted(release.thresholds.items(), key=lambda item: item[1])),
    )


def deprecation(successor: str) -> Headers:
    """Headers of an answer under a name that goes away; successor: the path to ask instead."""
    return (
        (b"deprecation", b"@%d" % DEPRECATED_SINCE.timestamp()),
        (b"sunset", format_datetime(SUNSET, usegmt=True).encode()),
        (b"link", f'<{successor}>; rel="successor-version"'.encode()),
    )


DEPRECATED: dict[str, Headers] = {"/predict": deprecation(f"{V2}/predict"), "/servers": deprecation(f"{V2}/servers")}
"""By path."""
