"""Command groups that import a command's module when the command runs, not before."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from presage.cli.commands import COMMANDS, GROUPS

HELP = {"help_option_names": ["-h", "--help"]}


class _Commands(MutableMapping[str, Any]):
    """Names to commands; a command is built (and its module imported) when it is asked for."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._help: dict[str, str] = {}
        self._targets: dict[str, str] = {}
        for listed in COMMANDS:
            if not listed.name.startswith(prefix):
                continue
            name, _, inner = listed.name.removeprefix(prefix).partition(" ")
            self._help[name] = GROUPS[name] if inner else listed.help
            self._targets[name] = "" if inner else listed.target

    def __getitem__(self, name: str) -> Any:
        target = self._targets[name]
        if not target:
            return build_group(f"{self._prefix}{name} ", name, self._help[name])
        module, _, function = target.partition(":")
        single = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP)
        single.command(name)(getattr(import_module(module), function))
        return typer.main.get_command(single)

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def __setitem__(self, name: str, command: Any) -> None:
        raise TypeError("commands are listed in presage.cli.commands")

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are listed in presage.cli.commands")

    def rows(self) -> list[tuple[str, str]]:
        """(name, help line), in the order of the list."""
        return list(self._help.items())


class LazyGroup(TyperGroup):
    """A group over `presage.cli.commands.COMMANDS`; `prefix` picks the commands inside a named group."""

    prefix = ""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._lazy = _Commands(self.prefix)
        self.commands = self._lazy

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the list: the order a newcomer needs them."""
        return list(self._lazy)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, its module imported now; None where there is none."""
        return self._lazy.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The help page's list, from the help lines alone: nothing is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl(self._lazy.rows())


def build_group(prefix: str, name: str, text: str) -> Any:
    """The group whose commands' names start with `prefix`."""
    group = typer.Typer(
        cls=type("NamedGroup", (LazyGroup,), {"prefix": prefix}), name=name, help=text, add_completion=False,
        rich_markup_mode=None, no_args_is_help=True, context_settings=HELP,
    )
    group.callback()(_nothing)
    return typer.main.get_command(group)


def _nothing() -> None:
    """A group does nothing by itself."""
