"""Telemetry and a declaration become rows.parquet, ticks.parquet and features.json."""

from pathlib import Path

from presage.errors import InputError
from presage.features.declaration import FeatureView
from presage.features.windows import compute
from presage.files import write_json, written_aside
from presage.telemetry.schema import Telemetry


def featurize(validated: Path, view: FeatureView, features: Path) -> None:
    """The batch engine over the whole table (docs/architecture.md). Raises InputError where no tick holds a row."""
    telemetry = Telemetry.load(validated)
    bound = view.bind(telemetry.metric_names)
    table = compute(bound, telemetry.readings, telemetry.period)
    if table.rows.is_empty():
        raise InputError(f"{telemetry.source} gives no feature row: no window of {view.name} holds a sample. Give at least a few hours of telemetry.")
    with written_aside(features) as aside:
        aside.mkdir(parents=True)
        table.rows.write_parquet(aside / "rows.parquet")
        table.ticks.write_parquet(aside / "ticks.parquet")
        write_json(aside / "features.json", {**bound.as_document(), "version": bound.version})
