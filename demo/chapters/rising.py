"""(a) The risk of a server rises before the incident that it is heading for, and the answer says why."""

import re
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from demo.narration import Narrator
from demo.stage import Stage
from presage.errors import PresageError
from presage.local.logs import log_path
from presage.predictions import Prediction, predict

_COMING = re.compile(r"(?P<server>[a-z]+-\d+) heads for a memory leak that hurts at (?P<hour>\d\d):(?P<minute>\d\d)")
_EVERY, _WITHIN = 0.5, 60.0


def show(stage: Stage, tell: Narrator) -> str:
    """The server that it happened to."""
    tell.begin(
        "a", "The risk rises before the incident", "The simulated fleet has an incident planned. The model does not know; it sees the server's telemetry only."
    )
    server, hour, minute = _planned(stage)
    seen = [_next(stage, server, None)]
    hurts = _after(_of(seen[0]), hour, minute)
    tell.say(f"injected: {server} leaks memory; it hurts at {hurts:%H:%M} of the fleet's time ({stage.scale.speed:g} times real time)")
    _say(tell, seen[0])
    while not _alarm(seen) and _of(seen[-1]) < hurts:
        seen.append(_next(stage, server, _of(seen[-1])))
        _say(tell, seen[-1])
    least, last = min(seen, key=lambda one: one.risk), seen[-1]
    early = (hurts - _of(last)).total_seconds() / 60
    tell.claim(
        f"{server} was called {early:.0f} minutes before its incident: risk {last.risk:.0%}, tier {last.tier}",
        _alarm(seen) and early > 0,
        [f"risk {least.risk:.1%} at {_of(least):%H:%M}, {last.risk:.1%} at {_of(last):%H:%M}; interval {last.interval[0]:.1%} to {last.interval[1]:.1%}"],
    )
    tell.claim(
        "The answer says what weighed most",
        bool(last.reasons),
        [f"{one.feature} = {'not seen' if one.value is None else f'{one.value:.3g}'}  ({one.contribution:+.2f})" for one in last.reasons],
    )
    tell.figure("ahead of the incident", f"{early:.0f} min")
    return server


def _alarm(seen: Sequence[Prediction]) -> bool:
    """Whether somebody is called: the last tier but one or the last, and twice the risk that there was."""
    return seen[-1].tier in ("act", "page") and seen[-1].risk >= 2 * min(one.risk for one in seen)


def _next(stage: Stage, server: str, after: datetime | None) -> Prediction:
    """The next prediction from newer features than those of `after`."""
    until = time.monotonic() + _WITHIN
    while True:
        try:
            one = predict([server], state=stage.state)[0]
        except PresageError:  # its first features are on their way
            if time.monotonic() > until:
                raise
        else:
            if one.time is not None and (after is None or one.time > after):
                return one
        if time.monotonic() > until:
            raise TimeoutError(f"{server}: no newer features within {_WITHIN:.0f} s. `presage logs telemetry` says why")
        time.sleep(_EVERY)


def _say(tell: Narrator, one: Prediction) -> None:
    tell.chapter.series.append((f"{_of(one):%H:%M}", one.risk, one.tier))
    tell.say(f"{_of(one):%H:%M}  risk {one.risk:6.1%}  {one.tier:<5}  {'█' * round(40 * one.risk)}")


def _of(one: Prediction) -> datetime:
    assert one.time is not None
    return one.time


def _planned(stage: Stage) -> tuple[str, int, int]:
    """(server, hour, minute), as the fleet's own log has it."""
    found = _COMING.search(log_path(stage.state, "telemetry").read_text(errors="replace"))
    assert found is not None, "the simulated fleet names its first incident"
    return found["server"], int(found["hour"]), int(found["minute"])


def _after(moment: datetime, hour: int, minute: int) -> datetime:
    """The next time that a clock shows so much; the fleet has one of its own."""
    at = moment.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return at if at >= moment else at + timedelta(days=1)
