"""Whom the plane's proxies denied access, told to the state's audit log while the plane runs.

Read every EVERY seconds, to the end of each log; what is told at once, and what within a minute, is the cadence's: whoever is denied again and again makes
some entries a minute and not one a request. The last reading, when the plane ends, tells all there is.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from presage.errors import PresageError

EVERY, AFTER_FAILURE = 2.0, 60.0  # seconds


def telling(root: Path, *, at_once: bool = False) -> Callable[[], int]:
    """What brings the access logs' denials into the audit log, and says how many entries that were. It raises PresageError, OSError."""
    from presage.governance.audit.cadence import Cadence
    from presage.governance.audit.gathering import Gathering

    gathering = Gathering(root / "denials", root / "audit", cadence=None if at_once else Cadence(time.monotonic))

    def tell() -> int:
        return len(gathering.bring(sorted((root / "plane" / "logs").glob("*.access.log")), at=datetime.now(UTC)))

    return tell


async def keep(root: Path) -> None:
    """Until it is cancelled. An audit log that cannot be written refuses nobody less; it is said, and tried again."""
    tell, said = telling(root), ""
    while True:
        await asyncio.sleep(AFTER_FAILURE if said else EVERY)
        try:
            await asyncio.to_thread(tell)
        except Exception as error:  # a fault of ours, too: the plane ends with any task of its own that does
            if str(error) != said:
                _say(error)
            said = str(error) or "?"
        else:
            said = ""


def tell_the_last(root: Path) -> None:
    """At the end of a plane."""
    try:
        telling(root, at_once=True)()
    except Exception as error:  # what is left to do at a plane's end is done all the same
        _say(error)


def _say(error: Exception) -> None:
    if not isinstance(error, PresageError | OSError):
        traceback.print_exception(error)
    print(f"denials are missing from the audit log: {error}", file=sys.stderr, flush=True)
