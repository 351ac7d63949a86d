"""The page as headings and rows, the same for text and for HTML. Every text is cleaned of marks that a terminal acts on, or that turn what a reader sees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from presage.lineage.page import Approval, Change, Commit, Input, Member, Missing, Part, Record, Trace

SHOWN = 6
"""Inputs that the page names; the rest are in JSON and in `presage log show`."""
HISTORY = 6
"""Ticks of a metric's history that the page shows."""
_MEASURES = (
    "average_precision", "average_precision_interval", "prevalence", "roc_auc", "brier", "median_lead_minutes", "gain", "gain_interval", "clusters",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """name: empty where it goes on with the row before."""

    name: str
    value: str


@dataclass(frozen=True)
class Section:
    """source: where its facts are from. missing: what is not known, and why. folded: a long text that belongs to it."""

    part: Part
    title: str
    source: str
    rows: list[Row] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)
    folded: str = ""


def sections(trace: Trace) -> list[Section]:
    """In the order in which an auditor asks."""
    made: list[tuple[Part, str, str, Iterator[tuple[str, Any]], str]] = [
        ("answer", "The answer", trace.answer.source, _answer(trace), ""),
        ("inputs", "Its inputs as logged", trace.inputs.source if trace.inputs else "", _inputs(trace), ""),
        ("release", "The release and its members", trace.release.source if trace.release else "", _release(trace), ""),
        ("origin", "Data and code", trace.origin.source if trace.origin else "", _origin(trace), ""),
        ("run", "The run that made it", trace.run.source if trace.run else "", _run(trace), ""),
        ("evaluation", "Evaluation", trace.evaluation.source if trace.evaluation else "", _evaluation(trace), ""),
        ("card", "Model card", trace.card.source if trace.card else "", _card(trace), _clean(trace.card.text, lines=True) if trace.card else ""),
        ("approvals", "Who approved it, when", trace.approvals.source if trace.approvals else "", _approvals(trace), ""),
        ("standing", "Stable, canary or shadow", _git(trace), _standing(trace), ""),
        ("commits", "The commits that brought it and took it away", _git(trace), _commits(trace), ""),
        ("policies", "The policy lines that applied", _of_commit(trace), _policies(trace), ""),
        ("audit", "What the audit log says of it", trace.audit.source if trace.audit else "", _audit(trace), ""),
        ("others", "What else this release decided", trace.others.source if trace.others else "", _others(trace), ""),
    ]  # fmt: skip
    return [
        Section(part, title, _clean(source), [Row(_clean(name), _clean(str(value))) for name, value in rows], _missing(trace.missing, part), folded)
        for part, title, source, rows, folded in made
    ]


def headline(trace: Trace) -> str:
    """One sentence."""
    answer = trace.answer
    about = f"server {answer.server}" if answer.server else "a row that the caller gave"
    told = "shadowed and told to nobody" if answer.shadow_of else f"answered at {_moment(answer.time)}"
    return _clean(f"risk {answer.risk:.4f}, tier {answer.tier}, for {about}: {told} by {answer.model}:{answer.version}")


def _clean(text: str, lines: bool = False) -> str:
    """Without control characters, and without marks that turn the direction of what follows. lines: line breaks stay."""
    return "".join(mark if mark.isprintable() or (lines and mark == "\n") else repr(mark)[1:-1] for mark in text)


def _missing(missing: Sequence[Missing], part: Part) -> list[Row]:
    return [Row(_clean(one.what), _clean(one.because)) for one in missing if one.part == part]


def _answer(trace: Trace) -> Iterator[tuple[str, Any]]:
    answer = trace.answer
    yield "prediction", answer.prediction_id
    yield "time", _moment(answer.time)
    if answer.server:
        yield "server", answer.server
    yield "asked by", answer.caller or "nobody is named in the log"
    if answer.caller_id:
        yield "its own name for it", answer.caller_id
    yield "asked through", answer.endpoint
    yield "risk", f"{answer.risk:.4f}, between {answer.low:.4f} and {answer.high:.4f}"
    yield "tier", answer.tier + (", warming: its history was too short" if answer.warming else "")
    yield "who answered", f"rung {answer.rung}{': ' if answer.because else ''}{answer.because or ''}, {f'member {answer.used}' if answer.used else 'no model'}"
    yield "release", f"{answer.model}:{answer.version} {answer.release}"
    if answer.shadow_of:
        yield "shadow of", f"{answer.shadow_of}; this answer reached nobody"
    for reason in answer.reasons:
        yield "reason", f"{reason.feature} {reason.contribution:+.4f}"
    for doubt in answer.doubts:
        yield "doubt", doubt
    if answer.clipped:
        yield "clipped", f"{answer.clipped} values were moved to the edge of their range"
    if answer.distance is not None:
        yield "distance", f"{answer.distance:.4g} from the training data"
    for key, value in answer.context.items():
        yield "context", f"{key}={value}"
    if answer.trace_id:
        yield "trace of the request", answer.trace_id


def _inputs(trace: Trace) -> Iterator[tuple[str, Any]]:
    inputs, answer = trace.inputs, trace.answer
    if inputs is None:
        return
    where = f"declaration {answer.feature_version}, tick {_moment(answer.feature_time)}" if answer.feature_time else "the caller's own row"
    yield "kind", f"{len(inputs.values)} values, {inputs.kind}: {where}"
    named = {reason.feature for reason in answer.reasons}
    first = [one for one in inputs.values if one.name in named]
    shown = [*first, *(one for one in inputs.values if one.name not in named)][:SHOWN]
    for one in shown:
        yield one.name, _values(one)
    if len(inputs.values) > len(shown):
        yield "", f"and {len(inputs.values) - len(shown)} more: presage log show {answer.prediction_id}"
    if inputs.history:
        yield "history", f"{len(inputs.history)} metrics over {max(len(one.values) for one in inputs.history)} ticks, in JSON and in presage log show"


def _release(trace: Trace) -> Iterator[tuple[str, Any]]:
    release = trace.release
    if release is None:
        return
    yield "release", release.uri
    yield "made", f"{release.created}, tier {release.tier}, contract {release.contract}"
    yield "signed by", _signed(release.key, release.signer) + (f"; NOT GOOD: {release.refused}" if release.refused else "; its documents are good")
    yield "stored", "sealed" if release.sealed else "in the clear"
    for member in release.members:
        yield "member", _member(member)
    yield "ladder", " then ".join(release.ladder)
    yield "thresholds", ", ".join(f"{tier} from {risk:.4f}" for tier, risk in sorted(release.thresholds.items(), key=lambda item: item[1]))
    if release.differs is not None:
        yield "policy in it", "as Git had it then" if not release.differs else f"differs from Git then in: {', '.join(release.differs)}"


def _origin(trace: Trace) -> Iterator[tuple[str, Any]]:
    origin = trace.origin
    if origin is None:
        return
    for name, value in (
        ("run", origin.run and f"{origin.run} of {origin.pipeline}, {origin.created}, seed {origin.seed}"), ("data", origin.data),
        ("data snapshot", origin.digest), ("code", origin.code and f"digest {origin.code}"), ("lock", origin.lock),
        ("features", origin.view and f"{origin.view}, declaration {origin.view_version}"),
        ("policy", origin.policy and f"{origin.policy} {origin.policy_digest}"),
    ):  # fmt: skip
        if value:
            yield name, value


def _run(trace: Trace) -> Iterator[tuple[str, Any]]:
    run = trace.run
    if run is None:
        return
    yield "run", f"{run.run}, {run.status}"
    if run.commit:
        state = {True: ", with files that were changed and not committed", False: ", nothing changed beside it", None: ""}[run.changed]
        yield "code", f"commit {run.commit}{state}"
    if run.snapshot is not None:
        yield "data", "its events name the snapshot that the package names" if run.snapshot else "ITS EVENTS NAME ANOTHER SNAPSHOT than the package"
    if run.registry_run:
        version = f", model version {run.registry_version}" if run.registry_version else ""
        yield "MLflow", f"run {run.registry_run}{version} in {run.registry}"


def _evaluation(trace: Trace) -> Iterator[tuple[str, Any]]:
    if trace.evaluation is None:
        return
    metrics = trace.evaluation.metrics
    for name in _MEASURES:
        if metrics.get(name) is not None:
            yield name.replace("_", " "), _number(metrics[name])
    for name in ("events_detected", "events_detected_early", "false_alarms_per_server_day"):
        if isinstance(metrics.get(name), dict):
            yield name.replace("_", " "), ", ".join(f"{_number(value)} at {key} false alarms a server-day" for key, value in metrics[name].items())
    if isinstance(rows := metrics.get("rows"), dict):
        yield "rows", ", ".join(f"{part} {count}" for part, count in rows.items())
    yield "digest", trace.evaluation.digest


def _card(trace: Trace) -> Iterator[tuple[str, Any]]:
    if trace.card is None:
        return
    lines = [line for line in trace.card.text.partition("\n# ")[2].splitlines() if line.strip() and not line.startswith("|")]
    yield from zip(("title", "purpose"), lines, strict=False)
    yield "digest", trace.card.digest


def _approvals(trace: Trace) -> Iterator[tuple[str, Any]]:
    approvals = trace.approvals
    if approvals is None:
        return
    asks = f"{', '.join(approvals.roles)}, by {approvals.people} people" if approvals.roles or approvals.people else "no approval"
    yield "its tier", f"{approvals.tier} asks for {asks}"
    for one in approvals.given:
        yield "approved by", _approval(one)
    yield "enough", "yes" if approvals.lacking is None else f"NO: {approvals.lacking}"


def _approval(one: Approval) -> str:
    counted = "" if one.refused is None else f"; NOT COUNTED: {one.refused}"
    return f"{one.approver} as {one.role} at {one.issued}, until {one.expires}{counted}; {one.source}" + (f", {_commit(one.commit)}" if one.commit else "")


def _standing(trace: Trace) -> Iterator[tuple[str, Any]]:
    for one in trace.standing:
        share = f" with {one.percent} percent of the requests" if one.percent is not None else ""
        since = f"since {_commit(one.since)}" if one.since else "since before this copy of the history begins"
        known = "was a shadow's" if trace.answer.shadow_of else "reached a caller"
        told = "" if one.fits else f"; not as what it gave this answer, which {known}, as the log says"
        yield f"{one.overlay}/{one.application}", f"{one.model}: {one.role}{share}, {since}{told}"


def _commits(trace: Trace) -> Iterator[tuple[str, Any]]:
    for one in trace.commits:
        yield one.kind, _change(one)
        for record in one.records:
            yield "", _record(record)


def _change(one: Change) -> str:
    moved = " → ".join(word for word in (one.before or "nothing", one.after or "nothing"))
    return f"{one.overlay}/{one.application} {one.model}: {moved}; {_commit(one.commit)}"


def _record(record: Record) -> str:
    if not record.step:
        return f"{record.path}: {record.refused}"
    bad = f"; NOT GOOD: {record.refused}" if record.refused else ""
    return f"record {record.path}: {record.step} at {record.at}, tier {record.tier}: {record.because}; {_signed(record.key, record.signer)}{bad}"


def _policies(trace: Trace) -> Iterator[tuple[str, Any]]:
    for one in trace.policies.lines if trace.policies else []:
        yield f"{one.file}:{one.line}", f"{one.text}   ({one.rule}: {one.means})"


def _audit(trace: Trace) -> Iterator[tuple[str, Any]]:
    audit = trace.audit
    if audit is None:
        return
    verified = {True: "in order, by the key beside it", False: f"NOT IN ORDER: {audit.finding}", None: audit.finding}[audit.good]
    yield "the log", verified
    for one in audit.entries:
        said = f"{one.at[:19]} {one.subject}: {', '.join(f'{name} {value}' for name, value in one.facts.items())}"
        yield f"{one.n} {one.kind}", said.replace(trace.answer.release, f"{trace.answer.release[:19]}…")


def _others(trace: Trace) -> Iterator[tuple[str, Any]]:
    others = trace.others
    if others is None:
        return
    yield "answers", f"{others.decisions} in this log: " + (", ".join(f"{one.decisions} {one.tier}" for one in others.tiers) or "none")
    if others.shadows:
        yield "as a shadow", f"{others.shadows}, told to nobody"
    yield "one by one", others.command


def _git(trace: Trace) -> str:
    return f"branch {trace.branch} of {trace.repository}, rendered manifests" if trace.repository else ""


def _of_commit(trace: Trace) -> str:
    return f"{_commit(trace.policies.commit)}, the last of branch {trace.branch} at the answer's time" if trace.policies else ""


def _commit(commit: Commit) -> str:
    return f"commit {commit.id[:12]} of {_moment(commit.at)} by {commit.author}: {commit.subject}"


def _member(member: Member) -> str:
    return f"{member.role}: {member.model} ({member.family}) {member.package}" + (", which answered" if member.answered else "")


def _signed(key: str, signer: str | None) -> str:
    return f"key {key[:16]}…, trusted here as {signer}" if signer else f"key {key[:16]}…, NOT TRUSTED here"


def _moment(moment: datetime | None) -> str:
    return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC") if moment else ""


def _values(one: Input) -> str:
    shown = ["missing" if value is None else f"{value:.6g}" for value in one.values[-HISTORY:]]
    return ("… " if len(one.values) > HISTORY else "") + " ".join(shown)


def _number(value: Any) -> str:
    match value:
        case list():
            return " to ".join(_number(one) for one in value)
        case bool() | int() | str():
            return str(value)
        case float():
            return f"{value:.4g}"
    return "not measured" if value is None else str(value)
