"""The one-page report of a run: a single HTML file that needs nothing else, readable without us.

    write_report(Path(".presage/runs/20261122-101500-3f9a"))        # → its report.html

The page holds its own script (plotly's and a few lines of ours) and allows no other by its Content-Security-Policy;
everything from the data is escaped. Light, dark, narrow and printed.
"""

from pathlib import Path

from presage.console.report.artifacts import read_run
from presage.console.report.page import render
from presage.files import write_bytes

__all__ = ["write_report"]


def write_report(run_folder: Path, out: Path | None = None) -> Path:
    """Write the report of the run in `run_folder` to `out` (default: its report.html), whole or not at all; return where.

    Raises InputError naming an artifact that is missing or does not read.
    """
    target = out or run_folder / "report.html"
    write_bytes(target, render(read_run(run_folder)).encode())
    return target
