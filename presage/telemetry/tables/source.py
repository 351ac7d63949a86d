"""`csv:PATH[,mapping=FILE]` and `parquet:PATH[,mapping=FILE]`: a table in a file as a source."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import polars as pl

from presage.errors import InputError, RowsRefused
from presage.telemetry.metrics import ASD_COLUMNS, asd_name, metric_named
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.schema import ENTITY_SCHEMA, Metric, Telemetry
from presage.telemetry.sources import Spec
from presage.telemetry.tables.labels import incidents_of, labelled_intervals, parse_labels
from presage.telemetry.tables.layout import Layout, MetricMapping, load_mapping, resolve
from presage.telemetry.tables.opened import OpenedTable, open_table
from presage.telemetry.tables.timestamps import parse_times
from presage.telemetry.tables.values import parse_values

_INDEX = "row index"  # of the file; no metric is called so
_STATE = ("entity", "time", "label", "cause")


@dataclass(frozen=True)
class TableSource:
    """One file. Nothing is opened before `read`."""

    spec: str
    name: str
    path: str
    mapping: str | None = None
    live: bool = False

    @classmethod
    def from_spec(cls, spec: Spec) -> "TableSource":
        return cls(spec.text, spec.scheme, spec.target, spec.options.get("mapping"))

    def read(self, quarantine: Quarantine) -> Telemetry:
        """The file's telemetry. Rows and cells that cannot be used go to `quarantine`, the rest goes on.

        A row is refused without a readable entity and time, where its entity and time (and metric, in a long table) were
        there already, and where no metric of it can be used; a cell is refused that is no finite number. Every row of the
        file is kept or refused. Raises InputError on a file that cannot be read this way, RowsRefused where no row is left.
        """
        told = load_mapping(Path(self.mapping).expanduser()) if self.mapping else Layout()
        table = open_table(self.name, self.path)
        layout = resolve(told, table.cells.columns, self.path)
        rows = _Rows.of(table, layout, quarantine)
        rows.refuse_without_instant()
        backwards = rows.count_backwards()
        wide, metrics = rows.from_long() if layout.long else rows.from_wide()
        if wide.is_empty():
            raise RowsRefused(f"{rows.first_reason()} None of the {table.cells.height} rows is left. Mend the file.")
        names = [metric.name for metric in metrics]
        ordered = wide.sort("entity", "time")
        notes: tuple[str, ...] = (f"{self.path}: {backwards} rows stood behind a later one of their server; all were put in order.",) if backwards else ()
        labelled = labelled_intervals(ordered) if layout.label else None
        if labelled is not None and labelled.is_empty():
            labelled, notes = None, (*notes, f"{self.path}: its label column {layout.label!r} is empty; nothing is labelled.")
        entities = ordered["entity"].unique(maintain_order=True)
        return Telemetry(
            readings=ordered.select("entity", "time", *names),
            metrics=metrics,
            period=self._period(ordered),
            source=self.spec,
            entities=pl.DataFrame({"entity": entities, "domain": "unknown", "system_type": "unknown", "depends_on": [[]] * len(entities)},
                                  schema=ENTITY_SCHEMA),
            incidents=incidents_of(ordered) if labelled is not None else None,
            labelled=labelled,
            notes=notes,
        )

    def _period(self, ordered: pl.DataFrame) -> timedelta:
        """The most common spacing of one entity's rows (the smaller of two equally common)."""
        spacing = ordered.select(pl.col("time").diff().over("entity").alias("spacing")).drop_nulls()
        if spacing.is_empty():
            raise InputError(f"{self.path}: every server has a single row, so how often it reports cannot be told. Give two rows a server or more.")
        period = spacing["spacing"].value_counts().sort(["count", "spacing"], descending=[True, False])["spacing"][0]
        assert isinstance(period, timedelta)
        return period


@dataclass
class _Rows:
    """The rows of one file on their way: `kept` holds those not refused so far, by their index in the file."""

    table: OpenedTable
    layout: Layout
    quarantine: Quarantine
    kept: pl.DataFrame
    times: pl.DataFrame
    refused: list[pl.DataFrame] = field(default_factory=list)

    @classmethod
    def of(cls, table: OpenedTable, layout: Layout, quarantine: Quarantine) -> "_Rows":
        """Parse who, when and label of every row."""
        cells = table.cells
        assert layout.entity is not None and layout.time is not None
        times = parse_times(cells[layout.time], layout.timezone)
        label = parse_labels(cells[layout.label]) if layout.label else None
        kept = pl.DataFrame(
            {
                _INDEX: pl.int_range(cells.height, dtype=pl.Int64, eager=True),
                "entity": cells[layout.entity].cast(pl.String, strict=False).str.strip_chars(),
                "time": times["time"],
                "label": label["label"] if label is not None else pl.Series([None] * cells.height, dtype=pl.Boolean),
                "cause": cells[layout.cause].cast(pl.String, strict=False) if layout.cause else pl.Series([None] * cells.height, dtype=pl.String),
            }
        )
        rows = cls(table, layout, quarantine, kept, times)
        if layout.label is not None and label is not None and label["bad"].any():
            bad = kept.filter(label["bad"])
            rows._refuse(bad, "not-a-label", layout.label, cells[layout.label].gather(bad[_INDEX]),
                         pl.lit(f"{layout.label!r} is '") + pl.col("value") + pl.lit("', neither true nor false; the row counts as unlabelled."))
        return rows

    def first_reason(self) -> str:
        """Place and reason of the first row refused."""
        first = pl.concat(self.refused).row(0, named=True)
        return f"{first['place']}: {first['reason']}"

    def _refuse(self, rows: pl.DataFrame, rule: str, metric: str | None, value: pl.Series, reason: pl.Expr) -> None:
        """Quarantine `rows` (or, with `metric`, one cell of each), `value` being what was written there."""
        if rows.is_empty():
            return
        frame = rows.select(_INDEX, "entity", "time").with_columns(value.cast(pl.String, strict=False).fill_null("").alias("value"))
        frame = frame.select(
            place=self.table.places(rows[_INDEX]), entity="entity", time="time", metric=pl.lit(metric, dtype=pl.String), value="value",
            rule=pl.lit(rule), reason=reason,
        )
        self.refused.append(frame)
        self.quarantine.add(frame)

    def count_backwards(self) -> int:
        """How many rows stand behind a later one of the same entity."""
        steps = self.kept.select(pl.col("time").diff().over("entity").alias("step"))["step"]
        return int((steps < timedelta(0)).sum())

    def _drop(self, rows: pl.DataFrame) -> None:
        self.kept = self.kept.join(rows.select(_INDEX), on=_INDEX, how="anti", maintain_order="left")

    def refuse_without_instant(self) -> None:
        """Refuse rows that do not say who or when. Raises InputError where no row has a time zone."""
        layout, cells = self.layout, self.table.cells
        assert layout.entity is not None and layout.time is not None
        written = cells[layout.time]
        rules = self.times["rule"]
        if rules.is_not_null().all() and (rules == "naive-time").any():
            row = int((rules == "naive-time").arg_true()[0])
            raise InputError(
                f"{self.table.place(row)}: {layout.time!r} is '{written[row]}' without a time zone, as every time of the file. "
                "Write the offset with it (…Z, …+02:00), or say which zone is meant: mapping=FILE with `timezone: UTC`."
            )
        nameless = self.kept.filter(pl.col("entity").is_null() | (pl.col("entity") == ""))
        self._refuse(nameless, "no-entity", None, nameless["entity"], pl.lit(f"{layout.entity!r} is empty, so nobody knows which server it was."))
        self._drop(nameless)
        quoted = pl.lit(f"{layout.time!r} is '") + pl.col("value")
        sentences = {
            "no-time": pl.lit(f"{layout.time!r} is empty."),
            "naive-time": quoted + pl.lit("' without a time zone; write the offset with it, or name the zone in a mapping."),
            "no-such-time": quoted + pl.lit(f"', which a change of clocks in {layout.timezone} skips or repeats."),
            "not-a-time": quoted + pl.lit("', which is no time (2026-01-31T14:05:00Z is one)."),
        }
        kept_rules = rules.gather(self.kept[_INDEX])
        for rule, reason in sentences.items():
            timeless = self.kept.filter(kept_rules == rule)
            self._refuse(timeless, rule, None, written.gather(timeless[_INDEX]), reason)
        self.kept = self.kept.filter(kept_rules.is_null())

    def _refuse_repeated(self, keys: list[str], what: str) -> None:
        repeated = self.kept.filter(~pl.struct(keys).is_first_distinct())
        instant = repeated["time"].dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ")
        reason = pl.col("entity") + pl.lit(" at ") + pl.col("value") + pl.lit(f" stands in the file already{what}; the first stays.")
        self._refuse(repeated, "duplicate", None, instant, reason)
        self._drop(repeated)

    def _refuse_cells(self, rows: pl.DataFrame, parsed: pl.DataFrame, column: str, metric: str | None, written: pl.Series) -> pl.DataFrame:
        """Quarantine the cells of `rows` that `parsed` found wrong; returns those rows."""
        for rule, what in (("not-a-number", "not a number"), ("not-finite", "not a finite number")):
            wrong = parsed["rule"] == rule
            self._refuse(rows.filter(wrong), rule, metric, written.filter(wrong), pl.lit(f"{column!r} is '") + pl.col("value") + pl.lit(f"', {what}."))
        return rows.filter(parsed["rule"].is_not_null())

    def _mapped(self, names: list[str]) -> list[MetricMapping]:
        """What each metric column or name of the file means. Raises InputError where two mean the same metric."""
        asd = set(names) == set(ASD_COLUMNS) and not self.layout.metrics
        mapped = [MetricMapping(asd_name(name)) if asd else self.layout.metrics.get(name, MetricMapping(name.strip())) for name in names]
        seen: dict[str, str] = {}
        for name, mapping in zip(names, mapped, strict=True):
            if mapping.name in seen or mapping.name in (*_STATE, _INDEX):
                other = f"as {seen[mapping.name]!r} does" if mapping.name in seen else "which presage uses itself"
                remedy = "Give it another name in a mapping, or ignore it there."
                raise InputError(f"{self.table.path}: {name!r} would be the metric {mapping.name}, {other}. {remedy}")
            seen[mapping.name] = name
        return mapped

    def from_wide(self) -> tuple[pl.DataFrame, tuple[Metric, ...]]:
        """(entity, time, label, cause, a column a metric; a row a kept row of the file), metrics in the file's order."""
        self._refuse_repeated(["entity", "time"], "")
        columns = self.layout.metric_columns(self.table.cells.columns)
        mapped = self._mapped(columns)
        for column, mapping in zip(columns, mapped, strict=True):
            written = self.table.cells[column]
            if written.dtype.is_nested() or written.dtype.is_temporal() or written.dtype == pl.Binary:
                raise InputError(f"{self.table.path}: column {column!r} holds {written.dtype}, not numbers. Drop it, or list it under `ignore` in a mapping.")
            parsed = parse_values(written, mapping.scale)
            if parsed["value"].is_null().all() and (parsed["rule"] == "not-a-number").any():
                row = int((parsed["rule"] == "not-a-number").arg_true()[0])
                raise InputError(f"{self.table.place(row)}: {column!r} is {str(written[row])!r}, and no cell of that column is a number. "
                                 "Drop the column, or list it under `ignore` in a mapping.")
            index = self.kept[_INDEX]
            parsed = parsed[index]
            self._refuse_cells(self.kept, parsed, column, mapping.name, written.gather(index))
            self.kept = self.kept.with_columns(parsed["value"].alias(mapping.name))
        names = [mapping.name for mapping in mapped]
        bare = self.kept.filter(pl.all_horizontal(pl.col(names).is_null()))
        self._refuse(bare, "no-value", None, pl.Series([""] * bare.height, dtype=pl.String), pl.lit("no metric of this row has a value that can be used."))
        self._drop(bare)
        return self.kept.select(*_STATE, *names), tuple(metric_named(mapping.name, mapping.unit) for mapping in mapped)

    def from_long(self) -> tuple[pl.DataFrame, tuple[Metric, ...]]:
        """The same; a row of the file is one cell, so a cell refused is a row refused. Metrics in the order of their names."""
        layout, cells = self.layout, self.table.cells
        assert layout.metric is not None and layout.value is not None
        self.kept = self.kept.with_columns(cells[layout.metric].cast(pl.String, strict=False).str.strip_chars().gather(self.kept[_INDEX]).alias("metric"))
        nameless = self.kept.filter(pl.col("metric").is_null() | (pl.col("metric") == ""))
        self._refuse(nameless, "no-metric", None, nameless["metric"], pl.lit(f"{layout.metric!r} is empty, so nobody knows what was measured."))
        self._drop(nameless)
        self._refuse_repeated(["entity", "time", "metric"], " for that metric")
        names = sorted(self.kept["metric"].unique().to_list())
        mapped = dict(zip(names, self._mapped(names), strict=True))
        scale = self.kept["metric"].replace_strict(list(names), [mapped[name].scale for name in names], return_dtype=pl.Float64)
        written = cells[layout.value].gather(self.kept[_INDEX])
        parsed = parse_values(written, scale)
        wrong = self._refuse_cells(self.kept, parsed, layout.value, None, written)
        self.kept = self.kept.with_columns(parsed["value"].alias("value"))
        self._drop(wrong)
        unseen = self.kept.filter(pl.col("value").is_null())
        self._refuse(unseen, "no-value", None, pl.Series([""] * unseen.height, dtype=pl.String), pl.lit(f"{layout.value!r} is empty."))
        self._drop(unseen)
        metrics = [mapped[name] for name in names]
        cells_kept = self.kept.with_columns(pl.col("metric").replace_strict(list(names), [mapping.name for mapping in metrics], return_dtype=pl.String))
        state = cells_kept.group_by("entity", "time").agg(pl.col("label").max(), pl.col("cause").drop_nulls().first())
        wide = state
        if not cells_kept.is_empty():
            wide = state.join(cells_kept.pivot("metric", index=["entity", "time"], values="value"), on=["entity", "time"])
        present = [mapping for mapping in metrics if mapping.name in wide.columns]
        return wide.select(*_STATE, *(mapping.name for mapping in present)), tuple(metric_named(mapping.name, mapping.unit) for mapping in present)
