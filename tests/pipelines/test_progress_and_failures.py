"""A clean line a step, and a failed step's own sentence."""

import codecs
import io
import logging
import re
from pathlib import Path

import pytest

from pipelines.events import read_event
from pipelines.failures import failure_of
from pipelines.progress import Progress
from pipelines.worker import WorkerLog
from presage.files import write_json

EXECUTING = "Executing task \x1b[96m'train'\x1b[0m"
TRACE = """12:00:01.000 - INFO - {executing}
    [KFP Executor 2026-11-22 INFO]: Got executor_input:
    Traceback (most recent call last):
      File "component.py", line 3, in train
        raise InputError("no")
    {last}
    [KFP Executor] done
"""


@pytest.mark.parametrize(("message", "event"), [
    (EXECUTING, {"event": "started", "task": "train"}),
    ("Task \x1b[96m'train'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m", {"event": "ended", "task": "train", "succeeded": True}),
    ("Task \x1b[96m'train'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m", {"event": "ended", "task": "train", "succeeded": False}),
    ("Task featurize cache hit (key=f5af97a3238d); skipping execution.", {"event": "cached", "task": "featurize", "key": "f5af97a3238d"}),
    ("Task \x1b[96m'train'\x1b[0m outputs:\n    model: Model( name='model',\n   uri='/x/model' )", {"event": "produced", "places": ["/x/model"]}),
    ("Streamed logs:\n", None),
])  # fmt: skip
def test_the_orchestrators_words_are_read_as_events(message, event):
    assert read_event(message) == event


def test_steps_that_run_side_by_side_each_get_their_line(tmp_path: Path):
    for name in ("a", "b"):
        write_json(tmp_path / name / "training.json", {"family": f"family_{name}"})
    out = io.StringIO()
    progress = Progress(out)
    progress.take({"event": "cached", "task": "featurize", "thread": 0, "time": 0.0})
    for thread, began in ((1, 10.0), (2, 11.0)):
        progress.take({"event": "started", "task": "train", "thread": thread, "time": began})
    for thread, place in ((2, "b"), (1, "a")):
        progress.take({"event": "ended", "task": "train", "thread": thread, "time": 20.0, "succeeded": True})
        progress.take({"event": "produced", "thread": thread, "places": [str(tmp_path / place)], "time": 20.0})
    progress.close()
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert lines == ["featurize cached", "train 9.0 s family_b", "train 10.0 s family_a"]


@pytest.mark.parametrize(("last", "sentence"), [
    ("presage.errors.InputError: fleet.csv has no labels.", r"^Step train: fleet\.csv has no labels\.$"),
    ("components.split.leakage.LeakageFound: The leakage check failed: x.", r"^Step train: The leakage check failed"),
    ("OSError: [Errno 28] No space left on device: '/x'", r"no space left on the device .* Free some space and run again"),
    ("MemoryError", "not enough memory"),
    ("KeyError: 'x'", r"a fault in presage itself \(KeyError: 'x'\)\. The whole trace is in .*pipeline\.log"),
])  # fmt: skip
def test_a_failed_step_says_its_own_sentence(tmp_path, last, sentence):
    log = tmp_path / "pipeline.log"
    log.write_text(TRACE.format(executing="Executing task 'train'", last=last))
    failure = failure_of("Step train", log)
    assert failure.exit_code == 1
    assert re.search(sentence, failure.message)


def test_a_step_whose_last_words_found_no_room_says_that_the_disk_was_full(tmp_path):
    log = tmp_path / "pipeline.log"
    log.write_text("Executing task 'train'\n")
    assert "no space left on the device that holds" in failure_of("Step train", log, disk_full=True).message


def test_a_log_that_cannot_be_written_says_whether_the_disk_is_full():
    with Path("/dev/full").open("wb", buffering=0) as nowhere:
        full, gone = WorkerLog(codecs.getwriter("utf-8")(nowhere)), WorkerLog(io.StringIO())
        gone.stream.close()
        for log in (full, gone):
            log.emit(logging.LogRecord("kfp", logging.INFO, "", 0, "step failed", None, None))
    assert (full.disk_full, gone.disk_full) == (True, False)


def test_a_step_that_was_killed_says_so(tmp_path):
    log = tmp_path / "pipeline.log"
    log.write_text("Executing task 'train'\n")
    assert "ended from outside" in failure_of("Step train", log).message
