"""What a run means, in sentences: the part of the report that is read first, and by some alone.

Claims follow the intervals, not the points: "better" is said only where the whole interval lies above zero.
"""

from dataclasses import dataclass

from presage.console.report.artifacts import Evaluation, Measures, Run

TITLES = {
    "logistic_regression": "logistic regression",
    "random_forest": "random forest",
    "lightgbm": "LightGBM",
    "temporal_convolution": "temporal convolution",
    "unsupervised_ensemble": "unsupervised ensemble",
    "persistence": "persistence",
}
FEW_CLUSTERS = 20
_NARROW = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Verdict:
    """headline: one sentence. tone: good | open | bad. sentences: what to expect. cautions: what may mislead."""

    headline: str
    tone: str
    sentences: list[str]
    cautions: list[str]


def title(name: str) -> str:
    """A family's name as people write it."""
    return TITLES.get(name, name.replace("_", " "))


def sentence_case(text: str) -> str:
    """First letter raised, the rest (LightGBM) left alone."""
    return text[:1].upper() + text[1:]


def number(value: float | None, digits: int = 2) -> str:
    """0.4731 → `0.47`; a dash where there is none. A true minus sign."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def share(value: float | None) -> str:
    """0.912 → `91 %`; shares below 1 % keep a digit."""
    if value is None:
        return "–"
    return f"{100 * value:.0f}{_NARROW}%" if value == 0 or value >= 0.0995 else f"{100 * value:.2g}{_NARROW}%"


def interval(ends: tuple[float, float] | None, digits: int = 2) -> str:
    """`0.31 to 0.60`."""
    return "–" if ends is None else f"{number(ends[0], digits)} to {number(ends[1], digits)}"


def lead(minutes: float | None) -> str:
    """A lead as words: 12 → `12 minutes before the start`, −10 → `10 minutes after the start`."""
    if minutes is None:
        return "–"
    if minutes == 0:
        return "at the start"
    return f"{abs(minutes):.0f} minutes {'before' if minutes > 0 else 'after'} the start"


def verdict(run: Run) -> Verdict:
    """The run in sentences."""
    evaluation = run.evaluation
    best = evaluation.best
    headline, tone = _headline(evaluation, best)
    horizon = f"{evaluation.horizon_minutes:.0f} minutes"
    sentences = [
        f"Ranking every server at every tick by risk, {title(best.name)} reaches an average precision of {number(best.average_precision)} "
        f"(95{_NARROW}% interval {interval(best.average_precision_interval)}) where chance reaches {number(evaluation.prevalence, 3)}: "
        f"the share of ticks with an incident active or starting within {horizon}."
    ]
    if (found := best.events_detected.get("1")) is not None:
        early = best.events_detected_early.get("1")
        rare = best.events_detected.get("0.2")
        sentences.append(
            f"Allowed one false alarm per server and day{_made(best, '1')}, it raises an alarm for {share(found)} of incidents, for {share(early)} before "
            f"they start; the median first alarm comes {lead(best.median_lead_minutes)}."
            + ("" if rare is None else f" Allowed one in five days{_made(best, '0.2')}, it finds {share(rare)}.")
        )
    return Verdict(headline, tone, sentences, _cautions(run))


def _made(best: Measures, allowed: str) -> str:
    """How many false alarms the carried threshold really made, since it was set on earlier days."""
    made = best.false_alarms_per_server_day.get(allowed)
    return "" if made is None else f" (it made {number(made)} a day)"


def _headline(evaluation: Evaluation, best: Measures) -> tuple[str, str]:
    name = sentence_case(title(best.name))
    ends = best.average_precision_interval
    if ends is not None and ends[0] <= evaluation.prevalence:
        return f"{name} did best, but these incidents do not show that it beats chance.", "bad"
    if evaluation.gain is None or evaluation.gain_interval is None:
        return f"{name} predicts incidents better than chance; there was nothing to compare it with.", "open"
    low, high = evaluation.gain_interval
    if low > 0:
        return f"{name} predicts incidents, and does it better than anomaly detection without labels.", "good"
    if high < 0:
        return f"{name} is the best family, yet anomaly detection without labels does better.", "bad"
    return f"{name} predicts incidents better than chance; whether better than anomaly detection without labels, these incidents cannot tell.", "open"


def _cautions(run: Run) -> list[str]:
    evaluation, best = run.evaluation, run.evaluation.best
    cautions = []
    if evaluation.clusters < FEW_CLUSTERS:
        cautions.append(f"The test holds only {evaluation.clusters} independent incidents: read the intervals, not the points.")
    strict = evaluation.strict
    if strict is not None and strict.average_precision is not None and strict.prevalence:
        cautions.append(
            f"Part of this is seeing incidents that have begun. On ticks outside incidents alone, average precision is {number(strict.average_precision)} "
            f"where chance is {number(strict.prevalence, 3)}: {strict.average_precision / strict.prevalence:.1f} times chance."
        )
    if best.median_lead_minutes is not None and best.median_lead_minutes <= 0:
        cautions.append("The median first alarm does not come before the incident: this finds incidents quickly more than it foresees them.")
    if bound := [title(family.name) for family in evaluation.families if family.budget_bound]:
        cautions.append(f"The time budget stopped the training of {' and '.join(bound)}: with more time {'it' if len(bound) == 1 else 'they'} might do better.")
    if run.quality.refused_rows_share > 0.01:
        cautions.append(f"{share(run.quality.refused_rows_share)} of rows held values that were refused; see what, below.")
    return cautions
