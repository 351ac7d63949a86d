"""Feature rows from files: three formats, one meaning; every bad cell is named by row, column and value."""

import math

import polars as pl
import pytest

from presage.errors import InputError
from presage.feature_rows import read_feature_rows

BESIDE = {"entity": ["web-1", "web-2"], "time": ["2026-01-01", "2026-01-01"], "warming": [False, True], "coverage_6h": [1.0, 0.2]}
TABLE = {**BESIDE, "a": [1.5, None], "b": [2.0, 3.0]}


@pytest.fixture(params=["csv", "parquet", "json"])
def file(request, tmp_path):
    path = tmp_path / f"rows.{request.param}"
    getattr(pl.DataFrame(TABLE), f"write_{request.param}")(path)
    return path


def test_the_formats_read_the_same_and_an_empty_cell_is_a_value_not_seen(file):
    found = read_feature_rows(file)
    assert found.names == ["web-1", "web-2"]
    assert found.rows == [{"a": 1.5, "b": 2.0}, {"a": None, "b": 3.0}]


def test_rows_without_names_are_numbered(tmp_path):
    (tmp_path / "rows.csv").write_text("a\n1\n2\n")
    assert read_feature_rows(tmp_path / "rows.csv").names == ["row 1", "row 2"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.csv", "a,b\n1,2\n1,n/a\n", "row 2: b is 'n/a', not a number"),
        ("rows.csv", "a\ninf\n", "row 1: a is inf, not finite"),
        ("rows.csv", "a,b\n", "has no rows"),
        ("rows.csv", "", "does not read as csv"),
        ("rows.csv", "entity,time\nx,y\n", "has no feature column, only entity, time"),
        ("rows.json", "{", "does not read as json"),
        ("rows.json", '[{"a": {"b": 1}}]', "row 1: a is {'b': 1}, not a number"),
        ("rows.parquet", "PAR1", "does not read as parquet"),
        ("rows.txt", "a", "the suffix is '.txt'"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        read_feature_rows(tmp_path / name)
    assert says in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    for name, value in (("rows[1].csv", 1), ("rows1.csv", 2)):
        (tmp_path / name).write_text(f"a\n{value}\n")
    assert read_feature_rows(tmp_path / "rows[1].csv").rows == [{"a": 1.0}]


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(InputError, match=r"is a folder\. Name one file"):
        read_feature_rows(tmp_path / "rows.csv")


def test_nan_is_no_value(tmp_path):
    pl.DataFrame({"a": [math.nan]}).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(InputError, match="row 1: a is nan, not finite"):
        read_feature_rows(tmp_path / "rows.parquet")


def test_a_missing_file_names_what_to_give(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_feature_rows(tmp_path / "rows.csv")
