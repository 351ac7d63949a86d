"""docs/notebook.ipynb runs from top to bottom, as a reader would run it."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import presage
from presage.state import State

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path / "state"))
    yield State.open()
    presage.down()


def test_the_notebook_runs_from_top_to_bottom_and_leaves_nothing_running(state):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parents[1])}}).execute()
    assert presage.status(state).processes == []
    assert len(list(state.runs.glob("*/report.html"))) == 1


def test_the_notebook_is_committed_without_outputs():
    assert all(not cell.get("outputs") for cell in nbformat.read(NOTEBOOK, as_version=4).cells)
