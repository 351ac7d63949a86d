"""`presage report`: finds a run by id, as the last one, or by folder."""

import os
import shutil

import orjson
import pytest
from simulated_run import build_run

from presage.cli import main
from presage.state import State


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("built") / "run", servers=4, days=2)


@pytest.fixture
def state(tmp_path, monkeypatch, built):
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path / "state"))
    state = State.open()
    for age, name in ((200, "run-a"), (100, "run-b")):
        shutil.copytree(built, state.runs / name)
        then = (state.runs / name / "result.json").stat().st_mtime - age
        os.utime(state.runs / name / "result.json", (then, then))
    (state.runs / "run-c-unfinished").mkdir()
    return state


def test_the_last_run_is_the_newest_finished_one(state, capsys):
    assert main(["report"]) == 0
    assert capsys.readouterr().out == f"{state.runs / 'run-b' / 'report.html'}\n"


def test_a_run_is_found_by_id_and_by_folder(state, tmp_path, capsys):
    assert main(["report", "run-a", "--out", str(tmp_path / "a.html"), "-o", "json"]) == 0
    assert orjson.loads(capsys.readouterr().out) == {"report": str(tmp_path / "a.html")}
    assert main(["report", str(state.runs / "run-a")]) == 0
    assert (state.runs / "run-a" / "report.html").is_file()


def test_the_list_names_finished_runs_the_oldest_first(state, capsys):
    main(["report", "--list"])
    assert capsys.readouterr().out.split() == ["run-a", "run-b"]


def test_an_unknown_run_is_one_sentence_that_names_those_there_are(state, capsys):
    assert main(["report", "run-x"]) == 1
    assert capsys.readouterr().err == f"There is no finished run 'run-x' in {state.runs}. The latest are run-a, run-b; `last` names the newest.\n"
