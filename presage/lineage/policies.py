"""The policy lines that applied to an answer, at the commit that was in force: file, line, the line itself, and what follows from it."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from presage.documents import place
from presage.durations import format_duration
from presage.files import read_text
from presage.governance.access.document import Client
from presage.governance.model_policy import ModelPolicy
from presage.governance.repository import Policies
from presage.governance.revoked import parse_revoked
from presage.lineage.page import Answer, Commit, Missing, PolicyLine, Stood

TIERS, APPROVERS, ACCESS, REVOCATIONS = "policies/risk-tiers.yaml", "policies/approvals.yaml", "policies/access.yaml", "policies/revocations.yaml"


def read_lines(
    tree: Path, policies: Policies, answer: Answer, stood: Sequence[Stood], digests: Collection[str]
) -> tuple[list[PolicyLine], list[Missing]]:  # fmt: skip
    """tree: the commit's files. digests: of the release and its packages."""
    reading = _Lines(tree)
    lines = [*_access(reading, policies, answer), *_revoked(reading, policies, digests)]
    model = policies.releases.get(answer.model)
    if model is None:
        return lines, [Missing("policies", "the model's policy", f"no file of policies/models speaks of a release {answer.model!r} at that commit")]
    missing = []
    if answer.caller is None:
        missing.append(Missing("policies", "the access rule of the caller", "the log does not say who asked"))
    return [*_model(reading, model, answer), *_tier(reading, policies, model, stood), *lines], missing


def differing(model: ModelPolicy, released: object) -> list[str] | None:
    """Keys that a release's own copy of the policy has otherwise; None where it has none."""
    if not isinstance(released, dict):
        return None
    there = model.model_dump(mode="json")
    return sorted(key for key in there.keys() | released.keys() if there.get(key) != released.get(key))


class _Lines:
    def __init__(self, tree: Path) -> None:
        self._tree = tree

    def line(self, rule: str, file: str, path: Sequence[str | int], means: str) -> PolicyLine:
        """Where `path` is written in the file. What is nowhere written (a default) is told by the line around it."""
        return _line(read_text(self._tree / file, "policy", "It was there a moment ago."), rule, file, path, means)


def _line(text: str, rule: str, file: str, path: Sequence[str | int], means: str) -> PolicyLine:
    _, _, number = place(text, file, path).rpartition(":")
    line = int(number) if number.isdigit() else 1
    return PolicyLine(rule, file, line, text.splitlines()[line - 1].strip(), means)


def _model(reading: _Lines, model: ModelPolicy, answer: Answer) -> Iterator[PolicyLine]:
    file = f"policies/models/{model.name}.yaml"
    yield reading.line("risk tier", file, ["risk_tier"], f"what a release of {model.name} must pass is tier {model.risk_tier}'s")
    if model.impact is not None:
        yield reading.line("impact", file, ["impact", "action"], f"a prediction {model.impact.action}")
    yield reading.line("cost of a missed incident", file, ["costs", "missed_incident"], "the higher, the lower every threshold")
    for tier, threshold in model.thresholds.items():
        reached = ", which this answer reached" if tier == answer.tier else ""
        yield reading.line(f"cost of a needless {tier}", file, ["costs", "false_alarm", tier], f"{tier} from risk {threshold:.4f} on{reached}")
    yield reading.line("journal", file, ["journal"], f"an answer leaves after its record is kept as level {model.journal} says")
    yield reading.line("explanation", file, ["explanation"], f"reasons are given: {model.explanation.replace('_', ' ')}")


def _tier(reading: _Lines, policies: Policies, model: ModelPolicy, stood: Sequence[Stood]) -> Iterator[PolicyLine]:
    tier, rules = model.risk_tier, policies.tiers.of(model.risk_tier)
    asked = f"approvals as {', '.join(rules.approvals.roles)}, by {rules.approvals.people} people" if rules.approvals.roles else "no approval"
    yield reading.line("approvals of the tier", TIERS, ["tiers", tier, "approvals"], f"a release of tier {tier} needs {asked}")
    lasts = format_duration(policies.approvers.expires_after)
    yield reading.line("how long an approval lasts", APPROVERS, ["expires_after"], f"{lasts} at most")
    yield reading.line("separation of duties", APPROVERS, ["author_may_approve"], "who signed the release may not approve it")
    for percent in sorted({one.percent for one in stood if one.percent is not None}):
        number = next((number for number, step in enumerate(rules.canary.steps) if step.percent == percent), None)
        if number is not None:
            means = f"it was at step {number + 1} of {len(rules.canary.steps)}, for {format_duration(rules.canary.steps[number].soak)} at least"
            yield reading.line("step of the canary", TIERS, ["tiers", tier, "canary", "steps", number], means)


def _access(reading: _Lines, policies: Policies, answer: Answer) -> Iterator[PolicyLine]:
    clients = policies.access.clients
    number = next((number for number, client in enumerate(clients) if answer.caller and client.identity and client.spiffe_id == answer.caller), None)
    if number is None:
        if answer.caller is not None:
            who = answer.caller or "a caller without an identity"
            yield reading.line("callers that are not named", ACCESS, ["unnamed_at_most"], f"{who} is none of the clients named there")
        return
    client: Client = clients[number]
    yield reading.line(f"access rule {client.id}", ACCESS, ["clients", number, "identity"], f"the caller is {client.title}")
    yield reading.line(f"access rule {client.id}", ACCESS, ["clients", number, "may"], f"it may ask for {', '.join(client.may)}")
    if client.at_most is not None:
        means = f"{client.at_most.requests_per_minute} requests a minute at most"
        yield reading.line(f"access rule {client.id}", ACCESS, ["clients", number, "at_most"], means)


def revoked_since(content: bytes, commit: Commit, digests: Collection[str]) -> list[PolicyLine]:
    """Lines of a later list of revocations. content: the file as `commit` has it. Raises InputError."""
    text = content.decode(errors="replace")
    found = []
    for number, entry in enumerate(parse_revoked(text, REVOCATIONS).revoked):
        if entry.digest in digests:
            means = f"revoked since {entry.since.isoformat()}: {entry.because} (at commit {commit.id[:12]}, not yet at the answer's time)"
            found.append(_line(text, "revocation after the answer", REVOCATIONS, ["revoked", number, "digest"], means))
    return found


def _revoked(reading: _Lines, policies: Policies, digests: Collection[str]) -> Iterator[PolicyLine]:
    for number, entry in enumerate(policies.revoked.revoked):
        if entry.digest in digests:
            yield reading.line("revocation", REVOCATIONS, ["revoked", number, "digest"], f"revoked since {entry.since.isoformat()}: {entry.because}")
