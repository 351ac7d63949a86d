"""The report's charts, as plotly figures in plain data.

Colours are names (`$winner`, `$muted/0.3` with opacity) that the page resolves from its own style, so that one figure
serves light, dark and print. A chart comes with a sentence that says what it shows, for those who cannot see it.
"""

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from presage.console.report.artifacts import CalibrationBin, Evaluation, Measures, PrecisionRecall
from presage.console.report.words import interval, number, sentence_case, title
from presage.governance.model_policy import ModelPolicy

DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up")
MOST_POINTS = 2500
FLOOR = 0.001  # of the logarithmic axes


@dataclass(frozen=True)
class Chart:
    """figure: {data, layout} for plotly. says: the chart in a sentence."""

    id: str
    figure: dict[str, Any]
    says: str
    height: int = 320


def colour(name: str, evaluation: Evaluation) -> str:
    """The winner stands out; the other families follow in order; baselines are grey."""
    if name == evaluation.winner:
        return "$winner"
    others = [family.name for family in evaluation.families if family.name != evaluation.winner]
    return f"$series-{others.index(name) % 3 + 1}" if name in others else "$muted"


def family_comparison(evaluation: Evaluation) -> Chart:
    """Average precision of families and baselines, dot and whisker, chance as a line."""
    measured = sorted([*evaluation.families, *evaluation.baselines], key=lambda one: one.average_precision)
    baselines = {baseline.name for baseline in evaluation.baselines}
    data = [_dot(one, colour(one.name, evaluation), hollow=one.name in baselines) for one in measured]
    layout = {
        "xaxis": {"title": {"text": "average precision"}, "rangemode": "tozero"},
        "yaxis": {"automargin": True, "showgrid": False, "type": "category"},
        "shapes": [_line("x", evaluation.prevalence)],
        "annotations": [{"x": evaluation.prevalence, "y": 1, "yref": "paper", "text": "chance", "showarrow": False, "xanchor": "left", "yanchor": "bottom"}],
        "showlegend": False,
    }
    best = evaluation.best
    says = f"Average precision by family: {title(best.name)} leads with {number(best.average_precision)}; chance is {number(evaluation.prevalence, 3)}."
    return Chart("families", {"data": data, "layout": layout}, says, 110 + 34 * len(measured))


def _dot(one: Measures, ink: str, hollow: bool) -> dict[str, Any]:
    low, high = one.average_precision_interval or (one.average_precision, one.average_precision)
    return _whisker(title(one.name), one.average_precision, (low, high), ink, hollow)


def _whisker(name: str, value: float, ends: tuple[float, float], ink: str, hollow: bool) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "x": [value], "y": [name], "name": name,
        "hovertemplate": f"%{{y}}: {number(value)} ({interval(ends)})<extra></extra>",
        "marker": {"color": "$surface" if hollow else ink, "size": 11, "line": {"color": ink, "width": 2}},
        "error_x": {
            "type": "data", "symmetric": False, "array": [max(ends[1] - value, 0)], "arrayminus": [max(value - ends[0], 0)],
            "color": ink, "thickness": 2, "width": 5,
        },
    }  # fmt: skip


def paired_gains(evaluation: Evaluation) -> Chart | None:
    """Average precision minus the unsupervised ensemble's, on the same resampled incidents; None where it was not computed."""
    pairs = sorted((pair for pair in evaluation.paired if pair.against == "unsupervised_ensemble"), key=lambda pair: pair.difference)
    if not pairs:
        return None
    data = [_whisker(title(pair.family), pair.difference, pair.interval, colour(pair.family, evaluation), hollow=False) for pair in pairs]
    layout = {
        "xaxis": {"title": {"text": "gain in average precision"}, "zeroline": False},
        "yaxis": {"automargin": True, "showgrid": False, "type": "category"},
        "shapes": [_line("x", 0)],
        "showlegend": False,
    }
    clear = [title(pair.family) for pair in pairs if pair.interval[0] > 0]
    says = f"Gain over the unsupervised ensemble: clear of zero for {', '.join(clear) if clear else 'no family'}."
    return Chart("gains", {"data": data, "layout": layout}, says, 110 + 34 * len(pairs))


def precision_recall(curves: list[PrecisionRecall], evaluation: Evaluation) -> Chart:
    """Precision against recall on the test rows; prevalence is what chance reaches."""
    known = [*evaluation.families, *evaluation.baselines]
    order = {one.name: rank for rank, one in enumerate(known)}
    data = []
    for curve in sorted(curves, key=lambda curve: (curve.name == evaluation.winner, -order.get(curve.name, 99))):
        ink = colour(curve.name, evaluation)
        won = curve.name == evaluation.winner
        dash = "solid" if won else DASHES[1 + order.get(curve.name, 0) % 3]
        data.append({
            "type": "scatter", "mode": "lines", "x": curve.recall, "y": curve.precision, "name": sentence_case(title(curve.name)),
            "line": {"color": ink, "width": 3.2 if won else 1.6, "dash": dash}, "legendrank": 0 if won else 1 + order.get(curve.name, 99),
        })  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "recall: share of positive ticks found"}, "range": [0, 1]},
        "yaxis": {"title": {"text": "precision: share of alarms that are right"}, "range": [0, 1.02]},
        "shapes": [_line("y", evaluation.prevalence)],
        "annotations": [{"x": 1, "y": evaluation.prevalence, "text": "chance", "showarrow": False, "xanchor": "right", "yanchor": "top"}],
    }
    says = f"Precision against recall of {len(curves)} models; {title(evaluation.winner)} encloses the largest area."
    return Chart("precision-recall", {"data": data, "layout": layout}, says, 420)


def calibration(bins: list[CalibrationBin], policy: ModelPolicy | None) -> Chart | None:
    """Observed frequency against stated risk with the interval [p0, p1] as bars, and its width beneath; None without bins.

    Both axes are logarithmic, since most ticks carry a risk far below one in ten; what is below FLOOR is drawn at it, hollow.
    """
    if not bins:
        return None
    bins = sorted(bins, key=lambda one: one.risk)
    risk = [max(one.risk, FLOOR) for one in bins]
    hover = [
        f"risk {number(one.risk, 3)}, observed {number(one.observed, 3)}<br>"
        f"interval {interval((one.p0, one.p1), 3)}<br>{one.rows} rows, {one.clusters} incidents"
        for one in bins
    ]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "x": [FLOOR, 1], "y": [FLOOR, 1], "name": "perfect", "hoverinfo": "skip",
            "line": {"color": "$muted", "width": 1, "dash": "dash"},
        },
        {
            "type": "scatter", "mode": "lines", "name": "stated interval", "hoverinfo": "skip", "line": {"color": "$winner/0.35", "width": 11},
            **_stems(risk, [(max(one.p0, FLOOR), max(one.p1, FLOOR)) for one in bins]),
        },
        {
            "type": "scatter", "mode": "markers", "x": risk, "y": [max(one.observed, FLOOR) for one in bins], "name": "observed",
            "text": hover, "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "color": ["$surface" if one.observed < FLOOR else "$winner" for one in bins],
                "size": [min(8 + one.clusters**0.5, 16) for one in bins], "line": {"color": "$winner", "width": 1.5},
            },
        },
        {
            "type": "scatter", "mode": "lines", "yaxis": "y2", "name": "width of the interval", "showlegend": False, "hoverinfo": "skip",
            "line": {"color": "$winner/0.7", "width": 11}, **_stems(risk, [(0.0, one.p1 - one.p0) for one in bins]),
        },
    ]  # fmt: skip
    axis = {"type": "log", "tickvals": [0.001, 0.01, 0.1, 1], "ticktext": ["0.1 %", "1 %", "10 %", "100 %"]}
    thresholds = policy.thresholds if policy else {}
    layout = {
        "xaxis": {**axis, "title": {"text": "risk stated"}, "range": [-3.08, 0.06], "anchor": "y2"},
        "yaxis": {**axis, "title": {"text": "share observed"}, "range": [-3.08, 0.08], "domain": [0.3, 1]},
        "yaxis2": {"title": {"text": "width"}, "domain": [0, 0.18], "rangemode": "tozero", "nticks": 3},
        "shapes": [_line("x", threshold) for threshold in thresholds.values()],
        "annotations": [
            {"x": math.log10(threshold), "y": 0.3, "yref": "paper", "text": tier, "showarrow": False, "xanchor": "right", "yanchor": "bottom"}
            for tier, threshold in thresholds.items()
        ],
    }
    inside = sum(one.p0 <= one.observed <= one.p1 for one in bins)
    says = f"In {inside} of {len(bins)} groups the observed share lies inside the mean interval stated."
    return Chart("calibration", {"data": data, "layout": layout}, says, 480)


def _stems(across: list[float], ends: list[tuple[float, float]]) -> dict[str, list[float | None]]:
    """Vertical strokes as one line trace: x and y, with a gap after each."""
    return {
        "x": [value for at in across for value in (at, at, None)],
        "y": [value for low, high in ends for value in (low, high, None)],
    }


def timeline(chart_id: str, server: str, predictions: pl.DataFrame, incidents: pl.DataFrame, policy: ModelPolicy | None) -> Chart:
    """Risk of one server over the test time with its interval, incidents as bands, the tiers' thresholds as lines."""
    rows = _thinned(predictions.filter(pl.col("entity") == server).sort("time"))
    first, last = rows["time"][0], rows["time"][-1]
    own = incidents.filter((pl.col("entity") == server) & (pl.col("end") >= first) & (pl.col("start") <= last)).sort("start")
    times = rows["time"].dt.strftime("%Y-%m-%d %H:%M").to_list()
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "x": times, "y": _rounded(rows["p1"]), "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False},
        {
            "type": "scatter", "mode": "lines", "x": times, "y": _rounded(rows["p0"]), "line": {"width": 0}, "name": "interval",
            "fill": "tonexty", "fillcolor": "$winner/0.22", "hoverinfo": "skip",
        },
        {"type": "scatter", "mode": "lines", "x": times, "y": _rounded(rows["risk"]), "name": "risk", "line": {"color": "$winner", "width": 1.8},
         "hovertemplate": "%{x}: risk %{y:.2f}<extra></extra>"},
        {"type": "bar", "x": [None], "y": [None], "name": "incident", "marker": {"color": "$incident/0.4"}},
    ]  # fmt: skip
    shapes: list[dict[str, Any]] = [
        {"type": "rect", "x0": start.strftime("%Y-%m-%d %H:%M"), "x1": end.strftime("%Y-%m-%d %H:%M"), "y0": 0, "y1": 1, "yref": "paper",
         "fillcolor": "$incident/0.28", "line": {"color": "$incident", "width": 1}, "layer": "below"}
        for start, end in own.select("start", "end").iter_rows()
    ]  # fmt: skip
    annotations: list[dict[str, Any]] = []
    for tier, threshold in (policy.thresholds if policy else {}).items():
        shapes.append(_line("y", threshold))
        annotations.append({"x": 1, "xref": "paper", "y": threshold, "text": tier, "showarrow": False, "xanchor": "left", "yanchor": "middle"})
    layout = {
        "xaxis": {"type": "date", "range": [times[0], times[-1]], "title": {"text": "time (UTC)", "standoff": 20}},
        "yaxis": {"title": {"text": "risk"}, "range": [0, 1.02]},
        "shapes": shapes, "annotations": annotations, "margin": {"r": 52, "b": 70}, "bargap": 0,
    }  # fmt: skip
    return Chart(chart_id, {"data": data, "layout": layout}, f"Risk of {server} over the test time, and its {own.height} incidents.", 320)


def _thinned(rows: pl.DataFrame) -> pl.DataFrame:
    """At most MOST_POINTS rows: of each stretch the one with the highest risk, so that no peak is lost."""
    stretch = -(-rows.height // MOST_POINTS)
    if stretch <= 1:
        return rows
    return rows.with_row_index("row").group_by(pl.col("row") // stretch, maintain_order=True).agg(pl.all().sort_by("risk").last())


def _rounded(values: pl.Series) -> list[float]:
    return values.cast(pl.Float64).round(4).to_list()


def _line(axis: str, at: float) -> dict[str, Any]:
    """A thin dotted line across the plot at one value of `axis`."""
    other = "y" if axis == "x" else "x"
    ends = {f"{axis}0": at, f"{axis}1": at, f"{other}0": 0, f"{other}1": 1, f"{other}ref": "paper"}
    return {"type": "line", **ends, "line": {"color": "$muted", "width": 1.2, "dash": "dot"}}
