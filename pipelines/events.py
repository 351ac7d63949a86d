"""What the orchestrator says of its steps, as events: read off its log, for it has no other way to tell.

    {"event": "started", "task": "train", "thread": 1, "time": 1795326556.7}
    {"event": "ended", "task": "train", "thread": 1, "time": …, "succeeded": true}
    {"event": "produced", "thread": 1, "places": ["…/train/model"]}
    {"event": "cached", "task": "featurize", "key": "f5af97a3238d", "time": …}         key: the beginning of the cache's file's name
"""

import logging
import re
from collections.abc import Callable
from typing import Any

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"Executing task '(?P<task>[^']+)'")
_ENDED = re.compile(r"Task '(?P<task>[^']+)' finished with status (?P<status>[A-Z]+)")
_CACHED = re.compile(r"Task (?P<task>\S+) cache hit (?:\(key=(?P<key>[0-9a-f]+)\))?")
_PRODUCED = re.compile(r"Task '[^']+' outputs:")
_PLACE = re.compile(r"uri='([^']+)'")


class EventFilter(logging.Filter):
    """Lets every record pass, and sends an event for those that tell of a step. Filters survive where handlers are replaced."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._send = send

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True."""
        event = read_event(record.getMessage())
        if event is not None:
            self._send({**event, "thread": record.thread, "time": record.created})
        return True


def read_event(message: str) -> dict[str, Any] | None:
    """The event that a log line of the orchestrator tells of, or None."""
    line = _COLOUR.sub("", message)
    if found := _STARTED.match(line):
        return {"event": "started", "task": found["task"]}
    if found := _ENDED.match(line):
        return {"event": "ended", "task": found["task"], "succeeded": found["status"] == "SUCCESS"}
    if found := _CACHED.match(line):
        return {"event": "cached", "task": found["task"], "key": found["key"] or ""}
    if _PRODUCED.match(line):
        return {"event": "produced", "places": _PLACE.findall(line)}
    return None
