"""`presage contract …`: what a model takes and gives, what changed between two contracts, and programs that ask by one."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.output import Output, OutputOption, print_json
from presage.cli.release import StoreOption, open_store, parse_release

if TYPE_CHECKING:
    from presage.package.contract import Contract

_NAMED = "A contract.json, or a release: NAME for the last, NAME:VERSION, or a presage:// URI."


class Written(StrEnum):
    """The languages of snippets."""

    curl = "curl"
    python = "python"
    go = "go"


def show(
    contract: Annotated[str, typer.Argument(metavar="RELEASE|FILE", help=_NAMED)],
    store: StoreOption = None,
    output: OutputOption = Output.table,
) -> None:
    """What callers send and get: names, units, ranges, shapes, meaning, version."""
    found = _contract(contract, store)
    if output is Output.json:
        print_json(found)
        return
    from presage.console.contracts import print_contract

    print_contract(found)


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=_NAMED)],
    new: Annotated[str, typer.Argument(metavar="NEW", help=_NAMED)],
    store: StoreOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Every change and whether it breaks callers; exit code 1 where one does under the same major version."""
    from presage.contracts.successor import judge

    verdict = judge(_contract(old, store), _contract(new, store))
    if output is Output.json:
        print_json(verdict)
    else:
        from presage.console.contracts import print_verdict

        print_verdict(verdict)
    if verdict.refused:
        raise typer.Exit(1)


def snippets(  # noqa: PLR0917 - options, passed by name
    contract: Annotated[str, typer.Argument(metavar="RELEASE|FILE", help=_NAMED)],
    language: Annotated[Written, typer.Option("--language", help="Of the program.")] = Written.curl,
    endpoint: Annotated[str, typer.Option("--endpoint", metavar="URL", help="Where the path answers.")] = "http://127.0.0.1:8080",
    server: Annotated[list[str] | None, typer.Option("--server", metavar="NAME", help="Whom to ask about; may be repeated.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Send a row of every input instead of servers by name.")] = False,
    cert: Annotated[str | None, typer.Option("--cert", metavar="FILE", help="The caller's certificate, for mutual TLS.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="FILE", help="Its key.")] = None,
    ca: Annotated[str | None, typer.Option("--ca", metavar="FILE", help="Who vouches for the server; default: the system's authorities.")] = None,
    store: StoreOption = None,
) -> None:
    """A program that asks for predictions: to paste, run and go on from."""
    from presage.contracts.requests import SERVER
    from presage.contracts.snippets import Call, snippet

    call = Call(endpoint, tuple(server or [SERVER]), rows, cert, key, ca)
    print(snippet(_contract(contract, store), language.value, call), end="")


def _contract(named: str, store: str | None) -> "Contract":
    """A path where it looks like one, else a release."""
    from presage.contracts.reading import read_contract, released_contract
    from presage.state import State

    if named.endswith(".json") or (not named.startswith("presage://") and "/" in named):
        return read_contract(Path(named))
    return released_contract(open_store(store, State.open()), parse_release(named))
