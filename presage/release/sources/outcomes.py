"""Any source, with outcomes that became known: of decisions that either arm has made since the canary came, how many were wrong.

    {"prediction_id": "0199…", "incident": true}      one line of the file: whether an incident was there, or came within the horizon

Whoever knows appends to the file; who decided, and what, the prediction log knows. A decision is wrong where it called somebody and nothing came, or
called nobody and something came. Outcomes come late, so what was decided in an earlier step of the same release counts when it becomes known.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from presage.errors import PresageError, StateError
from presage.package.reference import parse_reference
from presage.release.sources.counters import Counts
from presage.release.sources.source import Look, Source
from presage.release.standing import Standing

PATIENCE = timedelta(hours=6)
"""An outcome whose prediction the log does not have by then is forgotten: it is of another log."""
_AT_ONCE = 4 << 20
"""Bytes of the file in one look."""
_KNOWN = 20_000
"""Decisions that are remembered as counted, so that one that is told again counts once. Of more, the earliest are forgotten, and whatever was decided
until then counts no more."""
_WAITING = 50_000
_ASKED = 500
_ID = re.compile(r"[0-9A-Za-z_-]{1,100}")
_DECIDED = """SELECT prediction_id, release, tier, time
FROM decisions WHERE shadow_of = '' AND prediction_id IN ('{}')"""


class Decided(NamedTuple):
    """release: digest of the one that answered; called: whether it called anybody; time: when."""

    release: str
    called: bool
    time: datetime


Decisions = Callable[[Sequence[str]], Mapping[str, Decided]]
"""Of these predictions, those that the log has; a shadow's are none."""


@dataclass(frozen=True)
class _State:
    """release: the canary's URI; since: decisions from then on count, at first when it came; offset: bytes of the file that were read; waiting: id → (incident,
    read when); known: id → when it was decided, of those counted."""

    release: str
    since: str
    offset: int
    waiting: dict[str, tuple[bool, str]]
    known: dict[str, str] = field(default_factory=dict)


class WithOutcomes:
    """say: hears of lines that are no outcomes, and of outcomes that are given up. Everything else is `source`'s."""

    def __init__(self, source: Source, file: Path, decisions: Decisions, say: Callable[[str], None]) -> None:
        self._source, self._file, self._decisions, self._say = source, file, decisions, say
        self._state = _State("", "", 0, {})

    def live(self, standing: Standing) -> str:
        return self._source.live(standing)

    def capacity(self) -> int:
        return self._source.capacity()

    def bound(self, uri: str) -> str:
        return self._source.bound(uri)

    def begin(self, standing: Standing, now: datetime) -> None:
        self._source.begin(standing, now)
        canary = standing.canary.uri if standing.canary else ""
        if canary != self._state.release:
            self._state = _State(canary, now.isoformat(), self._size(), {})

    def look(self, standing: Standing, now: datetime) -> Look:
        look = self._source.look(standing, now)
        state, wanted = self._read(now)
        if not wanted or standing.canary is None:
            self._state = state
            return look
        arms = {"stable": [0, 0], "canary": [0, 0]}
        since, found = datetime.fromisoformat(state.since), self._found(list(wanted))
        releases = {self._digest(standing.canary.uri): "canary", self._digest(standing.stable): "stable"}
        ours = {name: one for name, one in found.items() if one.time >= since and one.release in releases}
        for name, one in ours.items():
            arm = arms[releases[one.release]]
            arm[0] += 1
            arm[1] += one.called != wanted[name][0]
        left = {name: told for name, told in wanted.items() if name not in found}
        waiting = {name: told for name, told in left.items() if now - datetime.fromisoformat(told[1]) < PATIENCE}
        if gone := sorted(left.keys() - waiting.keys()):
            first = f"{self._file}: {len(gone)} outcomes are given up ({gone[0]} is one)"
            self._say(f"{first}: for {PATIENCE} the prediction log had no such decision. Is it the log that --log should name?")
        known = state.known | {name: one.time.isoformat() for name, one in ours.items()}
        self._state = _bounded(replace(state, waiting=waiting, known=known))
        return Look(look.at, _with(look.stable, *arms["stable"]), _with(look.canary, *arms["canary"]))

    def remember(self) -> dict[str, Any]:
        one = self._state
        mine = {"release": one.release, "since": one.since, "offset": one.offset, "waiting": one.waiting, "known": one.known}
        return {"source": self._source.remember(), "outcomes": mine}

    def recall(self, document: dict[str, Any]) -> None:
        """A judge that had no outcomes until now has them from here on."""
        if "outcomes" not in document:
            self._source.recall(document)
            self._state = replace(self._state, since=datetime.now(UTC).isoformat(), offset=self._size()) if not self._state.since else self._state
            return
        self._source.recall(document["source"])
        one = document["outcomes"]
        waiting = {name: (bool(told[0]), str(told[1])) for name, told in one["waiting"].items()}
        self._state = _State(one["release"], one["since"], one["offset"], waiting, dict(one["known"]))

    def _read(self, now: datetime) -> tuple[_State, dict[str, tuple[bool, str]]]:
        """What stands after the lines that are whole, and every outcome that is not counted yet."""
        state, wanted = self._state, dict(self._state.waiting)
        size = self._size()
        begin = state.offset if size >= state.offset else 0  # emptied: begun anew
        content = b""
        if size > begin:
            with self._file.open("rb") as handle:
                handle.seek(begin)
                content = handle.read(_AT_ONCE)
        whole = content[: content.rfind(b"\n") + 1] or (content if len(content) == _AT_ONCE else b"")  # nobody's line is as long: it ends nowhere
        for number, line in enumerate(whole.splitlines()):
            try:
                told = orjson.loads(line)
                prediction, incident = told["prediction_id"], told["incident"]
                if not isinstance(incident, bool) or not _ID.fullmatch(prediction):
                    raise TypeError
            except (ValueError, TypeError, KeyError):
                where = f"{self._file}: line {number + 1} from byte {begin} on"
                self._say(f'{where} is no outcome ({line[:80]!r}). Write {{"prediction_id": "…", "incident": true}}; it is left out.')
                continue
            if prediction not in state.known:
                wanted.setdefault(prediction, (incident, now.isoformat()))
        if len(wanted) > _WAITING:
            self._say(f"{self._file}: {len(wanted) - _WAITING} outcomes of predictions that the log does not have are forgotten: more than {_WAITING} wait.")
            wanted = dict(list(wanted.items())[-_WAITING:])
        return replace(state, offset=begin + len(whole), waiting=wanted), wanted

    def _digest(self, uri: str) -> str | None:
        return parse_reference(self._source.bound(uri), allow_local=True).digest

    def _found(self, predictions: list[str]) -> dict[str, Decided]:
        found: dict[str, Decided] = {}
        for begin in range(0, len(predictions), _ASKED):
            found |= self._decisions(predictions[begin : begin + _ASKED])
        return found

    def _size(self) -> int:
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0


def _bounded(state: _State) -> _State:
    """Without the earliest of more than is remembered; what they kept from counting twice, a later `since` does."""
    if len(state.known) <= _KNOWN:
        return state
    rising = sorted(state.known.items(), key=lambda one: datetime.fromisoformat(one[1]))
    since = datetime.fromisoformat(rising[-_KNOWN - 1][1]) + timedelta(microseconds=1)
    later = max(since, datetime.fromisoformat(state.since))
    return replace(state, since=later.isoformat(), known=dict(rising[-_KNOWN:]))


def of_log(log: Path) -> Decisions:
    """Decisions of the prediction log in `log`; none while there is no log."""

    def decisions(predictions: Sequence[str]) -> dict[str, Decided]:
        from presage.prediction_log import ask

        if not (log / "decisions").is_dir():
            return {}
        try:
            found = ask("query", log=log, sql=_DECIDED.format("', '".join(predictions)), most=len(predictions))
        except PresageError as error:
            raise StateError(f"{log}: what was decided cannot be read ({error.message}). It is asked again.") from None
        return {name: Decided(release, tier != "none", datetime.fromisoformat(at)) for name, release, tier, at in found["rows"]}

    return decisions


def _with(counts: Counts, decided: int, wrong: int) -> Counts:
    return replace(counts, decided=counts.decided + decided, wrong=counts.wrong + wrong)


def outcome_line(prediction_id: str, *, incident: bool) -> str:
    """One line of the file."""
    return json.dumps({"prediction_id": prediction_id, "incident": incident}) + "\n"
