"""A journal for doors that may ask the same twice: after a kill they begin again where they are not sure, and nothing is recorded again.

What such a door asks has names that follow from what it is (prediction ids). What lies in the journal is read once, at start; so a segment that was
shipped stays until the door has said that all in it came where it was to go (`finished`), over however many lives that takes: `once.json` names the
first segment that stays.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from inference.journal.levels import Journal, Then
from inference.journal.record import AnyRecord, Decision
from inference.journal.segments import keep_from, kept_from, read_segment, segments


class OnceJournal:
    """`journal`, without decisions whose ids are in `known`."""

    def __init__(self, journal: Journal, known: frozenset[str]) -> None:
        self.level = journal.level
        self._journal, self._known = journal, known

    def append(self, records: Sequence[AnyRecord], then: Then) -> None:
        """As the journal's; where every decision is known, nothing is written."""
        if not self._known:
            self._journal.append(records, then)
            return
        fresh = [record for record in records if not isinstance(record, Decision) or record.prediction_id not in self._known]
        if any(isinstance(record, Decision) for record in fresh):
            self._journal.append(fresh, then)
        else:
            then(None)

    def lag(self) -> int:
        return self._journal.lag()

    def close(self) -> None:
        self._journal.close()


class Unfinished:
    """Keeps what is shipped in `folder` for as long as a door may have to look into it. Made before the journal is opened, and a shipper started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = kept_from(folder)
        self._kept = min((number for number, _ in segments(folder)), default=0) if found is None else found
        if found is None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            keep_from(folder, self._kept)

    def finished(self) -> None:
        """All that was appended so far came where it was to go: segments before the one that is written may leave once they are shipped."""
        newest = segments(self._folder)[-1][0]
        if newest != self._kept:
            keep_from(self._folder, newest)
            self._kept = newest


def recorded(folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> frozenset[str]:
    """Ids of the decisions in a journal's folder. wanted: which of them matter."""
    found: set[str] = set()
    for _, path in segments(folder):
        try:
            frames = read_segment(path)[1]
        except FileNotFoundError:  # nobody keeps it, and a shipper has just let go of it
            continue
        records = (record for frame in frames for record in frame.records)
        found.update(record.prediction_id for record in records if isinstance(record, Decision) and wanted(record.prediction_id))
    return frozenset(found)
