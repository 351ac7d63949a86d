"""`presage log …`: what was decided, on what; who is forgotten; copies and counts that leave."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from presage.cli.failures import say
from presage.cli.output import Output, OutputOption, print_json

LogOption = Annotated[Path | None, typer.Option("--log", metavar="FOLDER", help="The prediction log; default: the state's, or the plane's.")]
KeysOption = Annotated[Path | None, typer.Option("--subject-keys", metavar="FILE", help="Keys of subjects; default: $PRESAGE_SUBJECT_KEYS, or the state's.")]
SinceOption = Annotated[str | None, typer.Option("--since", metavar="DAY", help="From this day on (UTC): 2026-03-01, or so long ago: 7d.")]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Up to this day, it included.")]


class Counted(StrEnum):
    """What decisions are counted by."""

    tier = "tier"
    rung = "rung"
    day = "day"


def show(
    prediction_id: Annotated[str, typer.Argument(metavar="PREDICTION_ID", help="As the answer named it.")],
    log: LogOption = None,
    subject_keys: KeysOption = None,
    output: OutputOption = Output.table,
) -> None:
    """One decision: what was answered, by whom and why, and on which inputs, by name."""
    from presage.prediction_log import ask, log_folder

    shown = ask("show", log=log_folder(log), prediction_id=prediction_id, subject_keys=subject_keys)
    if output is Output.json:
        print_json(shown)
        return
    from presage.console.log import print_decision

    print_decision(shown)


def query(  # noqa: PLR0917 - options, passed by name
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Over the tables decisions and snapshots.")],
    log: LogOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    most: Annotated[int, typer.Option("--most", min=1, max=100_000, help="At most so many rows.")] = 100,
    output: OutputOption = Output.table,
) -> None:
    """SQL over the log, like: SELECT tier, count(*) AS n FROM decisions GROUP BY tier. What is sealed stays sealed."""
    from presage.prediction_log import ask, day, log_folder

    found = ask("query", log=log_folder(log), sql=sql, most=most, since=day(since, "--since"), until=day(until, "--until"))
    if output is Output.json:
        print_json(found)
        return
    from presage.console.log import print_rows

    print_rows(found)
    if found["more"]:
        say(f"only the first {most} rows; --most shows more")


def erase(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Whom to forget, as callers name it.")],
    log: LogOption = None,
    subject_keys: KeysOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be lost.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Forget a subject: drop its key, so that nothing opens what this log and its copies hold of it. It cannot be undone."""
    from presage.prediction_log import ask, log_folder

    erased = ask("erase", log=log_folder(log), subject=subject, subject_keys=subject_keys, dry_run=dry_run)
    if output is Output.json:
        print_json(erased)
        return
    from presage.console.log import print_erased

    print_erased(erased)


def sync(
    to: Annotated[str, typer.Option("--to", metavar="WAREHOUSE", help="parquet:FOLDER, or iceberg:CATALOGUE, such as iceberg:sqlite:////FILE.")],
    warehouse: Annotated[
        str | None, typer.Option("--warehouse", metavar="PLACE", help="Iceberg: where data lies, a folder or s3://…; default: beside the catalogue's file.")
    ] = None,
    log: LogOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Copy what a warehouse does not have yet. Repeated, or killed and repeated, it adds nothing twice."""
    from presage.prediction_log import ask, log_folder

    synced = ask("sync", log=log_folder(log), to=to, warehouse=warehouse)
    if output is Output.json:
        print_json(synced)
        return
    for table in synced["tables"]:
        print(f"{table['table']}  {table['files']} files, {table['added']} added with {table['rows']} rows")


def aggregate(  # noqa: PLR0917 - options, passed by name
    by: Annotated[Counted, typer.Option("--by", help="What to count by.")],
    epsilon: Annotated[float, typer.Option("--epsilon", help="How much an outsider may learn of one, above 0; small is private. It is spent for ever.")],
    since: SinceOption = "29d",
    until: UntilOption = None,
    log: LogOption = None,
    data_classes: Annotated[
        Path | None, typer.Option("--data-classes", metavar="FILE", help="The policy with the budget; default: the committed policies/data-classes.yaml.")
    ] = None,
    output: OutputOption = Output.table,
) -> None:
    """Counts that may leave: with noise that hides whether any one server was among those counted. Refused when the log's budget is spent.

    Until today where no other day is named.
    """
    from presage.prediction_log import ask, day, log_folder

    period = {"since": day(since, "--since"), "until": day(until or "1s", "--until")}
    counted = ask("aggregate", log=log_folder(log), by=by.value, epsilon=epsilon, data_classes=data_classes, **period)
    if output is Output.json:
        print_json(counted)
        return
    from presage.console.log import print_counts

    print_counts(counted)
