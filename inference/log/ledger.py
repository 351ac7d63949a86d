"""What a log has spent of its privacy: one line a release of counts, and nothing more when the budget is gone.

Privacy adds up: each release of counts about the same people tells a little more, whoever asks. So the ledger lies with the log
(`privacy.json`), is for ever, and a sum is booked before anything is given out.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import fsum
from pathlib import Path

import msgspec

from presage.errors import InputError
from presage.files import write_bytes

FILE = "privacy.json"


class Spent(msgspec.Struct, frozen=True):
    """time: when (UTC); of: what was counted; epsilon: what it cost."""

    time: datetime
    of: str
    epsilon: float


class _Document(msgspec.Struct, frozen=True):
    spent: list[Spent]
    schema: str = "presage.privacy-ledger/v1"


def read_ledger(log: Path) -> list[Spent]:
    """Everything that was ever given out of this log."""
    try:
        return msgspec.json.decode((log / FILE).read_bytes(), type=_Document).spent
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise InputError(f"{log / FILE}: the privacy ledger cannot be read ({error}). Restore it: without it nothing is given out.") from None


def spend(log: Path, of: str, epsilon: float, budget: float, now: float) -> float:
    """Book epsilon and return what is left. Raises InputError where that would pass the budget; then nothing was booked."""
    with _locked(log):
        spent = read_ledger(log)
        before = fsum(one.epsilon for one in spent)
        left = budget - before - epsilon
        if left < -1e-9:
            message = f"{log}: {before:g} of the privacy budget of {budget:g} is spent, and this would cost {epsilon:g} more."
            raise InputError(f"{message} Ask with a smaller --epsilon, or use what was given out before.")
        write_bytes(log / FILE, msgspec.json.encode(_Document([*spent, Spent(datetime.fromtimestamp(now, UTC), of, epsilon)])))
    return max(0.0, left)


@contextmanager
def _locked(log: Path) -> Iterator[None]:
    lock = os.open(log / "privacy.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
