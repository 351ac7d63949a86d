"""`presage predict`: risk now, by server or from a file."""

from pathlib import Path
from typing import Annotated

import typer

from presage.cli.output import Output, OutputOption, print_json
from presage.errors import UsageError


def predict(
    servers: Annotated[list[str] | None, typer.Argument(metavar="SERVER", help="Servers by name; none: all of them.")] = None,
    *,
    list_servers: Annotated[bool, typer.Option("--list-servers", help="Name the servers there are, and leave.")] = False,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Rows of feature values instead: .csv, .parquet or .json.")] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", metavar="URL", help="Whom to ask. Default: the plane that `presage up` started.")] = None,
    explain: Annotated[bool, typer.Option("--explain/--no-explain", help="With the reasons that weigh most.")] = True,
    output: OutputOption = Output.table,
) -> None:
    """Risk of an incident within the horizon, with its interval, tier and reasons.

    Features of named servers are looked up where they are served.
    """
    from presage import predictions

    if file is not None and (servers or list_servers):
        raise UsageError("--file holds the rows to predict, so name no servers beside it. Leave out one of the two.")
    if list_servers:
        names = predictions.known_servers(endpoint=endpoint)
        if output is Output.json:
            print_json(names)
        else:
            print("\n".join(names))
        return
    from presage.console.reasons import ASKED

    # The table shows three different metrics, so it asks for more reasons than the document holds.
    top = predictions.TOP if output is Output.json else ASKED
    if file is not None:
        from presage.feature_rows import read_feature_rows

        given = read_feature_rows(file)
        found = predictions.predict(rows=given.rows, explain=explain, top=top, endpoint=endpoint)
        labels: list[str] = given.names
    else:
        found = predictions.predict(servers or (), explain=explain, top=top, endpoint=endpoint)
        labels = [prediction.server or "" for prediction in found]
    if output is Output.json:
        print_json(found)
        return
    from presage.console.predictions import print_predictions

    print_predictions(found, labels)
