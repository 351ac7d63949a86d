"""docs/notebook.ipynb runs from top to bottom, as a reader would run it, but for small training budgets and a warm cache."""

import shutil
from pathlib import Path

import nbformat
import pytest
from builders.runs import SOURCE
from nbclient import NotebookClient

import presage
from presage.state import State

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


@pytest.fixture
def state(tmp_path, monkeypatch, trained_state):
    """A state of its own, with the cache of the one small run that the tests share."""
    shutil.copytree(trained_state.cache, tmp_path / "state" / "cache")
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path / "state"))
    yield State.open()
    presage.down()


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom_and_leaves_nothing_running(state, trained_state):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    [parameters] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert f'SOURCE = "{SOURCE}"' in parameters.source
    parameters.source += f"\nPOLICY = Path({str(trained_state.root / 'policy' / 'incident.yaml')!r})"
    parameters.source = f"from pathlib import Path\n{parameters.source}"
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parents[1])}}).execute()
    assert presage.status(state).processes == []
    assert len(list(state.runs.glob("*/report.html"))) == 1


def test_the_notebook_is_committed_without_outputs():
    assert all(not cell.get("outputs") for cell in nbformat.read(NOTEBOOK, as_version=4).cells)
