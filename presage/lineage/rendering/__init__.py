"""The page as text for a terminal and as one HTML file that needs nothing else."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from presage.lineage.page import Trace
from presage.lineage.sections import Row, Section, headline, sections

if TYPE_CHECKING:
    from jinja2 import Template

HERE = Path(__file__).parent
_LONGEST = 44  # columns of a row's name; a longer one pushes its value to the right


def to_text(trace: Trace) -> str:
    """Sections with a line a fact; what is missing stands where it belongs."""
    return "\n".join([headline(trace), *(line for section in sections(trace) for line in _section(section))]) + "\n"


def to_html(trace: Trace) -> str:
    """Printable; no script, and nothing is fetched: its Content-Security-Policy allows neither. Everything from the data is escaped."""
    return _page().render(trace=trace, headline=headline(trace), sections=sections(trace), style=_style())


@cache
def _page() -> "Template":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2")


def _style() -> object:
    import markupsafe

    return markupsafe.Markup((HERE / "page.css").read_text())  # noqa: S704 (our own file)


def _section(section: Section) -> list[str]:
    rows = [*section.rows, *(Row("missing", f"{row.name}: {row.value}") for row in section.missing)] or [Row("none", "")]
    width = min(_LONGEST, max(len(row.name) for row in rows))
    heading = section.title.upper() + (f"  [{section.source}]" if section.source else "")
    return ["", heading, *(f"  {row.name:<{width}}  {row.value}".rstrip() for row in rows)]
