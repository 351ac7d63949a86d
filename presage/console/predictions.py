"""Predictions as a table in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from presage.console.reasons import in_words
from presage.predictions import Prediction

TIER_STYLES = {"page": "bold red", "act": "yellow", "watch": "cyan"}


def print_predictions(predictions: Sequence[Prediction], labels: Sequence[str], console: Console | None = None) -> None:
    """SERVER RISK INTERVAL TIER REASONS MODEL FRESH, the highest risk first; plain text where stdout is no terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("SERVER", "RISK", "INTERVAL", "TIER", "REASONS", "MODEL", "FRESH"):
        table.add_column(heading, justify="right" if heading == "RISK" else "left", no_wrap=heading != "REASONS", overflow="fold")
    for label, prediction in sorted(zip(labels, predictions, strict=True), key=lambda pair: -pair[1].risk):
        style = TIER_STYLES.get(prediction.tier, "")
        table.add_row(
            Text(label),
            Text(f"{prediction.risk:.3f}", style=style),
            f"{prediction.interval[0]:.3f}–{prediction.interval[1]:.3f}",
            Text(prediction.tier, style=style),
            Text(_why(prediction)),
            f"{prediction.model.name} {prediction.model.version}",
            _fresh(prediction),
        )
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=200)
    console.print(table)


def _why(prediction: Prediction) -> str:
    """Reasons in words; why there is no tier, where that is so; the rung where it is not the primary model."""
    parts = [f"warming: {prediction.warming}"] if prediction.warming else []
    if prediction.rung != "primary":
        parts.append(f"answered by {prediction.rung}")
    return ", ".join([*parts, *filter(None, [in_words(prediction.reasons)])]) or "–"


def _fresh(prediction: Prediction) -> str:
    age = prediction.features.age_seconds
    if age is None:
        return "–"
    return f"{age:.0f}s" if age < 120 else f"{age / 60:.0f}m"
