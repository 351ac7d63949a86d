"""The live table: server, risk, interval, tier, top reasons, model version, freshness; the highest risk first.

    watch(state)                 # redraws until Ctrl-C
    print_once(state)            # one table, for a pipe or a log
    save_svg(state, path)        # the same table as a picture
"""

import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from presage.console.predictions import TIER_STYLES
from presage.console.reasons import ASKED, in_words
from presage.errors import PlaneError
from presage.files import write_bytes
from presage.local import Status, status
from presage.predictions import Prediction, predict
from presage.state import State

PERIOD = 1.0  # seconds between questions
_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_WIDTH, _PICTURE_WIDTH = 180, 170


@dataclass
class Trend:
    """Each server's risk at the last ticks, for the little curve beside the number."""

    length: int = 24
    _seen: dict[str, deque[tuple[datetime | None, float]]] = field(default_factory=dict)

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Keep each risk once a tick: features, and so the risk, change no more often."""
        for prediction in predictions:
            seen = self._seen.setdefault(prediction.server or "", deque(maxlen=self.length))
            if not seen or seen[-1][0] != prediction.time:
                seen.append((prediction.time, prediction.risk))

    def curve(self, server: str) -> str:
        """One bar a tick, the newest last; the scale is the risk's own, 0 to 1."""
        return "".join(_BARS[min(7, int(risk * 8))] for _, risk in self._seen.get(server, ()))


def watch(state: State, hint: str) -> None:
    """Redraw in place until the reader interrupts or the plane ends. hint: the last line, what Ctrl-C does.

    Raises PlaneError where nothing runs, or once what ran has gone.
    """
    console, trend = Console(), Trend()
    predictions = _ask(state)
    with Live(console=console, auto_refresh=False, screen=False, transient=False) as live:
        while True:
            trouble = ""
            try:
                predictions = _ask(state)
                trend.add(predictions)
            except PlaneError as error:
                if not status(state).running:
                    raise PlaneError("the plane was stopped. `presage up` starts it again.") from None
                trouble = error.message
            view = _view(status(state), predictions, trend, console.size.height - 6)
            live.update(Group(view, Text(trouble, style="red"), Text(hint, style="dim")), refresh=True)
            time.sleep(PERIOD)


def print_once(state: State, console: Console | None = None) -> None:
    """One table of every server, as wide as it must be where stdout is no terminal."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_PLAIN_WIDTH)
    console.print(_view(status(state), _ask(state), None, None))


def save_svg(state: State, path: Path, rows: int = 12) -> None:
    """The table as a picture, the first `rows` servers of it."""
    picture = Console(record=True, width=_PICTURE_WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
    picture.print(_view(status(state), _ask(state), None, rows))
    # The picture stands alone: whatever monospaced font the reader has, none from elsewhere.
    write_bytes(path, re.sub(r"@font-face \{.*?\}\s*", "", picture.export_svg(title="presage watch"), flags=re.DOTALL).encode())
    path.chmod(0o644)


def _ask(state: State) -> list[Prediction]:
    return predict(explain=True, top=ASKED, state=state)


def _view(plane: Status, predictions: Sequence[Prediction], trend: Trend | None, rows: int | None) -> RenderableType:
    """The title line and the table; rows: how many servers fit, None for all."""
    ordered = sorted(predictions, key=lambda prediction: (-prediction.risk, prediction.server or ""))
    shown = ordered if rows is None else ordered[: max(rows, 3)]
    parts: list[RenderableType] = [_title(plane, predictions), _table(shown, trend)]
    if len(shown) < len(ordered):
        parts.append(Text(f"and {len(ordered) - len(shown)} more below these", style="dim"))
    return Group(*parts)


def _title(plane: Status, predictions: Sequence[Prediction]) -> Text:
    counts = {tier: sum(prediction.tier == tier for prediction in predictions) for tier in ("page", "act", "watch")}
    title = Text(f"{len(predictions)} server{'' if len(predictions) == 1 else 's'}", style="bold")
    for tier, count in counts.items():
        title.append(f"  {tier} {count}", style=TIER_STYLES[tier] if count else "dim")
    times = [prediction.time for prediction in predictions if prediction.time is not None]
    if times:
        title.append(f"  features of {max(times):%Y-%m-%d %H:%M} UTC", style="dim")
    title.append(f"  overlay {plane.overlay}", style="dim")
    return title


def _table(predictions: Sequence[Prediction], trend: Trend | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    columns: list[tuple[str, Callable[[Prediction], RenderableType]]] = [
        ("SERVER", lambda one: Text(one.server or "")),
        ("RISK", lambda one: Text(f"{one.risk:.3f}", style=TIER_STYLES.get(one.tier, ""))),
        *([("TREND", lambda one: Text(trend.curve(one.server or ""), style=TIER_STYLES.get(one.tier, "dim")))] if trend else []),
        ("INTERVAL", lambda one: Text(f"{one.interval[0]:.3f}–{one.interval[1]:.3f}")),
        ("TIER", lambda one: Text(_tier(one), style=TIER_STYLES.get(one.tier, "dim"))),
        ("TOP REASONS", lambda one: Text(in_words(one.reasons) or "–", no_wrap=True, overflow="ellipsis")),
        ("MODEL", lambda one: Text(f"{one.model.name}:{one.model.version}" + ("" if one.rung == "primary" else f" ({one.rung})"))),
        ("FRESH", lambda one: Text(_fresh(one))),
    ]
    for heading, _ in columns:
        # Where it is narrow the reasons give way, and nothing else.
        table.add_column(heading, justify="right" if heading in ("RISK", "FRESH") else "left", no_wrap=heading != "TOP REASONS")
    for prediction in predictions:
        table.add_row(*(cell(prediction) for _, cell in columns))
    return table


def _tier(prediction: Prediction) -> str:
    return f"{prediction.tier} (warming: {prediction.warming})" if prediction.warming else prediction.tier


def _fresh(prediction: Prediction) -> str:
    """Age of the features, in event time."""
    age = prediction.features.age_seconds if prediction.features else None
    if age is None:
        return "–"
    return f"{age:.0f}s" if age < 120 else f"{age / 60:.0f}m"
