"""A line a step on stderr, as it ends; in a terminal also what runs now.

    ingest        1.6 s
    featurize     cached
    train        22.4 s  lightgbm
"""

import sys
import time
from pathlib import Path
from typing import IO, Any

from presage.files import read_json

_CLEAR = "\r\x1b[K"


class Progress:
    """Turns events of pipelines.events into lines. `steps`: name, seconds, cached, detail of every step that ended."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._running: dict[int, tuple[str, float]] = {}
        self._ended: dict[int, dict[str, Any]] = {}
        self._shown = ""  # the line of what runs now
        self.steps: list[dict[str, Any]] = []

    def take(self, event: dict[str, Any]) -> None:
        """Show one event."""
        kind, thread = event["event"], event.get("thread", 0)
        if kind == "started":
            self._running[thread] = (event["task"], event["time"])
        elif kind == "cached":
            self._add({"name": event["task"], "seconds": 0.0, "cached": True, "succeeded": True, "detail": ""})
        elif kind == "ended":
            name, began = self._running.pop(thread, (event["task"], event["time"]))
            step = {"name": name, "seconds": event["time"] - began, "cached": False, "succeeded": event["succeeded"], "detail": ""}
            if step["succeeded"]:
                self._ended[thread] = step  # its outputs follow, and may say more of it
            else:
                self._add(step)
        elif kind == "produced" and thread in self._ended:
            step = self._ended.pop(thread)
            self._add({**step, "detail": _detail(event["places"])})
        self._show_running()

    def tick(self) -> None:
        """Time passed: refresh what runs now."""
        self._show_running()

    def close(self) -> None:
        """The last words: steps whose outputs nobody named, and a clean line."""
        for step in self._ended.values():
            self._add(step)
        self._ended.clear()
        self._running.clear()
        self._show_running()

    def _add(self, step: dict[str, Any]) -> None:
        self.steps.append(step)
        state = "cached" if step["cached"] else f"{step['seconds']:6.1f} s"
        words = [f"  {step['name']:<12}", f"{state:<9}", step["detail"] if step["succeeded"] else "failed"]
        self._write((_CLEAR if self._live else "") + " ".join(words).rstrip() + "\n")
        self._shown = ""

    def _show_running(self) -> None:
        if self._live:
            now = time.time()
            running = ", ".join(f"{name} {now - began:.0f} s" for name, began in self._running.values())
            line = f"  … {running}" if running else ""
            if line != self._shown:
                self._write(_CLEAR + line)
            self._shown = line

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _detail(places: list[str]) -> str:
    """A trained model says its family."""
    for place in places:
        about = Path(place) / "training.json"
        if about.is_file():
            return str(read_json(about).get("family", ""))
    return ""
