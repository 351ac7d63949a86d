"""Tables in files: wide and long, guessed and mapped; every row kept or refused, with a reason; every fault one sentence."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from presage.errors import InputError, PresageError, RowsRefused
from presage.telemetry.quarantine import QUARANTINE_SCHEMA, Quarantine
from presage.telemetry.schema import Telemetry
from presage.telemetry.sources import parse_source

START = datetime(2026, 3, 1, tzinfo=UTC)
EVERY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEAD = "server,timestamp,system.cpu.utilization,queue.depth\n"


def written(folder: Path, text: str, name: str = "fleet.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path, mapping: str | None = None, quarantine: Quarantine | None = None) -> Telemetry:
    spec = f"{path.suffix.removeprefix('.')}:{path}"
    if mapping is not None:
        spec += f",mapping={written(path.parent, mapping, 'mapping.yaml')}"
    return parse_source(spec).read(quarantine if quarantine is not None else Quarantine())


def minute(number: int) -> str:
    return f"{START + timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}"


def two_good_rows(server: str = "a") -> str:
    return f"{server},{minute(0)},0.5,3\n{server},{minute(1)},0.6,4\n"


# Whole tables: what is written comes back

values = st.floats(allow_nan=False, allow_infinity=False, width=32)
tables = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b-1", "ü"]), st.integers(0, 200)),
    st.fixed_dictionaries({"system.cpu.utilization": st.none() | values, "queue.depth": values}),
    min_size=1,
).filter(lambda table: any((name, number) != (other, that) and name == other for name, number in table for other, that in table))


def frame_of(table: dict) -> pl.DataFrame:
    rows = [(entity, START + timedelta(minutes=number), *cells.values()) for (entity, number), cells in table.items()]
    schema = {"entity": pl.String, "time": pl.Datetime("us", "UTC"), "system.cpu.utilization": pl.Float64, "queue.depth": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@EVERY
@given(table=tables)
def test_a_wide_csv_comes_back_as_it_was_written(tmp_path, table):
    frame = frame_of(table)
    frame.write_csv(tmp_path / "wide.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    assert read(tmp_path / "wide.csv").readings.equals(frame.sort("entity", "time"))


@EVERY
@given(table=tables)
def test_a_long_csv_comes_back_as_it_was_written(tmp_path, table):
    frame = frame_of(table)
    frame.unpivot(index=["entity", "time"], variable_name="metric").drop_nulls().write_csv(tmp_path / "long.csv", datetime_format="%Y-%m-%d %H:%M:%S+00:00")
    back = read(tmp_path / "long.csv").readings
    assert back.equals(frame.sort("entity", "time").select(back.columns))


@EVERY
@given(table=tables)
def test_a_parquet_file_comes_back_as_it_was_written(tmp_path, table):
    frame = frame_of(table)
    frame.write_parquet(tmp_path / "fleet.parquet")
    assert read(tmp_path / "fleet.parquet").readings.equals(frame.sort("entity", "time"))


# Every row is kept or refused

cells = st.sampled_from(["0.5", "-3e2", "", "n/a", "NaN", "inf", " 7 ", "1,5", "0x1f", "true"])
messy_rows = st.lists(st.tuples(
    st.sampled_from(["a", "b", "", "  "]),
    st.sampled_from([minute(0), minute(1), minute(2), "2026-03-01 00:00", "", "soon", "2026-02-30T00:00:00Z", "1772323200", "2026-03-01T01:03:00+01:00"]),
    cells, cells,
), max_size=25)


def quoted(row: tuple[str, ...]) -> str:
    return ",".join(f'"{cell}"' for cell in row) + "\n"


@EVERY
@given(rows=messy_rows)
def test_every_row_of_a_wide_table_is_kept_or_refused(tmp_path, rows):
    quarantine = Quarantine()
    path = written(tmp_path, HEAD + two_good_rows("c") + "".join(map(quoted, rows)))
    kept = read(path, quarantine=quarantine).readings
    assert kept.height + quarantine.refused_rows == len(rows) + 2
    refused = quarantine.frame()
    assert dict(refused.schema) == QUARANTINE_SCHEMA and refused["reason"].is_not_null().all()
    assert refused.filter(pl.col("metric").is_null())["place"].is_unique().all()
    numbers = kept.select(pl.col("system.cpu.utilization").is_not_null().sum() + pl.col("queue.depth").is_not_null().sum()).item()
    assert numbers > 0 and kept.select(pl.all_horizontal(pl.col(pl.Float64).is_finite().fill_null(True)).all()).item()


@EVERY
@given(rows=messy_rows)
def test_every_row_of_a_long_table_is_kept_or_refused(tmp_path, rows):
    quarantine = Quarantine()
    body = "".join(quoted((server, time, metric, value)) for server, time, metric, value in rows)
    path = written(tmp_path, f"host,time,metric,value\nc,{minute(0)},m,1\nc,{minute(1)},m,2\n{body}")
    kept = read(path, quarantine=quarantine).readings
    seen = kept.select(pl.sum_horizontal(pl.col(pl.Float64).is_not_null().sum())).item()
    assert seen + quarantine.refused_rows == len(rows) + 2 and len(quarantine) == quarantine.refused_rows


# Refusals, one by one

@pytest.mark.parametrize(("row", "rule", "sentence"), [
    (f",{minute(2)},0.5,1", "no-entity", "'server' is empty"),
    ("a,,0.5,1", "no-time", "'timestamp' is empty"),
    ("a,2026-03-01 00:02:00,0.5,1", "naive-time", "'2026-03-01 00:02:00' without a time zone"),
    ("a,tomorrow,0.5,1", "not-a-time", "'tomorrow', which is no time"),
    ("a,2026-13-01T00:00:00Z,0.5,1", "not-a-time", "'2026-13-01T00:00:00Z', which is no time"),
    ("a,20260301,0.5,1", "not-a-time", "'20260301', which is no time"),
    (f"a,{minute(1)},0.5,1", "duplicate", f"a at {minute(1)} stands in the file already"),
    (f"a,{minute(2)},n/a,1", "not-a-number", "'system.cpu.utilization' is 'n/a', not a number"),
    (f"a,{minute(2)},0.5,NaN", "not-finite", "'queue.depth' is 'NaN', not a finite number"),
    (f"a,{minute(2)},0.5,-inf", "not-finite", "'queue.depth' is '-inf'"),
    (f"a,{minute(2)},,", "no-value", "no metric of this row has a value"),
])
def test_a_refused_row_keeps_its_place_and_reason(tmp_path, row, rule, sentence):
    quarantine = Quarantine()
    telemetry = read(written(tmp_path, HEAD + two_good_rows() + row + "\n"), quarantine=quarantine)
    refused = quarantine.frame().row(0, named=True)
    assert (refused["rule"], refused["place"]) == (rule, f"{tmp_path}/fleet.csv:4")
    assert sentence in refused["reason"] and len(quarantine) == 1
    assert telemetry.readings.height == (3 if refused["metric"] else 2)


def test_a_refused_cell_leaves_the_rest_of_its_row(tmp_path):
    telemetry = read(written(tmp_path, HEAD + two_good_rows() + f"a,{minute(2)},n/a,9\n"))
    assert telemetry.readings.row(2) == ("a", START + timedelta(minutes=2), None, 9.0)


def test_the_first_bad_row_ends_the_reading_where_that_is_asked_for(tmp_path):
    path = written(tmp_path, HEAD + two_good_rows() + f"a,{minute(2)},n/a,9\n")
    with pytest.raises(RowsRefused, match=r"fleet\.csv:4: 'system.cpu.utilization' is 'n/a', not a number.*quarantine"):
        read(path, quarantine=Quarantine(on_bad_row="fail"))


def test_lines_are_counted_through_blank_lines_and_quoted_line_breaks(tmp_path):
    quarantine = Quarantine()
    read(written(tmp_path, HEAD + two_good_rows() + f'\n"b\nb",{minute(0)},1,1\na,never,1,1\n'), quarantine=quarantine)
    assert quarantine.frame()["place"].to_list() == [f"{tmp_path}/fleet.csv:7"]


# Files that cannot be read at all

@pytest.mark.parametrize(("text", "sentence"), [
    ("", "holds no header"),
    (HEAD, "holds no rows"),
    ("a,b\n1,2\n", "no column says which server a row is about"),
    ("server,cpu\na,2\n", "no column says when it was"),
    ("server,time\na,2026-03-01T00:00:00Z\n", "holds no metric besides server, time"),
    (f"server,host,time,cpu\na,b,{minute(0)},1\n", "server and host could each be the entity column"),
    (f",server,time,cpu\n0,a,{minute(0)},1\n", "fleet.csv:1: column 1 has no name"),
    (f"server,time,cpu,cpu\na,{minute(0)},1,2\n", "'cpu' stands there twice"),
    (f"server,time,cpu,region\na,{minute(0)},1,eu\na,{minute(1)},1,eu\n", r"fleet\.csv:2: 'region' is 'eu', and no cell of that column is a number"),
    (f"server,time,cpu\na,{minute(0)},1\na,{minute(1)},1,9\n", r"fleet\.csv:3: has 4 fields, the header names 3"),
    ("server,time,cpu\na,2026-03-01 00:00:00,1\na,2026-03-01 00:01:00,1\n",
     r"fleet\.csv:2: 'time' is '2026-03-01 00:00:00' without a time zone.*timezone: UTC"),
    ("server,time,cpu\na,soon,1\n,later,2\n", r"None of the 2 rows is left"),
    (f"server,time,cpu\na,{minute(0)},1\n", "a single row"),
    (f"server,time,cpu,cpu \na,{minute(0)},1,2\na,{minute(1)},1,2\n", "'cpu ' would be the metric cpu, as 'cpu' does"),
])
def test_a_table_that_cannot_be_used_gets_one_sentence(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        read(written(tmp_path, text))
    assert str(tmp_path) in caught.value.message and "\n" not in caught.value.message and caught.value.exit_code != 0


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("missing.csv", None, "there is no such file"), ("text.parquet", b"server,time\n", "is no Parquet file"),
    ("bytes.csv", b"\xff\xfe\x00s", "is no UTF-8 text"),
])
def test_a_file_that_cannot_be_opened_gets_one_sentence(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read(tmp_path / name)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        parse_source(f"csv:{tmp_path}").read(Quarantine())


# Time zones

def test_times_of_several_offsets_become_utc(tmp_path):
    telemetry = read(written(tmp_path, "server,time,cpu\na,2026-03-01T01:00:00+01:00,1\na,2026-03-01 05:31+0530,2\na,1772323320,3\na,2026-03-01T00:03Z,4\n"))
    assert telemetry.readings["time"].to_list() == [START + timedelta(minutes=number) for number in range(4)]


def test_naive_times_are_read_in_the_zone_that_the_mapping_names(tmp_path):
    path = written(tmp_path, "server,time,cpu\na,2026-03-29 01:59:00,1\na,2026-03-29 02:30:00,1\na,2026-03-29 03:01:00,1\n")
    quarantine = Quarantine()
    telemetry = read(path, "timezone: Europe/Berlin\n", quarantine)
    assert telemetry.readings["time"].to_list() == [datetime(2026, 3, 29, 0, 59, tzinfo=UTC), datetime(2026, 3, 29, 1, 1, tzinfo=UTC)]
    assert quarantine.frame()["rule"].to_list() == ["no-such-time"]


def test_naive_times_of_a_parquet_file_need_a_zone_too(tmp_path):
    frame = pl.DataFrame({"server": ["a", "a"], "time": [datetime(2026, 3, 1), datetime(2026, 3, 1, 0, 1)], "cpu": [1.0, 2.0]})
    frame.write_parquet(tmp_path / "naive.parquet")
    with pytest.raises(InputError, match=r"naive\.parquet row 1: 'time' is .* without a time zone"):
        read(tmp_path / "naive.parquet")
    assert read(tmp_path / "naive.parquet", "timezone: UTC\n").readings["time"][0] == START


# Labels, order, period, mapping

def test_runs_of_true_rows_are_incidents_and_runs_of_any_label_are_labelled(tmp_path):
    labels = ["", "0", "1", "1", "0", "", "1", "false", "TRUE", "yes"]
    body = "".join(f"a,{minute(number)},1,{label},{'leak' if number == 3 else ''}\n" for number, label in enumerate(labels))
    telemetry = read(written(tmp_path, f"server,time,cpu,label,cause\n{body}b,{minute(0)},1,1,\nb,{minute(1)},1,,\n"))
    at = [START + timedelta(minutes=number) for number in range(10)]
    assert [row[:3] for row in telemetry.incidents.rows()] == [("a", at[2], at[3]), ("a", at[6], at[6]), ("a", at[8], at[9]), ("b", at[0], at[0])]
    assert telemetry.labelled.rows() == [("a", at[1], at[4]), ("a", at[6], at[9]), ("b", at[0], at[0])]


def test_a_label_that_is_neither_true_nor_false_counts_as_unlabelled(tmp_path):
    quarantine = Quarantine()
    telemetry = read(written(tmp_path, f"server,time,cpu,label\na,{minute(0)},1,0\na,{minute(1)},1,maybe\n"), quarantine=quarantine)
    assert quarantine.frame().row(0, named=True)["rule"] == "not-a-label" and telemetry.readings.height == 2
    assert telemetry.labelled["end"].to_list() == [START]


def test_a_table_without_labels_says_none_and_an_empty_label_column_is_noted(tmp_path):
    assert read(written(tmp_path, HEAD + two_good_rows())).incidents is None
    telemetry = read(written(tmp_path, f"server,time,cpu,label\na,{minute(0)},1,\na,{minute(1)},1,\n"))
    assert telemetry.incidents is None and "nothing is labelled" in telemetry.notes[0]


def test_rows_out_of_order_are_put_in_order_and_noted(tmp_path):
    telemetry = read(written(tmp_path, f"server,time,cpu\na,{minute(2)},3\na,{minute(0)},1\na,{minute(1)},2\n"))
    assert telemetry.readings["cpu"].to_list() == [1, 2, 3] and "put in order" in telemetry.notes[0]


def test_the_period_is_the_most_common_spacing(tmp_path):
    body = "".join(f"{server},{minute(number)},1\n" for server in "ab" for number in (0, 5, 10, 15, 40, 45, 46))
    assert read(written(tmp_path, "server,time,cpu\n" + body)).period == timedelta(minutes=5)


def test_a_mapping_names_columns_units_and_scales(tmp_path):
    path = written(tmp_path, f"Rack;Box;When;cpu %;q;value\nr1;a;{minute(0)};50;3;1\nr1;a;{minute(1)};75;4;2\n")
    mapping = """
entity: Box
time: When
ignore: [Rack]
metrics:
  cpu %: {name: system.cpu.utilization, scale: 0.01}
  q: {name: queue.depth, unit: "{message}"}
"""
    telemetry = read(path, mapping)
    assert [(metric.name, metric.unit) for metric in telemetry.metrics] == [("system.cpu.utilization", "1"), ("queue.depth", "{message}"), ("value", "1")]
    assert telemetry.readings["system.cpu.utilization"].to_list() == [0.5, 0.75] and telemetry.metrics[0].high == 1


def test_a_long_table_is_mapped_by_its_metrics_names(tmp_path):
    path = written(tmp_path, f"node,ts,series,reading\na,{minute(0)},cpu_percent,50\na,{minute(1)},cpu_percent,75\n")
    telemetry = read(path, "metric: series\nvalue: reading\nmetrics: {cpu_percent: {name: system.cpu.utilization, scale: 0.01}}\n")
    assert telemetry.readings["system.cpu.utilization"].to_list() == [0.5, 0.75]


@pytest.mark.parametrize(("mapping", "sentence"), [
    ("[1]", "holds no mapping"), ("a: [", "not YAML"), ("server: x", "unknown key 'server'"), ("entity: 3", "entity is 3"),
    ("entity: nope", "has no column 'nope'"),
    ("timezone: Mars", "timezone is 'Mars'"), ("timezone: ../../etc/passwd", "which is no zone"), ("ignore: x", "ignore is 'x'"),
    ("metrics: [a]", "metrics is"),
    ("metrics: {cpu: {scale: 2}}", "metrics.cpu is"), ("metrics: {cpu: {name: x, scale: 0}}", "scale is 0"), ("metrics: {disk: x}", "has no column 'disk'"),
    ("value: cpu", "metric is missing"),
])
def test_a_wrong_mapping_is_named_with_its_value(tmp_path, mapping, sentence):
    with pytest.raises(PresageError, match=sentence):
        read(written(tmp_path, f"server,time,cpu\na,{minute(0)},1\na,{minute(1)},1\n"), mapping)


# The public data set

@pytest.mark.data
@pytest.mark.skipif("PRESAGE_DATASETS" not in os.environ, reason="PRESAGE_DATASETS names no folder with the public data")
def test_the_application_server_dataset_gives_its_76_incidents():
    quarantine = Quarantine()
    telemetry = parse_source(f"parquet:{os.environ['PRESAGE_DATASETS']}/asd/asd.parquet").read(quarantine)
    assert telemetry.metric_names == [f"asd.m{number:02}" for number in range(1, 20)]
    assert {(metric.unit, metric.low, metric.high) for metric in telemetry.metrics} == {("1", 0, 1)}
    assert telemetry.incidents.height == 76 and telemetry.entities.height == 12 and telemetry.period == timedelta(minutes=5)
    labelled = telemetry.labelled.select(pl.col("end") - pl.col("start") + timedelta(minutes=5)).to_series()
    assert labelled.to_list() == [timedelta(days=15)] * 12
    assert telemetry.readings.height == 154_171 and len(quarantine) == 0
