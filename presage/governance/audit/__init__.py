"""The audit log: who approved, what was released, refused, revoked, deleted; append-only, and any tampering is found.

    log = AuditLog.open(state.root / "audit")
    log.append("approved", "incident:7", {"role": "compliance"}, at=datetime.now(UTC))
    record_refusal(state.root / "audit", "gate-refused", "incident:7", {"reason": "approval"}, at=datetime.now(UTC))
    for entry in read_entries(state.root / "audit"): …
    verify_log(state.root / "audit", key, anchored_checkpoints(bucket))

    entries       one entry: canonical JSON, chained to the one before
    tree          RFC 6962: the root hash over all entries, and what of it an append needs
    checkpoints   size and root, signed in C2SP's form (signed note, Ed25519)
    keys          who signs
    head          the newest checkpoint and what the next append needs, replaced at each append
    log           appending, by several processes at once; survives SIGKILL at any moment
    refusals      refusals, told to the log without depending on it
    denials       what an access log says of whom it denied access
    gathering     that, brought into the log, each denial counted once
    places        how far a log was read, and whether it is still the same log
    cadence       when what was read is told
    reading       the entries, and their chain
    verification  everything read again, and held against head, checkpoints and anchors
    verdict       what it says: which entry, what is wrong, what to do
    anchoring     checkpoints in an object-locked bucket, so that a cut tail is found too
    accepting     a log whose head was lost, signed as it is
    durable       folders whose names survive a power cut
"""

from presage.governance.audit.accepting import accept
from presage.governance.audit.anchoring import anchor, anchored_checkpoints
from presage.governance.audit.checkpoints import Checkpoint, VerifyingKey
from presage.governance.audit.entries import Entry, Kind
from presage.governance.audit.keys import AuditKey
from presage.governance.audit.log import AuditLog
from presage.governance.audit.reading import read_entries
from presage.governance.audit.refusals import record_refusal
from presage.governance.audit.verdict import Finding, Verdict
from presage.governance.audit.verification import Anchored, verify_log

__all__ = [
    "Anchored", "AuditKey", "AuditLog", "Checkpoint", "Entry", "Finding", "Kind", "Verdict", "VerifyingKey",
    "accept", "anchor", "anchored_checkpoints", "read_entries", "record_refusal", "verify_log",
]  # fmt: skip
