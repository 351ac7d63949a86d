"""Steps of releases, told to the state's audit log."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from presage.release.steps import Taken

if TYPE_CHECKING:
    from presage.state import State


def told(state: "State") -> Callable[[Taken, datetime], None]:
    """What a Releasing calls after each commit."""

    def tell(taken: Taken, at: datetime) -> None:
        from presage.governance.audit import AuditLog

        facts = {"step": taken.step, "commit": taken.commit, "because": taken.because, "record": taken.record}
        AuditLog.open(state.root / "audit").append("released", taken.release, facts, at=at)

    return tell
