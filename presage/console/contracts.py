"""A contract, and what changed between two, as tables in the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from presage.contracts.successor import Verdict
from presage.package.contract import Contract, InputField, OutputField


def print_contract(contract: Contract, console: Console | None = None) -> None:
    """The facts, then the inputs, then the outputs."""
    console = _wide(console)
    shape = "[" + ", ".join("batch" if size == -1 else str(size) for size in contract.input_shape) + "]"
    for name, value in (
        ("contract", f"{contract.name} {contract.version}"), ("reads", f"x FP32 {shape}, or names of a {contract.entity}"),
        ("horizon", contract.horizon), ("features", f"{contract.view.view.name} {contract.feature_version}"),
    ):  # fmt: skip
        console.print(Text(f"{name:<10}") + Text(value), soft_wrap=True)
    for heading, fields in (("INPUT", contract.inputs), ("OUTPUT", contract.outputs)):
        console.print()
        table = _table(heading, "TYPE", "UNIT", "RANGE", "MEANING" if heading == "OUTPUT" else "MISSING")
        for field in fields:
            table.add_row(*map(Text, (field.name, _type(field), field.unit, _range(field), _last(field))))
        console.print(table)


def print_verdict(verdict: Verdict, console: Console | None = None) -> None:
    """EFFECT WHERE BEFORE AFTER BECAUSE, then what the versions say."""
    console = _wide(console)
    if verdict.changes:
        table = _table("EFFECT", "WHERE", "BEFORE", "AFTER", "BECAUSE")
        for change in verdict.changes:
            table.add_row(*map(Text, (change.effect, change.where, _short(change.before), _short(change.after), change.because)))
        console.print(table)
        console.print()
    console.print(Text(_sentence(verdict)), soft_wrap=True)


def _sentence(verdict: Verdict) -> str:
    if verdict.effect is None:
        return f"{verdict.old} and {verdict.new} promise the same."
    if verdict.refused:
        return f"Refused: {verdict.new} breaks callers of {verdict.old} under the same major version. Call it {verdict.required}."
    if verdict.understated:
        return f"{verdict.effect.capitalize()}; {verdict.new} does not tell of it. Call it {verdict.required}."
    return f"{verdict.effect.capitalize()}, from {verdict.old} to {verdict.new}."


def _wide(console: Console | None) -> Console:
    console = console or Console()
    return console if console.is_terminal else Console(file=console.file, width=240)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "BECAUSE", overflow="fold")
    return table


def _type(field: InputField | OutputField) -> str:
    if isinstance(field, InputField):
        return field.dtype
    return f"{field.dtype} [{', '.join('batch' if size == -1 else str(size) for size in field.shape)}]"


def _range(field: InputField | OutputField) -> str:
    if isinstance(field, OutputField) and field.values:
        return ", ".join(field.values)
    if field.low is None and field.high is None:
        return "any"
    return f"{'-inf' if field.low is None else f'{field.low:g}'} to {'inf' if field.high is None else f'{field.high:g}'}"


def _last(field: InputField | OutputField) -> str:
    return field.meaning if isinstance(field, OutputField) else "may be" if field.nullable else "never"


def _short(text: str | None) -> str:
    return "" if text is None else text if len(text) <= 60 else text[:57] + "..."
