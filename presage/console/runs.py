"""What a run came to, as tables in the terminal."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from presage.files import read_json
from presage.runs import Run


def print_run(run: Run, console: Console | None = None) -> None:
    """FAMILY AVERAGE-PRECISION INTERVAL SECONDS, the best first, the baselines below; then what was released and what was refused."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=160)
    console.print(_families(run))
    console.print()
    for name, value in _facts(run):
        console.print(Text(f"{name:<12}") + Text(value), soft_wrap=True)


def _families(run: Run) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("FAMILY", "AVERAGE PRECISION", "95 % INTERVAL", "SECONDS"):
        table.add_column(heading, justify="left" if heading == "FAMILY" else "right", no_wrap=True)
    for family in sorted(run.families, key=lambda family: -family.average_precision):
        chosen = family.name == run.winner
        low, high = family.average_precision_interval
        table.add_row(Text(f"{family.name}{'  (chosen)' if chosen else ''}", style="bold" if chosen else ""),
                      f"{family.average_precision:.3f}", f"{low:.3f}–{high:.3f}", f"{family.seconds:.1f}")
    for name, value in (("unsupervised ensemble", run.unsupervised_average_precision), ("persistence", run.persistence_average_precision),
                        ("chance (prevalence)", run.prevalence)):
        table.add_row(Text(name, style="dim"), Text(f"{value:.3f}", style="dim"), "", "")
    return table


def _facts(run: Run) -> list[tuple[str, str]]:
    low, high = run.gain_interval
    detected, early = run.events_detected, run.events_detected_early
    facts = [
        ("gain", f"{run.average_precision - run.unsupervised_average_precision:+.3f} ({low:+.3f} to {high:+.3f}) over the unsupervised ensemble"),
        ("incidents", f"{_share(detected['1'])} detected, {_share(early['1'])} early at 1 false alarm a server-day; "
                      f"{_share(detected['0.2'])}, {_share(early['0.2'])} at 0.2; {_lead(run.median_lead_minutes)}"),
        ("release", run.model.uri),
        ("refused", _refused(run)),
        ("took", f"{run.seconds:.0f} s, {run.peak_memory_mib:.0f} MiB at most"),
    ]
    return facts + ([("report", run.report)] if run.report else [])


def _share(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.0f} %"


def _lead(minutes: float | None) -> str:
    if minutes is None:
        return "no alarm in time"
    return f"median lead {minutes:.0f} min" if minutes >= 0 else f"median delay {-minutes:.0f} min"


def _refused(run: Run) -> str:
    """From the run's own result.json, beside its report."""
    if not run.report:
        return "unknown"
    found = read_json(Path(run.report).with_name("result.json"))["quarantined"]
    return f"{found['rows']} rows and {found['cells']} cells in quarantine; {found['kept_rows']} rows went on"
