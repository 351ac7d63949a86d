"""`-o table|json`: tables for people; one JSON document on stdout's last line for programs.

    def status(output: OutputOption = Output.table) -> None: ...

With `json` everything else (progress, notes) goes to stderr.
"""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer


class Output(StrEnum):
    """The forms a command prints in."""

    table = "table"
    json = "json"


OutputOption = Annotated[Output, typer.Option("-o", "--output", help="table for people; json: one document on stdout's last line.")]


def print_json(document: Any) -> None:
    """One line, one document: dataclasses, msgspec structs, datetimes, paths and numpy numbers are understood; NaN becomes null."""
    import msgspec
    import orjson

    def other(value: Any) -> Any:
        return str(value) if hasattr(value, "__fspath__") else msgspec.to_builtins(value)

    sys.stdout.write(orjson.dumps(document, default=other, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z).decode() + "\n")
    sys.stdout.flush()
