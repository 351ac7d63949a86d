"""A release as it lies in a store, as tables in the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from presage.package.inspection import ShownRelease


def print_release(shown: ShownRelease, console: Console | None = None) -> None:
    """The facts, then ROLE MODEL FAMILY FILES BYTES PACKAGE."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=200)
    for name, value in _facts(shown):
        console.print(Text(f"{name:<10}") + Text(value), soft_wrap=True)
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("ROLE", "MODEL", "FAMILY", "FILES", "BYTES", "PACKAGE"):
        table.add_column(heading, justify="right" if heading in ("FILES", "BYTES") else "left", no_wrap=True)
    for member in shown.members:
        size = "sealed" if member.bytes is None else str(member.bytes)
        table.add_row(member.role, member.model, member.family, str(len(member.files)), size, member.package)
    console.print(table)


def _facts(shown: ShownRelease) -> list[tuple[str, str]]:
    signer = f"{shown.signer.owner or 'unknown here'} {shown.signer.key[:16]}"
    return [
        ("release", shown.uri),
        ("store", shown.store),
        ("created", shown.created),
        ("tier", shown.tier),
        ("contract", f"{shown.contract.name} {shown.contract.version}"),
        ("ladder", " → ".join(shown.ladder)),
        ("signer", signer + (f"; refused here [{shown.signer.refused}]" if shown.signer.refused else "")),
        ("sealed", f"yes, key version {shown.key_version}" if shown.sealed else "no"),
    ]
