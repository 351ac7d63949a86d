"""The page as text for a terminal and as one HTML file that needs nothing else."""

from pathlib import Path

from presage.lineage.page import Trace
from presage.lineage.sections import Section, headline, sections

HERE = Path(__file__).parent
_NAME = 24  # columns of a row's name


def to_text(trace: Trace) -> str:
    """Sections with a line a fact; what is missing stands where it belongs."""
    return "\n".join([headline(trace), *(line for section in sections(trace) for line in _section(section))]) + "\n"


def to_html(trace: Trace) -> str:
    """Printable; no script, and nothing is fetched: its Content-Security-Policy allows neither. Everything from the data is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html.j2")
    return page.render(trace=trace, headline=headline(trace), sections=sections(trace), style=_style())


def _style() -> object:
    import markupsafe

    return markupsafe.Markup((HERE / "page.css").read_text())  # noqa: S704 (our own file)


def _section(section: Section) -> list[str]:
    lines = ["", section.title.upper() + (f"  [{section.source}]" if section.source else "")]
    lines += [f"  {row.name:<{_NAME}} {row.value}".rstrip() for row in section.rows]
    lines += [f"  {'missing':<{_NAME}} {row.name}: {row.value}" for row in section.missing]
    return lines if len(lines) > 2 else [*lines, f"  {'none':<{_NAME}}".rstrip()]
