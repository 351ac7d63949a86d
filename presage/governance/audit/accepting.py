"""A log whose signed head was lost, signed as it is: by a person who looked at it, and said in the log itself."""

from datetime import datetime

from presage.errors import InputError, StateError
from presage.governance.audit.entries import Entry, Fact
from presage.governance.audit.head import Head
from presage.governance.audit.log import AuditLog
from presage.governance.audit.verification import Snapshot, examine
from presage.package.locks import locked


def accept(log: AuditLog, *, at: datetime) -> Entry:
    """The entry that says so. Raises InputError where nothing is to be accepted, StateError where more is wrong than the head."""
    with locked(log.folder):
        verdict, reading = examine(Snapshot.take(log.folder), log.key.public, None)
        if verdict.good:
            raise InputError(f"{log.folder}: the log is in order, {verdict.entries} entries. There is nothing to accept.")
        if other := next((one for one in verdict.findings if one.code != "head"), None):
            raise StateError(f"{other.fact}: that is not to be accepted. {other.remedy}.")
        facts: dict[str, Fact] = {"entries": reading.tree.size, "signed": reading.fitting, "because": verdict.findings[0].fact}
        return log.add_to(Head(reading.tree, reading.last, reading.length), "log-accepted", "audit log", facts, at)
