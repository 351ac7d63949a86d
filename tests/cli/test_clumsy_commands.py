"""A clumsy command line: the sentence, the exit code, and nothing changed that was not asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.request import Request, pipeline_arguments
from presage.cli import main
from presage.durations import parse_duration
from presage.errors import LONGEST, InputError, PresageError
from presage.features.declaration import load_view
from presage.governance.model_policy import load_model_policy

ROOT = Path(__file__).parents[2]
VIEW = ROOT / "feature_store" / "views" / "server_windows.yaml"
POLICY = ROOT / "policies" / "models" / "incident.yaml"


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def refused(*options: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "presage.cli", "run", *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done


@pytest.mark.long
@pytest.mark.parametrize(("options", "sentence"), [
    (("incident-training", "--source", ""), "--source '' names no known source."),
    (("compile",), "There is no pipeline 'compile'. There is incident-training, batch-scoring, row-scoring."),
    (("incident-training", "--seed", "-1"), "--seed -1 is no seed. Give a whole number from 0 to 4294967295."),
])  # fmt: skip
def test_an_impossible_run_is_refused_before_it_begins(options, sentence, own_state):
    done = refused(*options)
    assert sentence in done.stderr
    assert done.returncode == 2
    assert not list(own_state.glob("runs/*"))


@pytest.mark.parametrize(("asked", "sentence"), [
    ({"seed": 10**30}, "is no seed"),
    ({"threads": 1_000_000}, "--threads 1000000 is no number of threads. Give 1 to 256."),
    ({"policy": Path("/")}, "/: the model policy cannot be read (Is a directory). Write one, starting from"),
    ({"view": Path("/")}, "/: the feature view cannot be read (Is a directory). Give the path of"),
])  # fmt: skip
def test_what_a_run_cannot_be_asked_is_said_before_anything_starts(asked, sentence):
    with pytest.raises(PresageError) as caught:
        pipeline_arguments(Request(**{"pipeline": "incident-training", "source": "simulated", "policy": POLICY, "view": VIEW, **asked}))
    assert sentence in caught.value.message


def test_a_policy_that_is_another_huge_file_is_one_sentence_with_its_remedy(tmp_path):
    """The sentence once filled the pipe to whoever started the run, and both waited for each other."""
    path = tmp_path / "fleet.csv"
    path.write_text("web-01,0.3,0.5,false\n" * 6000)
    done = refused("incident-training", "--policy", str(path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"{path}: the document: ")
    assert done.stderr.endswith("Mend the key.\n")
    assert len(done.stderr) <= LONGEST + 10


@pytest.mark.parametrize(("content", "sentence"), [(b"name: \xff\xfe", "is no UTF-8 text"), (None, "there is no model policy here")])
def test_a_policy_that_cannot_be_read_says_why(tmp_path, content, sentence):
    path = tmp_path / "policy.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        load_model_policy(path)


@pytest.mark.parametrize(("written", "instead", "sentence"), [
    ("history: 72", "history: many", "history is 'many'. Give a whole number from 0 to 10000."),
    ("history: 72", "history: -1", "history is -1. Give a whole number from 0"),
    ("min_coverage: 0.5", "min_coverage: nan", "min_coverage is 'nan'. Give a number from 0 to 1."),
    ("tick: 5m", "tick: 0m", "tick: '0m' is no duration."),
    ("tick: 5m", f"tick: {'9' * 30}d", "is longer than any clock counts."),
])  # fmt: skip
def test_a_number_of_a_view_that_makes_no_sense_is_named_with_its_key(tmp_path, written, instead, sentence):
    text = VIEW.read_text()
    assert written in text
    (tmp_path / "view.yaml").write_text(text.replace(written, instead))
    with pytest.raises(InputError) as caught:
        load_view(tmp_path / "view.yaml")
    assert caught.value.message.startswith(f"{tmp_path / 'view.yaml'}: ")
    assert sentence in caught.value.message


def test_a_duration_beyond_all_clocks_is_refused():
    with pytest.raises(InputError, match="Write a shorter duration"):
        parse_duration("9" * 5000 + "d")


def test_a_message_keeps_its_place_and_its_remedy_however_long_its_value():
    message = PresageError(f"fleet.csv:2: 'cpu' is '{'9' * 100_000}', not a number. Mend the cell.").message
    assert len(message) < LONGEST + 10
    assert message.startswith("fleet.csv:2: 'cpu' is '999")
    assert message.endswith("999', not a number. Mend the cell.")


def test_an_empty_state_is_refused_and_changes_nothing_here(tmp_path, monkeypatch, capsys):
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert main(["--state", "", "status"]) == 2
    assert capsys.readouterr().err == "--state is empty. Name a folder, or leave the option out.\n"
    assert (tmp_path.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (0o755, [])


def test_a_folder_that_others_use_is_not_taken_over(tmp_path, capsys):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "thesis.txt").write_text("")
    assert main(["--state", str(shared), "status"]) == 1
    assert f"{shared} holds 'thesis.txt', which is not presage's. Name a folder of its own with --state" in capsys.readouterr().err
    assert shared.stat().st_mode & 0o777 == 0o755
    assert [found.name for found in shared.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["what?", "two\nlines", "bell\a"])
def test_a_state_that_no_database_address_can_name_is_refused_and_not_made(tmp_path, name, capsys):
    assert main(["--state", str(tmp_path / name), "status"]) == 1
    assert "in its name cannot be written in a database's address. Name another folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_state_that_cannot_be_made_is_named(own_state, capsys):
    own_state.mkdir()
    (own_state / "plane").write_text("a file where a folder belongs")
    assert main(["status"]) == 1
    assert f"{own_state / 'plane'} cannot be made: File exists. Name a folder" in capsys.readouterr().err


def test_a_state_of_ours_that_was_opened_to_others_is_closed_again(tmp_path):
    (tmp_path / "mine" / "runs").mkdir(parents=True)
    (tmp_path / "mine").chmod(0o755)
    assert main(["--state", str(tmp_path / "mine"), "status"]) == 0
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_state_where_nothing_can_be_made_is_one_sentence(capsys):
    assert main(["--state", "/proc/presage", "status"]) == 1
    assert capsys.readouterr().err == "/proc/presage cannot hold the state: No such file or directory. Name a folder of yours with --state.\n"


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)], ids=str)
def test_a_closed_stream_is_no_fault(closed):
    done = subprocess.run(
        [sys.executable, "-m", "presage.cli", "status"], capture_output=True, timeout=60, check=False,
        preexec_fn=lambda: [os.close(number) for number in closed],
    )
    assert done.returncode == 0
    assert done.stderr == b""
