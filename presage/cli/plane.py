"""`presage up`, `apply`, `down`, `status`, `watch`, `logs`: the laptop plane from the command line."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from presage.cli.failures import say
from presage.cli.output import Output, OutputOption, print_json


def up(  # noqa: PLR0917 - options, passed by name
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running and return; without a terminal this is what happens anyway.")] = False,
    overlay: Annotated[str, typer.Option("--overlay", metavar="NAME", help="A folder of manifests/overlays.")] = "local",
    source: Annotated[str | None, typer.Option("--source", metavar="SPEC", help="simulated[:servers=24,…] or host. Default: the manifest's.")] = None,
    speed: Annotated[float | None, typer.Option("--speed", metavar="N", help="Times real time. Default: the manifest's.")] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train a new model even if there is one.")] = False,
    follow: Annotated[str | None, typer.Option("--follow", metavar="BRANCH", help="Run what its newest commit has rendered, and stay with it.")] = None,
    repository: Annotated[Path | None, typer.Option("--repository", metavar="FOLDER", help="Whose branch; default: this one.")] = None,
) -> int:
    """Train if needed, serve, stream telemetry and show the live table.

    In a terminal Ctrl-C stops everything. Without one, or with --detach, it prints the first table and leaves everything running.
    """
    from presage import local
    from presage.console.plane import print_bindings
    from presage.console.watch import print_once, watch
    from presage.state import State

    state = State.open()
    stays = detach or not sys.stdout.isatty()
    with _ended_by_signals():
        plane = local.up(
            detach=stays, overlay=overlay, source=source, speed=speed, retrain=retrain, follow=follow, repository=repository, state=state, say=say
        )  # fmt: skip
        if not stays:
            from rich.console import Console

            print_bindings(plane, Console(stderr=True))
            try:
                watch(state, "Ctrl-C stops everything; `presage logs telemetry` tells which incident is coming")
            except KeyboardInterrupt:
                say("stopping")
            finally:
                local.down(state)
            say("stopped; nothing is left running")
            return 0
    print_once(state)
    _say_what_runs(plane, state.root)
    return 0


def apply(output: OutputOption = Output.table) -> int:
    """Render the running overlay again, and move what runs to it: Pods are replaced when their template changed and only then.

    What does not come up leaves what ran before serving; the exit code is then 1.
    """
    from presage import local
    from presage.console.plane import print_status

    plane = local.apply(say=say)
    if output is Output.json:
        print_json(local.status_document(plane))
    else:
        print_status(plane)
    return 0


def down() -> None:
    """Stop everything that `up` started, and make sure nothing is left."""
    from presage import local
    from presage.state import State

    state = State.open()
    count = local.down(state)
    print(f"stopped {count} {'process' if count == 1 else 'processes'}; nothing is left running" if count else f"nothing was running in {state.root}")


def status(output: OutputOption = Output.table) -> None:
    """What runs, where, since when."""
    from presage import local

    plane = local.status()
    if output is Output.json:
        print_json(local.status_document(plane))
        return
    from presage.console.plane import print_status

    print_status(plane)


def watch(
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Write the table as a picture instead.")] = None,
) -> None:
    """The live table: server, risk, interval, tier, reasons. Ctrl-C leaves; the plane keeps running. Without a terminal: one table."""
    from presage.console import watch as table
    from presage.state import State

    state = State.open()
    if svg is not None:
        table.save_svg(state, svg)
        say(f"written {svg}")
    elif sys.stdout.isatty():
        try:
            table.watch(state, "Ctrl-C leaves; the plane keeps running")
        except KeyboardInterrupt:
            return
    else:
        table.print_once(state)


def logs(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="As `presage status` names it; none: list the names.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is written, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 1000,
) -> None:
    """What a process wrote, also after it ended."""
    from presage.local import logs as written
    from presage.state import State

    state = State.open()
    if name is None:
        print("\n".join(written.log_names(state)))
        return
    path = written.log_path(state, name)
    if not follow:
        sys.stdout.write(written.last_lines(path, lines))
        return
    try:
        for text in written.follow(path, lines):
            sys.stdout.write(text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return


def _say_what_runs(plane: "object", root: Path) -> None:
    from rich.console import Console

    from presage.console.plane import print_bindings
    from presage.local import Status

    assert isinstance(plane, Status)
    console = Console(stderr=True)
    names = [process.name for process in plane.processes if process.phase != "done"]
    say(f"running: {', '.join(names)}")
    if plane.endpoints.gateway:
        say(f"the gateway {plane.endpoints.gateway} answers as {plane.endpoints.rest}, to whom policies/access.yaml names")
    elif plane.endpoints.rest:
        say(f"serving at {plane.endpoints.rest}")
    print_bindings(plane, console)
    if plane.not_honoured:
        say(f"{len(plane.not_honoured)} things that the manifests ask cannot be enforced on plain processes: `presage status` lists them")
    command = "presage" if root == Path(".presage").absolute() else f"presage --state {shlex.quote(str(root))}"
    say(f"`{command} watch` shows the live table, `{command} status` what runs, `{command} logs NAME` what it wrote; `{command} down` stops it all.")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A closed terminal or a SIGTERM ends `up` as Ctrl-C does, so that it stops what it started."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
