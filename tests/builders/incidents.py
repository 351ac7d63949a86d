"""A fleet whose incidents can be learnt: folders of every step up to the detectors, made by the steps themselves."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from builders.fleets import START, instants

from components.detect.detection import detect
from components.featurize.features import featurize
from components.label.labels import label
from components.split.folds import split
from presage.features.declaration import FeatureView
from presage.governance.model_policy import ModelPolicy, load_model_policy
from presage.telemetry.schema import ENTITY_SCHEMA, INCIDENT_SCHEMA, INTERVAL_SCHEMA, TIME, Metric, Telemetry

TICK = timedelta(minutes=5)
METRICS = ("cpu", "memory", "requests")
WINDOWS = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6))
VIEW = FeatureView("small", "server", TICK, WINDOWS, ("mean", "std", "max", "slope"), (timedelta(minutes=30),), ("hour_sin", "hour_cos"), 72, 0.5)
POLICY = Path(__file__).parents[2] / "policies" / "models" / "incident.yaml"


@dataclass(frozen=True)
class Steps:
    """Folders by the name of what they hold."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        return self.root / name


def policy(seconds: float | None = None) -> ModelPolicy:
    """The shipped policy, every family's budget replaced where `seconds` is given."""
    shipped = load_model_policy(POLICY)
    if seconds is None:
        return shipped
    budget = shipped.training_budget_seconds
    return shipped.model_copy(update={"training_budget_seconds": budget.model_copy(update=dict.fromkeys(type(budget).model_fields, seconds))})


def incident_fleet(servers: int = 3, days: float = 7, seed: int = 3) -> Telemetry:
    """cpu climbs for an hour before each incident and stays up through it; one every four hours, in turn by server."""
    random = np.random.default_rng(seed)
    ticks = int(days * 288)
    incidents = [(f"s{number % servers}", 24 + 48 * number, 24 + 48 * number + 6 + number % 5) for number in range(ticks // 48 - 1)]
    frames = []
    for server in range(servers):
        values = random.normal(0, 0.05, (ticks, 3)) + np.array([0.3, 0.5, 20.0]) + 0.1 * np.sin(np.arange(ticks) * 2 * np.pi / 288)[:, None]
        for name, start, end in incidents:
            if name == f"s{server}":
                values[start - 12 : start, 0] += np.linspace(0.05, 0.5, 12)
                values[start : end + 1, 0] += 0.5
        columns = dict(zip(METRICS, values.T, strict=True))
        frames.append(pl.DataFrame({"entity": [f"s{server}"] * ticks, "time": instants(ticks, TICK), **columns}).cast({"time": TIME}))
    names = [f"s{server}" for server in range(servers)]
    entities = pl.DataFrame([{"entity": name, "domain": "unknown", "system_type": "server", "depends_on": []} for name in names], schema=ENTITY_SCHEMA)
    table = pl.DataFrame([(name, START + TICK * start, START + TICK * end, None) for name, start, end in incidents], schema=INCIDENT_SCHEMA, orient="row")
    labelled = pl.DataFrame([(name, START, START + TICK * (ticks - 1)) for name in names], schema=INTERVAL_SCHEMA, orient="row")
    return Telemetry(pl.concat(frames), tuple(Metric(name, "1") for name in METRICS), TICK, "fleet", entities, table, labelled)


def prepared(root: Path, telemetry: Telemetry | None = None) -> Steps:
    """Run the steps from features to detectors."""
    steps = Steps(root)
    (telemetry or incident_fleet()).save(steps.validated)
    featurize(steps.validated, VIEW, steps.features)
    label(steps.validated, steps.features, policy(), steps.labels)
    split(steps.labels, steps.features, steps.folds)
    detect(steps.features, steps.folds, steps.detectors)
    return steps
