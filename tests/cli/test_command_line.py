"""The command line itself: fast help, right exit codes, one sentence for every failure and never a traceback."""

import errno
import os
import subprocess
import sys
from importlib import import_module

import pytest

import presage.errors
from presage.cli import main
from presage.cli.commands import COMMANDS, GROUPS
from presage.cli.failures import explain
from presage.errors import ArtifactRefused, InputError, PresageError, RequestRefused, UsageError


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def started(*arguments, **settings):
    return subprocess.run([sys.executable, "-m", "presage.cli", *arguments], capture_output=True, text=True, timeout=60, check=False, **settings)


def every_error():
    kinds, found = [PresageError], []
    while kinds:
        kind = kinds.pop()
        found.append(kind)
        kinds += [below for below in kind.__subclasses__() if below.__module__ == presage.errors.__name__]
    return sorted(found, key=lambda kind: kind.__name__)


def made(kind, message):
    if issubclass(kind, ArtifactRefused):
        return kind("digest", message)
    return kind(400, "input", message) if issubclass(kind, RequestRefused) else kind(message)


def cpu_seconds_of_children():
    spent = os.times()
    return spent.children_user + spent.children_system


def test_help_lists_every_command_in_under_three_tenths_of_a_second():
    """Processor time, of the best of five: what the clock on the wall would show were nobody else at work."""
    times = []
    for _ in range(5):
        before = cpu_seconds_of_children()
        done = started("--help")
        times.append(cpu_seconds_of_children() - before)
    assert done.returncode == 0
    for listed in COMMANDS:
        assert listed.name.split()[0] in done.stdout
    assert min(times) < 0.3


def test_help_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "presage.cli", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if line.startswith("import time")}
    assert not imported & {"polars", "numpy", "pandas", "sklearn", "kfp", "rich", "pydantic", "yaml", "httpx2", "psutil"}


@pytest.mark.parametrize("listed", COMMANDS, ids=lambda listed: listed.name.replace(" ", "-"))
def test_each_listed_command_exists_and_explains_itself(listed, capsys):
    module, _, function = listed.target.partition(":")
    assert getattr(import_module(module), function).__doc__
    assert main([*listed.name.split(), "--help"]) == 0
    assert "Usage: presage " + listed.name in capsys.readouterr().out


def test_each_group_has_a_help_line():
    assert {listed.name.split()[0] for listed in COMMANDS if " " in listed.name} == set(GROUPS)


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["report", "--nonsense"], ["predict", "-o", "yaml"], ["--state"], [], ["manifests"], ["manifests", "nonsense"]], ids=" ".join
)
def test_a_wrong_command_line_exits_2_and_names_the_help(arguments, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "--help" in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_typing_error_names_the_near_command(capsys):
    main(["pedict"])
    assert "Did you mean 'predict'?" in capsys.readouterr().err


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_tree_is_one_line_with_its_exit_code(kind, capsys):
    code = explain(made(kind, "feed.csv:42: 'memory' is \"n/a\", not a number.\nFix the cell."))
    captured = capsys.readouterr()
    assert code == (2 if issubclass(kind, UsageError) else 1)
    assert captured.err == "feed.csv:42: 'memory' is \"n/a\", not a number. Fix the cell.\n"
    assert captured.out == ""


def test_control_characters_of_the_data_do_not_reach_the_terminal(capsys):
    explain(InputError("feed.csv:42: '\x1b[2Jmemory' is no metric."))
    assert capsys.readouterr().err == "feed.csv:42: '\\x1b[2Jmemory' is no metric.\n"


def test_an_interrupt_says_nothing_and_exits_130(capsys):
    assert explain(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_a_full_disk_names_the_file_and_the_remedy(capsys):
    assert explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/out.parquet")) == 1
    assert capsys.readouterr().err == "/data/out.parquet: no space left on the device. Free some space and run the command again.\n"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_place_that_may_not_be_written_is_named(number, capsys):
    assert explain(OSError(number, os.strerror(number), "/data/runs")) == 1
    assert capsys.readouterr().err == f"/data/runs: {os.strerror(number).lower()}. Name a place that you may write to, or change who may.\n"


def test_a_fault_of_ours_is_one_line_and_its_trace_is_kept(own_state, capsys):
    def broken():
        raise ZeroDivisionError("division by zero")

    with pytest.raises(ZeroDivisionError) as caught:
        broken()
    assert explain(caught.value) == 70
    said = capsys.readouterr().err
    log = own_state / "logs" / "faults.log"
    assert said.count("\n") == 1
    assert "ZeroDivisionError: division by zero" in said
    assert str(log) in said
    assert "in broken" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_fault_is_still_one_line_where_the_state_cannot_be_used(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path / "file"))
    assert explain(RuntimeError("")) == 70
    assert capsys.readouterr().err == "A fault in presage itself (RuntimeError). The trace could not be written: the state directory is not usable.\n"


def test_a_reader_that_went_away_is_no_failure_to_report():
    writer = subprocess.Popen([sys.executable, "-m", "presage.cli", "report", "--list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    writer.stdout.close()
    assert writer.wait(timeout=60) == 141
    assert writer.stderr.read() == ""


def test_the_state_option_reaches_the_command(tmp_path, capsys):
    assert main(["--state", str(tmp_path / "elsewhere"), "report"]) == 1
    assert str(tmp_path / "elsewhere" / "runs") in capsys.readouterr().err
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o700


def test_a_state_that_is_a_file_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--state", str(tmp_path / "file"), "report"]) == 1
    assert "Name a folder of yours with --state." in capsys.readouterr().err
