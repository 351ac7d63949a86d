"""Audit logs for tests: `filled` makes one with checkpoints of 4 and 8 entries, so that what follows is covered by the signed head alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from presage.governance.audit import AuditLog, Verdict, verify_log

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


def filled(root: Path, count: int = 12, checkpoints: tuple[int, ...] = (4, 8)) -> AuditLog:
    """That of the state directory `root`: incident:0, incident:1, …, a second apart."""
    log = AuditLog.open(root / "audit")
    for number in range(count):
        log.append("released", f"incident:{number}", {"step": "start", "number": number, "because": "gets 5 percent"}, at=AT + timedelta(seconds=number))
        if number + 1 in checkpoints:
            log.checkpoint()
    return log


def judged(log: AuditLog, *more) -> Verdict:
    """By its own key."""
    return verify_log(log.folder, log.key.public, *more)
