"""Refusals, told to the log without depending on it: a refusal stays one where the log cannot be written."""

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from presage.errors import PresageError
from presage.governance.audit.entries import Entry, Fact
from presage.governance.audit.log import AuditLog

Refusal = Literal["gate-refused", "admission-refused"]
_LONGEST = 1000  # characters of a text: who is refused has a say in its length


def record_refusal(
    folder: Path, kind: Refusal, subject: str, facts: Mapping[str, Fact], *, at: datetime, say: Callable[[str], None] | None = None
) -> Entry | None:
    """Add it to the log in `folder`; where that fails, say so (default: on stderr) and return None. Call it when the refusal stands.

    For refusals alone. What is granted, released or removed is appended by AuditLog, and is not done where that fails. Texts are cut and cleaned:
    they may be whatever somebody sent.
    """
    try:
        cleaned = {_clean(name): _clean(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
        return AuditLog.open(folder).append(kind, _clean(subject), cleaned, at=at)
    except (PresageError, OSError) as error:
        reason = error.message if isinstance(error, PresageError) else str(error)
        (say or _on_stderr)(f"refused all the same, and missing from the audit log: {kind} {_clean(subject)}: {reason}")
        return None


def _clean(text: str) -> str:
    whole = text.encode("utf-8", "replace").decode()
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]} …"


def _on_stderr(sentence: str) -> None:
    line = " ".join(sentence.split())
    print("".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in line), file=sys.stderr, flush=True)
