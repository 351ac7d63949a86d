"""The terminal, kept: as an asciicast (https://docs.asciinema.org/manual/asciicast/v2/) and as a picture."""

import io
import json
import time
from pathlib import Path
from typing import TextIO

from rich.console import Console

from presage.files import write_bytes

_LINES = 40


class _Tee(io.TextIOBase):
    """Writes to `out`, and remembers what and when."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._began = out, time.monotonic()
        self.events: list[tuple[float, str]] = []

    def write(self, text: str) -> int:
        self.events.append((time.monotonic() - self._began, text))
        return self._out.write(text)

    def flush(self) -> None:
        self._out.flush()

    def isatty(self) -> bool:
        return self._out.isatty()


class Recording:
    """console: writes to `out`, and into this. width: columns. coloured: whether `out` is a terminal or not."""

    def __init__(self, out: TextIO, width: int, *, coloured: bool) -> None:
        self._width, self._tee = width, _Tee(out)
        self.console = Console(file=self._tee, width=width, record=True, force_terminal=True if coloured else None, highlight=False)  # type: ignore[arg-type]

    def write(self, folder: Path) -> None:
        """demo.cast and demo.svg."""
        header = {"version": 2, "width": self._width, "height": _LINES, "title": "make demo"}
        lines = [json.dumps(header), *(json.dumps([round(at, 3), "o", text.replace("\n", "\r\n")], ensure_ascii=False) for at, text in self._tee.events)]
        for name, text in (("demo.cast", "\n".join(lines) + "\n"), ("demo.svg", self.console.export_svg(title="make demo"))):
            write_bytes(folder / name, text.encode())
            (folder / name).chmod(0o644)
