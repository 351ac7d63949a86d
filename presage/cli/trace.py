"""`presage audit trace`: one prediction, and everything that was behind it, on one page."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.failures import say
from presage.cli.log import KeysOption, LogOption
from presage.cli.output import print_json
from presage.cli.release import StoreOption, TrustOption, open_store

if TYPE_CHECKING:
    from presage.package.keys import Trust
    from presage.state import State


class Form(StrEnum):
    """What the page is printed as."""

    table = "table"
    json = "json"
    html = "html"


FormOption = Annotated[Form, typer.Option("-o", "--output", help="table for people; json: one document on stdout's last line; html: one file, printable.")]


def trace(  # noqa: PLR0917 - options, passed by name
    prediction_id: Annotated[str, typer.Argument(metavar="PREDICTION_ID", help="As the answer named it.")],
    log: LogOption = None,
    subject_keys: KeysOption = None,
    store: StoreOption = None,
    trust: TrustOption = None,
    repository: Annotated[
        Path | None, typer.Option("--repository", metavar="FOLDER", help="The checkout, or bare repository, that it ran from; default: this one.")
    ] = None,
    branch: Annotated[str | None, typer.Option("--branch", metavar="NAME", help="Default: the branch that the repository has checked out.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the page there, and print nothing.")] = None,
    complete: Annotated[bool, typer.Option("--complete", help="Exit code 1 where a fact is missing.")] = False,
    output: FormOption = Form.table,
) -> int:
    """The answer and its inputs, its release, data and code, evaluation and card, who approved what and when, the policy lines that applied, the commits
    that brought the release and took it away. What is not known is told as missing, with the reason.
    """
    from presage.lineage import to_html, to_text
    from presage.lineage import trace as read
    from presage.prediction_log import log_folder
    from presage.state import State

    state = State.open()
    found = read(
        prediction_id, log=log_folder(log), state=state, store=open_store(store, state), trust=_trust(trust, state), repository=repository or _here(),
        branch=branch, subject_keys=subject_keys, now=datetime.now(UTC),
    )  # fmt: skip
    if out is not None:
        _write(out, to_html(found) if output is Form.html else to_text(found) if output is Form.table else _json(found))
    elif output is Form.json:
        print_json(found)
    else:
        print(to_html(found) if output is Form.html else to_text(found), end="")
    if found.missing:
        say(f"{len(found.missing)} facts are missing; the page says which, and why")
    return 1 if complete and found.missing else 0


def _here() -> Path | None:
    """The repository beside the installed package, or around the working directory, as other commands take it."""
    from presage.errors import UsageError
    from presage.manifests.render import manifests_folder

    try:
        return manifests_folder().parent
    except UsageError:
        return None


def _trust(named: Path | None, state: "State") -> "Trust | None":
    """None where no key is trusted here: then that is what the page says."""
    from presage.errors import ArtifactRefused
    from presage.package.keys import Trust

    try:
        return Trust.open(named or state.keys)
    except ArtifactRefused:
        if named is not None:
            raise
        return None


def _write(path: Path, text: str) -> None:
    from presage.files import write_bytes

    write_bytes(path, text.encode())


def _json(found: object) -> str:
    import msgspec

    return msgspec.json.encode(found).decode() + "\n"
