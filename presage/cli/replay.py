"""`presage replay`: history decided again, under another release."""

from typing import Annotated

import typer

from presage.cli.log import KeysOption, LogOption, SinceOption, UntilOption
from presage.cli.output import Output, OutputOption, print_json
from presage.cli.release import StoreOption, TrustOption


def replay(  # noqa: PLR0917 - options, passed by name
    release: Annotated[str, typer.Option("--release", metavar="RELEASE", help="NAME for the last, NAME:VERSION, a URI, or a folder that the gate filled.")],
    since: SinceOption = None,
    until: UntilOption = None,
    rung: Annotated[str | None, typer.Option("--rung", metavar="RUNG", help="Only what this rung answered then: primary, simpler, …")] = None,
    shadows: Annotated[bool, typer.Option("--shadows", help="Also what a shadow said, which answered nobody.")] = False,
    most: Annotated[int, typer.Option("--most", min=0, max=100_000, help="List so many differences, largest first.")] = 20,
    fail_on_tier_change: Annotated[bool, typer.Option("--fail-on-tier-change", help="Exit 1 where a decision would reach another tier.")] = False,
    log: LogOption = None,
    subject_keys: KeysOption = None,
    store: StoreOption = None,
    trust: TrustOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Decide the log's decisions again by another release, on the inputs they had, and show what would differ. Nothing is written.

    The release goes through the same gate as a server's.
    """
    from presage.prediction_log import ask, day, log_folder
    from presage.state import State

    state = State.open()
    replayed = ask(
        "replay", log=log_folder(log), release=release, store=store or str(state.releases), trust=trust or state.keys, subject_keys=subject_keys,
        since=day(since, "--since"), until=day(until, "--until"), rung=rung, shadows=shadows, most=most,
    )  # fmt: skip
    if output is Output.json:
        print_json(replayed)
    else:
        from presage.console.log import print_replayed

        print_replayed(replayed)
    if fail_on_tier_change and replayed["tier_changes"]:
        raise typer.Exit(1)
