"""`presage`: each command is a thin face of a documented function of the library.

    presage [--state FOLDER] COMMAND ...

`main` is the console script. It returns the exit code and lets no traceback out (presage.cli.failures).
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from presage.cli.failures import explain, say
from presage.cli.group import HELP, LazyGroup
from presage.errors import UsageError

app = typer.Typer(cls=LazyGroup, add_completion=False, rich_markup_mode=None, no_args_is_help=True, context_settings=HELP)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"presage {version('presage')}")
        raise typer.Exit


@app.callback()
def root(
    state: Annotated[str | None, typer.Option("--state", metavar="FOLDER", help="Holds what presage keeps. Default: $PRESAGE_STATE, else .presage")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    """Predicts incidents from infrastructure telemetry, and serves the predictions.

    Start with `presage up`; leave with Ctrl-C or `presage down`.
    """
    if state is not None:
        if not state:
            raise UsageError("--state is empty. Name a folder, or leave the option out.")
        # The environment reaches the processes a command starts, too.
        os.environ["PRESAGE_STATE"] = str(Path(state).absolute())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's); the exit code is 0 done, 1 a finding or refused input, 2 wrong usage."""
    _open_closed_streams()
    command = app_command()
    try:
        with command.make_context("presage", list(arguments) if arguments is not None else sys.argv[1:]) as context:
            code = command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as left:
        return left.exit_code
    except typer.TyperException as error:
        return _explain_usage(error)
    except typer.Abort:
        return 1
    except (Exception, KeyboardInterrupt) as error:
        return explain(error)
    return code if isinstance(code, int) else 0


def app_command() -> typer.core.TyperGroup:
    """The root command, built."""
    command = typer.main.get_command(app)
    assert isinstance(command, LazyGroup)
    return command


def _open_closed_streams() -> None:
    """`presage status >&-`: what has no reader goes nowhere, and no file that is opened later gets a stream's number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - as long as the process


def _explain_usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        return error.exit_code
    path = context.command_path if context is not None else "presage"
    sentence = error.format_message().strip()
    say(f"{sentence if sentence.endswith(('.', '?')) else sentence + '.'} `{path} --help` says what is possible.")
    return error.exit_code
