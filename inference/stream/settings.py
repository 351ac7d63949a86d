"""What the stream is told on its command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import feature_store
from presage.durations import parse_duration
from presage.errors import UsageError

_VIEW = Path(feature_store.__file__).parent / "views" / "server_windows.yaml"


@dataclass(frozen=True)
class StreamSettings:
    """Settings of one stream; `from_arguments` reads them."""

    source: str
    """A live source's spec: `simulated[:options]` or `host`."""
    online_store: str
    """Where rows are written: `sqlite:PATH`, a path alone, or `redis://HOST:PORT/DB`."""
    event_log: str
    """Where readings are kept until no window needs them: `sqlite:FOLDER`, or a folder alone."""
    view: Path = _VIEW
    """The feature declaration; its tick is the rhythm of refresh."""
    service: str = "incident"
    """The feature service that the rows belong to."""
    speed: float = 1.0
    """Event seconds a wall second; a real machine always runs at 1."""
    backfill: timedelta | None = None
    """How much of the past a starting stream asks its source for; None = the view's longest window."""
    allowed_lateness: float = 1.0
    """Wall seconds that a tick waits for its events after its time has come."""
    host: str = "127.0.0.1"
    """Address for health and metrics."""
    http_port: int = 8080
    """Port for health and metrics; 0 = any free one, named on the first line of stderr."""
    metrics_port: int | None = None
    """Port that serves GET /metrics alone, beside http_port; None (0 on the command line) = none."""

    feature_topic: str = ""
    """Topic of the event log that each applied tick's rows are told to, for `python -m inference.stream.score`; empty = none."""
    keep_features: timedelta = timedelta(hours=6)
    """Event time after which that topic forgets."""

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> "StreamSettings":
        """Read the command line. Raises UsageError on an unknown option or a value that is none."""
        parser = _Parser(prog="python -m inference.stream", description=__doc__, allow_abbrev=False)
        parser.add_argument("--source", required=True, help="simulated[:servers=24,seed=7] or host")
        parser.add_argument("--online_store", required=True, help="sqlite:PATH or redis://HOST:PORT/DB")
        parser.add_argument("--event_log", required=True, help="sqlite:FOLDER")
        parser.add_argument("--view", type=Path, default=cls.view, help="feature declaration (default: server_windows)")
        parser.add_argument("--service", default=cls.service, help="feature service (default: %(default)s)")
        parser.add_argument("--speed", type=float, default=cls.speed, help="event seconds a wall second (default: %(default)s)")
        parser.add_argument("--backfill", help="past to ask the source for, as 6h (default: the longest window)")
        parser.add_argument("--allowed_lateness", default="1s", help="how long a tick waits for its events, wall time (default: %(default)s)")
        parser.add_argument("--host", default=cls.host, help="address for health and metrics (default: %(default)s)")
        parser.add_argument("--http_port", type=int, default=cls.http_port, help="port for health and metrics (default: %(default)s)")
        parser.add_argument("--metrics_port", type=int, default=0, help="port that serves GET /metrics alone, beside http_port; 0 = none")
        parser.add_argument("--feature_topic", default=cls.feature_topic, help="topic that each tick's rows are told to (`features`); default: none")
        parser.add_argument("--keep_features", default="6h", help="event time after which that topic forgets (default: %(default)s)")
        given = vars(parser.parse_args(arguments))
        given["keep_features"] = parse_duration(given["keep_features"])
        given["backfill"] = parse_duration(given["backfill"]) if given["backfill"] else None
        given["allowed_lateness"] = parse_duration(given["allowed_lateness"]).total_seconds()
        if ":" not in given["online_store"]:
            given["online_store"] = f"sqlite:{given['online_store']}"
        for name in ("http_port", "metrics_port"):
            if not 0 <= given[name] <= 65535:
                raise UsageError(f"--{name} {given[name]} is no port. Give a number from 0 to 65535.")
        given["metrics_port"] = given["metrics_port"] or None
        return cls(**given)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. See python -m inference.stream --help.")
