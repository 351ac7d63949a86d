"""From a run to the page's HTML."""

import base64
import hashlib
import importlib.util
import json
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from presage.console.report import charts, tables, words
from presage.console.report.artifacts import Run
from presage.console.report.charts import Chart
from presage.durations import format_duration
from presage.errors import StateError

HERE = Path(__file__).parent


def render(run: Run) -> str:
    """The whole page."""
    drawn = _charts(run)
    plotly, script = _plotly(), (HERE / "page.js").read_text()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        title=words.title, sentence=words.sentence_case, share=words.share, lead=words.lead, duration=format_duration,
        interval=words.interval, interval3=partial(words.interval, digits=3),
        number=words.number, number3=partial(words.number, digits=3), number1=partial(words.number, digits=1), whole=partial(words.number, digits=0),
    )  # fmt: skip
    return environment.get_template("page.html.j2").render(
        run=run, evaluation=run.evaluation, best=run.evaluation.best, verdict=words.verdict(run), policy=run.policy,
        charts={chart.id: chart for chart in drawn}, timelines=_timelines(run, drawn), tiers=tables.tiers(run.policy, run.predictions) if run.policy else [],
        servers=tables.servers(run), parts=tables.parts(run), refusals=tables.refusals(run.refused), examples=tables.examples(run.refused),
        style=_inline((HERE / "page.css").read_text()), plotly=_inline(plotly), script=_inline(script), figures=_inline(_figures(drawn)),
        sources=f"'{_digest(plotly)}' '{_digest(script)}'",
    )  # fmt: skip


def _charts(run: Run) -> list[Chart]:
    evaluation = run.evaluation
    drawn = [
        charts.family_comparison(evaluation),
        charts.paired_gains(evaluation),
        charts.precision_recall(run.curves.precision_recall, evaluation) if run.curves.precision_recall else None,
        charts.calibration(run.curves.calibration, run.policy),
    ]
    times = [
        charts.timeline(f"timeline-{rank}", one.server, run.predictions, run.incidents, run.policy)
        for rank, (_, one) in enumerate(tables.extremes(run), start=1)
    ]
    return [chart for chart in [*drawn, *times] if chart is not None]


def _timelines(run: Run, drawn: list[Chart]) -> list[dict[str, Any]]:
    """Each timeline with what it stands for: {role, server (its measures), chart}."""
    by_id = {chart.id: chart for chart in drawn}
    return [{"role": role, "server": one, "chart": by_id[f"timeline-{rank}"]} for rank, (role, one) in enumerate(tables.extremes(run), start=1)]


def _figures(drawn: list[Chart]) -> str:
    """The figures as JSON that cannot end the script element it lies in."""
    text = json.dumps({chart.id: chart.figure for chart in drawn}, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _inline(text: str) -> Any:
    """Text of ours, or already escaped, that goes into the page as it is."""
    import markupsafe

    return markupsafe.Markup(text)  # noqa: S704 (our script, our style, and figures that _figures escaped)


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _plotly() -> str:
    """plotly's JavaScript from the installed package, found without importing it (which takes a second)."""
    found = importlib.util.find_spec("plotly")
    if found is None or found.origin is None:
        raise StateError("plotly is not installed, and the report's charts need it. Run `make install`.")
    return (Path(found.origin).parent / "package_data" / "plotly.min.js").read_text()
