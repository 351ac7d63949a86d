"""`import presage`: the functions behind the commands, documented, and nothing loaded before it is used."""

import inspect
import subprocess
import sys

import pytest

import presage


def test_importing_presage_loads_nothing_of_it():
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", "import presage"], capture_output=True, text=True, check=True, timeout=60)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert not {name for name in loaded if name.startswith("presage.")}


@pytest.mark.parametrize("name", ["run", "predict", "report", "up", "down", "status"])
def test_each_function_is_there_and_says_what_it_does(name):
    function = getattr(presage, name)
    assert callable(function)
    assert len(inspect.getdoc(function)) > 40


def test_a_function_stays_a_function_after_its_module_was_imported():
    """A submodule named like a function would take its place on the package."""
    import presage.local.plane
    import presage.predictions
    import presage.reports
    import presage.runs

    assert all(inspect.isfunction(getattr(presage, name)) for name in ("run", "predict", "report", "up", "down", "status"))


def test_all_names_exist_and_are_listed():
    assert set(presage.__all__) <= set(dir(presage))
    assert all(getattr(presage, name) is not None for name in presage.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        presage.nonsense  # noqa: B018
