"""Reports of runs, found by name."""

from pathlib import Path

from presage.errors import InputError
from presage.state import State


def report(run: str | Path = "last", *, out: Path | None = None, state: State | None = None) -> Path:
    """Write the HTML report of a run (its id, `last`, or its folder) to `out`, default its report.html; return where."""
    from presage.console.report import write_report

    return write_report(run_folder(run, state), out)


def run_folder(run: str | Path, state: State | None = None) -> Path:
    """The folder of a finished run. Raises InputError naming the runs there are."""
    folder = Path(run)
    if (folder / "result.json").is_file():
        return folder
    state = state or State.open()
    finished = finished_runs(state)
    if not finished:
        raise InputError(f"There is no finished run in {state.runs}. Make one with `presage run incident-training`.")
    if str(run) == "last":
        return finished[-1]
    named = {found.name: found for found in finished}
    if str(run) not in named:
        raise InputError(f"There is no finished run {str(run)!r} in {state.runs}. The latest are {', '.join(list(named)[-3:])}; `last` names the newest.")
    return named[str(run)]


def finished_runs(state: State) -> list[Path]:
    """Folders of the runs that came to their end, the oldest first."""
    return sorted((path.parent for path in state.runs.glob("*/result.json")), key=lambda folder: ((folder / "result.json").stat().st_mtime_ns, folder.name))
