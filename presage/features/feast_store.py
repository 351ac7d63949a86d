"""Feast's door to our online store: the same rows, read and written through Feast's OnlineStore interface.

    online_store:
        type: presage.features.feast_store.PresageOnlineStore
        path: ../.presage/online.db          # relative to feature_store.yaml

A feature view names its feature service in the tag `service` and carries its declaration in the tag `declaration`. Nothing
but Feast itself imports this module: feast takes seconds to load, and the request path never needs it.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel

from presage.errors import InputError
from presage.features.declaration import BoundView
from presage.features.store import OnlineRow, open_online_store
from presage.features.store import OnlineStore as RowStore
from presage.features.windows import coverage_names
from presage.telemetry.clock import StreamClock


class PresageOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """The `online_store` block of feature_store.yaml."""

    type: Literal["presage.features.feast_store.PresageOnlineStore"] = "presage.features.feast_store.PresageOnlineStore"
    """Feast finds the class by this name."""
    path: str
    """The SQLite file; a relative one lies beside feature_store.yaml."""


class PresageOnlineStore(OnlineStore):  # type: ignore[misc]
    """Rows of one feature service a feature view. What Feast writes has no history of tick means (unknown, NaN)."""

    _opened: RowStore | None = None

    def _store(self, config: Any) -> RowStore:
        if self._opened is None:
            path = Path(config.online_store.path)
            self._opened = open_online_store(f"sqlite:{path if path.is_absolute() else Path(config.repo_path or '.') / path}")
        return self._opened

    def online_read(
        self, config: Any, table: Any, entity_keys: Sequence[Any], requested_features: Sequence[str] | None = None
    ) -> list[tuple[datetime | None, dict[str, Any] | None]]:
        """Event time and values of each entity; (None, None) where it is unknown, an empty value where a feature is."""
        bound, wanted = declaration(table), requested_features and set(requested_features)
        names = [*bound.names, *coverage_names(bound)]
        found: list[tuple[datetime | None, dict[str, Any] | None]] = []
        for row in self._store(config).read(service(table), [_entity(key) for key in entity_keys]):
            if row is None or row.version != bound.version:
                found.append((None, None))
                continue
            values = zip(names, [*row.values.tolist(), *row.coverage.tolist()], strict=True)
            time = datetime.fromtimestamp(row.time, UTC)
            found.append((time, {name: _value(value) for name, value in values if not wanted or name in wanted}))
        return found

    def online_write_batch(self, config: Any, table: Any, data: Sequence[Any], progress: Callable[[int], Any] | None) -> None:
        """Write rows (materialize, push). An older event time never replaces a newer one."""
        bound = declaration(table)
        self._make(config, table)
        nothing = np.full((bound.view.history, len(bound.metrics)), np.nan, np.float32)
        rows = [
            OnlineRow(_entity(key), _utc(time).timestamp(), bound.version, _numbers(bound.names, values), _numbers(coverage_names(bound), values), nothing)
            for key, values, time, _ in data
        ]
        self._store(config).write(service(table), rows)
        if progress is not None:
            progress(len(rows))

    def update(  # noqa: PLR0917 (Feast's own signature)
        self,
        config: Any,
        tables_to_delete: Sequence[Any],
        tables_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Any],
        entities_to_keep: Sequence[Any],
        partial: bool,
    ) -> None:
        """Make the services of these views where they are missing. One that a stream feeds stays as it is."""
        for table in tables_to_keep:
            self._make(config, table)

    def teardown(self, config: Any, tables: Sequence[Any], entities: Sequence[Any]) -> None:
        """Let the file go; the rows belong to the stream that feeds them."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _make(self, config: Any, table: Any) -> None:
        store, bound = self._store(config), declaration(table)
        description = store.describe(service(table))
        if description is None:
            now = datetime.now(UTC).timestamp()
            store.put_service(service(table), bound, "feast", StreamClock(now, now, 1.0))
        elif description.bound.version != bound.version:
            raise InputError(
                f"Feature view {table.name!r} follows declaration {bound.version}, the online store's service {service(table)!r} follows "
                f"{description.bound.version} (source {description.source}). Apply the view of that source, or name another online store."
            )


def service(table: Any) -> str:
    """The feature service whose rows a Feast feature view reads."""
    return str(table.tags.get("service", "incident"))


def declaration(table: Any) -> BoundView:
    """The bound declaration that a Feast feature view carries. Raises InputError where it carries none."""
    text = table.tags.get("declaration")
    if not text:
        raise InputError(f"Feature view {table.name!r} carries no declaration. Make it with feature_store.definitions.registry_objects.")
    return BoundView.from_document(json.loads(text))


def _entity(key: Any) -> str:
    [value] = key.entity_values
    return str(value.string_val)


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _value(number: float) -> Any:
    return Value() if np.isnan(number) else Value(float_val=number)


def _numbers(names: Sequence[str], values: dict[str, Any]) -> Any:
    read = [values[name].float_val if name in values and values[name].WhichOneof("val") == "float_val" else np.nan for name in names]
    return np.array(read, np.float32)
