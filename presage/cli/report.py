"""`presage report`: a run on one page."""

from pathlib import Path
from typing import Annotated

import typer

from presage.cli.output import Output, OutputOption, print_json


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its folder, or `last`.")] = "last",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it; default: report.html in the run's folder.")] = None,
    list_runs: Annotated[bool, typer.Option("--list", help="Name the finished runs, and leave.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Write a one-page HTML report of a run: what it found, how sure that is, and what was refused."""
    from presage import reports
    from presage.state import State

    if list_runs:
        names = [folder.name for folder in reports.finished_runs(State.open())]
        if output is Output.json:
            print_json(names)
        else:
            print("\n".join(names) or "no finished runs")
        return
    written = reports.report(run, out=out)
    if output is Output.json:
        print_json({"report": str(written)})
    else:
        print(written)
