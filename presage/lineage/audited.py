"""What the state's audit log says of a release, and whether the log is as it was."""

from collections.abc import Iterable

from presage.errors import PresageError
from presage.governance.audit import VerifyingKey, read_entries, verify_log
from presage.governance.audit.entries import Entry
from presage.lineage.page import Answer, Audit, AuditEntry, Missing
from presage.state import State

MOST = 1000
"""Entries of one release that are kept; more are counted as missing."""


def read_audit(state: State, answer: Answer, packages: Iterable[str]) -> tuple[Audit | None, list[Missing]]:
    """packages: digests, which may have been revoked by themselves."""
    folder = state.root / "audit"
    if not folder.is_dir():
        because = f"{state.root} has no audit log; --state names another state"
        return None, [Missing("audit", "approvals, steps, refusals and revocations as they were logged", because)]
    name, digests = f"{answer.model}:{answer.version}", {answer.release, *packages}
    try:
        found = [one for one in read_entries(folder) if _about(one, name, digests)]
    except PresageError as error:
        return None, [Missing("audit", "what the audit log says", error.message)]
    because = f"only the newest {MOST} are told; `presage audit show --subject {name}` shows all"
    missing = [Missing("audit", f"{len(found) - MOST} older entries", because)] if len(found) > MOST else []
    good, finding = _verified(state)
    entries = [AuditEntry(one.n, one.at, one.kind, one.subject, dict(one.facts)) for one in found[-MOST:]]
    return Audit(good, finding, entries, f"audit log {folder}"), missing


def _about(entry: Entry, name: str, digests: set[str]) -> bool:
    """A release is a subject by its name, its URI or its digest; or a fact names its digest."""
    subject = entry.subject.removeprefix("presage://")
    if subject == name or subject in digests or any(subject.endswith(f"@{digest}") for digest in digests):
        return True
    return any(isinstance(fact, str) and (fact in digests or any(fact.endswith(f"@{digest}") for digest in digests)) for fact in entry.facts.values())


def _verified(state: State) -> tuple[bool | None, str]:
    path = state.root / "keys" / "audit.vkey"
    if not path.is_file():
        return None, f"{path} is not there, so nobody can say whether the log is as it was"
    try:
        verdict = verify_log(state.root / "audit", VerifyingKey.parse(path.read_text(errors="replace"), str(path)), None)
    except PresageError as error:
        return False, error.message
    return verdict.good, verdict.findings[0].fact if verdict.findings else ""
