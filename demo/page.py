"""The record as a page that somebody can read who has seen no terminal."""

from pathlib import Path

import jinja2

from demo.narration import Record
from presage.files import write_bytes

HERE = Path(__file__).parent


def write_page(record: Record, path: Path) -> None:
    """One file, which loads nothing from elsewhere."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    write_bytes(path, environment.get_template("page.html.j2").render(record=record).encode())
