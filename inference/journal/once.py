"""A journal for doors that may ask the same twice: after a kill they begin again where they are not sure, and nothing is recorded again.

What such a door asks has names that follow from what it is (prediction ids), and what lies in the journal and is not shipped yet is read
once, at start.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from inference.journal.levels import Journal, Then
from inference.journal.record import AnyRecord, Decision
from inference.journal.segments import read_segment, segments


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


def recorded(folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> frozenset[str]:
    """Ids of the decisions in a journal's folder that are not shipped yet. wanted: which of them matter."""
    if not folder.is_dir():
        return frozenset()
    return frozenset(
        record.prediction_id
        for _, path in segments(folder)
        for frame in read_segment(path)[1]
        for record in frame.records
        if isinstance(record, Decision) and wanted(record.prediction_id)
    )
