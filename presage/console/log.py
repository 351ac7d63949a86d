"""The prediction log in the terminal: a decision, rows, a replay, counts. Documents are those of `-o json` (docs/schemas)."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Document = Mapping[str, Any]
HISTORY = 6
"""Ticks of an input's history that are shown."""


def print_decision(shown: Document, console: Console | None = None) -> None:
    """Facts first, then reasons, then inputs by name."""
    console = _console(console)
    interval = f"{shown['low']:.3f} to {shown['high']:.3f}"
    facts = [
        ("prediction", shown["prediction_id"]), ("time", shown["time"]), ("server", shown["server"]), ("caller", shown["caller"]),
        ("risk", f"{shown['risk']:.4f} ({interval})"), ("tier", shown["tier"] + (", warming" if shown["warming"] else "")),
        ("rung", f"{shown['rung']}: {shown['because'] or ''}"), ("used", shown["used"]),
        ("model", f"{shown['model']}:{shown['version']} {shown['release']}"), ("features", _pair(shown["feature_version"], shown["feature_time"])),
        ("doubts", "; ".join(shown["doubts"])), ("context", ", ".join(f"{key}={value}" for key, value in shown["context"].items())),
        ("request", shown["caller_id"]), ("trace", shown["trace_id"]), ("shadow of", shown["shadow_of"]), ("sealed", _sealed(shown)),
        ("file", shown["file"]),
    ]  # fmt: skip
    for name, value in facts:
        if value:
            console.print(Text(f"{name:<11}") + Text(str(value)), soft_wrap=True)
    if shown["reasons"]:
        _print_table(console, ("REASON", "CONTRIBUTION"), [(reason["feature"], f"{reason['contribution']:+.4f}") for reason in shown["reasons"]])
    for heading in ("inputs", "history"):
        if shown[heading]:
            _print_table(console, (heading.upper(), "VALUE"), [(one["name"], _values(one["values"])) for one in shown[heading]])


def print_rows(found: Document, console: Console | None = None) -> None:
    """What a query found."""
    rows = [["" if value is None else str(value) for value in row] for row in found["rows"]]
    _print_table(_console(console), [name.upper() for name in found["columns"]], rows)


def print_erased(erased: Document) -> None:
    """One sentence."""
    rows = f"{erased['decisions']} decisions and {erased['snapshots']} online rows"
    if not erased["had_key"]:
        print("The log knows no such subject; what is still on its way under this name will not be readable.")
    elif erased["dry_run"]:
        print(f"{rows} of this log would stay sealed for ever, here and in every copy.")
    else:
        print(f"Forgotten. {rows} of this log stay sealed for ever, here and in every copy.")


def print_counts(counted: Document, console: Console | None = None) -> None:
    """Counts with noise, and what they cost."""
    console = _console(console)
    _print_table(console, (counted["by"].upper(), "DECISIONS"), [(count["category"], str(count["decisions"])) for count in counted["counts"]])
    console.print(
        f"{counted['since']} to {counted['until']}; at most {counted['counts_at_most']} of each {counted['hides']} are counted, noise within "
        f"±{counted['within']:.0f} (95 %). Epsilon {counted['epsilon']:g} spent, {counted['left']:g} left.",
        soft_wrap=True,
    )


def print_replayed(replayed: Document, console: Console | None = None) -> None:
    """How many differ, from which tier to which, and the largest differences."""
    console = _console(console)
    who = ", ".join(f"{count} by {name}" for name, count in replayed["releases"].items())
    console.print(f"{replayed['decisions']} decisions ({who or 'none'}), decided again by {replayed['release']}:", soft_wrap=True)
    rounding = f", {replayed['rounding']} but for rounding" if replayed["rounding"] else ""
    console.print(f"{replayed['same']} the same{rounding}, {replayed['different']} different, {replayed['decisions'] - replayed['replayed']} not replayed")
    if replayed["mean_difference"]:
        console.print(f"risk {replayed['mean_difference']:+.5f} on average; other reasons in {replayed['reasons_changed']}")
    for heading in ("tier", "rung"):
        if changes := replayed[f"{heading}_changes"]:
            _print_table(console, (heading.upper(), "NOW", "DECISIONS"), [(one["was"], one["now"], str(one["decisions"])) for one in changes])
    if replayed["not_replayed"]:
        _print_table(console, ("NOT REPLAYED", "DECISIONS"), [(one["cause"], str(one["decisions"])) for one in replayed["not_replayed"]])
    if replayed["largest"]:
        rows = [
            (
                one["prediction_id"], one["time"], one["server"] or "", f"{one['risk']:.4f}", f"{one['new_risk']:.4f}",
                one["tier"], one["new_tier"], one["rung"], one["new_rung"],
            )
            for one in replayed["largest"]
        ]  # fmt: skip
        _print_table(console, ("PREDICTION", "TIME", "SERVER", "RISK", "NOW", "TIER", "NOW", "RUNG", "NOW"), rows)


def _console(given: Console | None) -> Console:
    console = given or Console()
    return console if console.is_terminal else Console(file=console.file, width=240)


def _print_table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print()
    console.print(table)


def _pair(first: str | None, second: str | None) -> str:
    return " of ".join(part for part in (first, second) if part)


def _sealed(shown: Document) -> str:
    if shown["opened"] == "plain":
        return ""
    return f"for subject {shown['subject']}; " + ("opened by its key" if shown["opened"] == "opened" else "the key is gone, or not here")


def _values(values: Sequence[float | None]) -> str:
    shown = ["missing" if value is None else f"{value:.6g}" for value in values[-HISTORY:]]
    return ("… " if len(values) > HISTORY else "") + " ".join(shown)
