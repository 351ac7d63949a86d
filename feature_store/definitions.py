"""Feast's registry objects, made from the declarations in `views/`.

    feast -c feature_store apply                                     # registers them for the simulated fleet's metrics;
                                                                     # training rows: $PRESAGE_FEATURE_ROWS, a run's rows.parquet
    objects = registry_objects(bound, rows=Path("rows.parquet"))     # for any other source

The declarations stay the only description of a feature; what Feast holds is derived and carries its declaration as a tag.
"""

import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float32

from presage.features.declaration import BoundView, load_view
from presage.features.windows import coverage_names
from presage.files import canonical_json
from presage.telemetry.metrics import CATALOGUE


def registry_objects(bound: BoundView, rows: Path, service: str = "incident") -> tuple[Entity, FeatureView, FeatureService]:
    """The entity, the feature view and the feature service of a bound declaration.

    rows: the `rows.parquet` that featurize writes (entity, time, features, coverage). A row is valid as long as its longest
    window is: that is the view's ttl.
    """
    view = bound.view
    entity = Entity(name=view.entity, join_keys=["entity"], value_type=ValueType.STRING, description="what telemetry is about")
    names = [*bound.names, *coverage_names(bound)]
    features = FeatureView(
        name=view.name,
        entities=[entity],
        ttl=timedelta(seconds=view.longest.total_seconds()),
        schema=[Field(name=name, dtype=Float32) for name in names],
        source=FileSource(name=f"{view.name}_rows", path=str(rows), timestamp_field="time"),
        tags={"service": service, "declaration": canonical_json(bound.as_document()).decode(), "version": bound.version},
    )
    return entity, features, FeatureService(name=service, features=[features], tags={"version": bound.version})


_HERE = Path(__file__).resolve().parent
_ROWS = Path(os.environ.get("PRESAGE_FEATURE_ROWS", _HERE.parent / ".presage" / "feature-rows.parquet"))

# `feast apply` registers what it finds at a module's top level.
server, server_windows, incident = registry_objects(load_view(_HERE / "views" / "server_windows.yaml").bind(list(CATALOGUE)), _ROWS)
