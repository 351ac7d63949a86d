"""What a prediction is, for whoever asks."""

from datetime import datetime

import msgspec

MOST_ROWS = 4096  # a request, as the path allows
MOST_EXPLAINED = 256
TOP = 3  # reasons where nobody says how many
LAST_ANSWER, RULES, DEFAULT = "client_last_answer", "client_rules", "client_default"
"""Rungs of a client that answers itself."""


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
    warming: `15m of 6h` while windows are less than half covered; rung: which part of the ladder answered, `client_…` where no Pod did;
    because: why that one; used: the member that scored, empty where none did; doubts: what the guards remarked; distance: from the training
    data. The last four are None where version 1 of the endpoint answered, which does not say."""

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
    because: str | None = None
    used: str | None = None
    doubts: list[str] | None = None
    distance: float | None = None


class Predictions(msgspec.Struct, frozen=True):
    predictions: list[Prediction]
