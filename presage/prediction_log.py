"""The prediction log, from Python: each question is a process of its own (`python -m inference.log`).

    from presage.prediction_log import ask
    ask("replay", log=folder, release="incident:8", store=..., trust=...)      # the document of `presage replay -o json`

Errors: the tree of presage.errors, with the process's own sentence.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson

from presage.durations import parse_duration
from presage.errors import InputError, PresageError, UsageError
from presage.state import State


def ask(command: str, **options: Any) -> dict[str, Any]:
    """The document that `python -m inference.log COMMAND` prints. Options that are None or False stay at its defaults."""
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "inference.log", f"--words={write}", command, *_words(options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=(write,),
        )  # fmt: skip
    finally:
        os.close(write)
    try:
        with os.fdopen(read, "rb") as words:
            printed, _ = process.communicate()
            sentence = words.read().decode(errors="replace").strip()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.returncode == 0:
        document: dict[str, Any] = orjson.loads(printed.splitlines()[-1])
        return document
    kind: type[PresageError] = UsageError if process.returncode == UsageError.exit_code else InputError
    failure = kind(sentence or f"`python -m inference.log {command}` ended with code {process.returncode} and no word; what it wrote stands above.")
    failure.exit_code = process.returncode if process.returncode > 0 else 1
    raise failure


def _words(options: Mapping[str, Any]) -> list[str]:
    """One word each, so that a value with a dash in front is no option."""
    given = {name.replace("_", "-"): value for name, value in options.items() if value is not None and value is not False}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]


def log_folder(named: Path | None) -> Path:
    """The log that is meant: `named`, else the one in the state directory, else the plane's. Raises InputError where there is none."""
    if named is not None:
        return named
    state = State.open()
    places = [state.root / "predictions", state.plane / "volumes" / "prediction-log"]
    for place in places:
        if (place / "decisions").is_dir():
            return place
    raise InputError(f"There is no prediction log in {state.root} yet. Ask a server for predictions first, or name a log with --log.")


def day(text: str | None, option: str, now: datetime | None = None) -> date | None:
    """`2026-03-01`, or a duration before now (UTC): `7d`. Raises UsageError."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return ((now or datetime.now(UTC)) - parse_duration(text)).date()
    except (InputError, OverflowError):
        raise UsageError(f"{option} {text[:60]!r} is no day. Write 2026-03-01, or how long ago: 7d, 12h.") from None
