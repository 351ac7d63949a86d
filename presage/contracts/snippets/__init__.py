"""A program that asks for predictions, made from a contract: to paste, run and go on from.

    snippet(contract, "python", Call("https://incident.example", servers=("web-01",)))

Each needs nothing but its language's own library, has a time limit, and says what the server said where it is refused.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from presage.contracts.requests import SERVER, example_predict
from presage.errors import UsageError
from presage.package.contract import Contract, InputField, OutputField

Language = Literal["curl", "python", "go"]
_TEMPLATES: dict[Language, str] = {"curl": "curl.sh.j2", "python": "python.py.j2", "go": "go.go.j2"}
PATH = "/api/v2/predict"


@dataclass(frozen=True)
class Call:
    """endpoint: the path's URL. rows: one row of example values instead of servers by name. certificate, key, ca: files for mutual TLS; ca
    alone: who vouches for the server. seconds: how long an answer may take."""

    endpoint: str
    servers: tuple[str, ...] = (SERVER,)
    rows: bool = False
    certificate: str | None = None
    key: str | None = None
    ca: str | None = None
    seconds: int = 5


def snippet(contract: Contract, language: Language, call: Call) -> str:
    """The program's text. Raises UsageError where the call makes no sense."""
    import jinja2

    if (call.certificate is None) != (call.key is None):
        raise UsageError("A client certificate and its key go together. Give both --cert and --key, or neither.")
    if not call.endpoint.startswith(("http://", "https://")) or any(mark.isspace() for mark in call.endpoint):
        raise UsageError(f"--endpoint {call.endpoint[:100]!r} is no URL. Write http://HOST:PORT or https://HOST.")
    if call.endpoint.startswith("http://") and (call.certificate or call.ca):
        raise UsageError(f"--endpoint {call.endpoint[:100]} is plain HTTP, where no certificate is shown. Write https://.")
    if call.rows and contract.kind == "sequence":
        raise UsageError(f"{contract.name} reads {contract.history} ticks of each server, not a row. Leave --rows out: its servers are looked up.")
    environment = jinja2.Environment(  # noqa: S701 - programs, not HTML; each value is quoted as its language quotes strings
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"literal": _literal, "shell": shlex.quote, "comment": _comment, "described": _described}
    template = environment.get_template(_TEMPLATES[language])
    return template.render(
        contract=contract,
        call=call,
        url=call.endpoint.rstrip("/") + PATH,
        body=example_predict(contract, list(call.servers), rows=call.rows),
        fields={field.name: field for field in contract.inputs},
        document=json.dumps(example_predict(contract, list(call.servers), rows=call.rows), ensure_ascii=False),
    )


def _literal(value: Any) -> str:
    """A string or a number as Python and Go both write it."""
    return json.dumps(value, ensure_ascii=False)


def _comment(text: str) -> str:
    """What cannot end a comment's line."""
    return "".join(mark if mark.isprintable() else " " for mark in text)


def _described(field: InputField | OutputField) -> str:
    bounds = f"{'-inf' if field.low is None else f'{field.low:g}'} to {'inf' if field.high is None else f'{field.high:g}'}"
    return _comment(f"{bounds}, unit {field.unit}" + (f": {field.meaning}" if field.meaning else ""))
