"""(a) The risk of a server rises before the incident that it is heading for, and the answer says why."""

import re
import time
from datetime import UTC, datetime, timedelta

from demo.narration import Narrator
from demo.stage import Stage
from presage.errors import PresageError
from presage.local.logs import log_path
from presage.predictions import Prediction, predict

_COMING = re.compile(r"(?P<server>[a-z]+-\d+) heads for a memory leak that hurts at (?P<hour>\d\d):(?P<minute>\d\d)")
_ALARMS = ("watch", "act", "page")
_EVERY = 1.0


def show(stage: Stage, tell: Narrator) -> str:
    """The server that it happened to."""
    tell.begin("a", "The risk rises before the incident", "The simulated fleet has an incident planned. The model does not know; it sees the server's telemetry only.")
    server, hurts = _planned(stage)
    tell.say(f"injected: {server} leaks memory; it hurts at {hurts:%H:%M} of the fleet's time ({stage.scale.speed:g} times real time)")
    seen: list[Prediction] = []
    alarm: Prediction | None = None
    while alarm is None and (not seen or _of(seen[-1]) < hurts):
        try:
            one = predict([server], state=stage.state)[0]
        except PresageError:  # its first features are on their way
            one = None
        if one is not None and one.time is not None and (not seen or one.time > _of(seen[-1])):
            seen.append(one)
            tell.chapter.series.append((f"{one.time:%H:%M}", one.risk, one.tier))
            tell.say(f"{one.time:%H:%M}  risk {one.risk:6.1%}  {one.tier:<5}  {'█' * round(40 * one.risk)}")
            alarm = one if one.tier in _ALARMS[1:] else None
        if not seen and datetime.now(UTC) > hurts:
            break
        time.sleep(_EVERY)
    first, last = seen[0], seen[-1]
    early = hurts - _of(last)
    tell.claim(
        f"{server} was called before its incident: {last.risk:.0%}, tier {last.tier}, {early.total_seconds() / 60:.0f} minutes ahead",
        alarm is not None and early > timedelta(0) and last.risk > first.risk,
        [f"risk {first.risk:.1%} at {_of(first):%H:%M}, {last.risk:.1%} at {_of(last):%H:%M}; interval {last.interval[0]:.1%} to {last.interval[1]:.1%}"],
    )
    tell.claim(
        "The answer says what weighed most",
        bool(last.reasons),
        [f"{one.feature} = {'not seen' if one.value is None else f'{one.value:.3g}'}  ({one.contribution:+.2f})" for one in last.reasons],
    )
    tell.figure("ahead of the incident", f"{early.total_seconds() / 60:.0f} min")
    return server


def _of(one: Prediction) -> datetime:
    assert one.time is not None
    return one.time


def _planned(stage: Stage) -> tuple[str, datetime]:
    """(server, when it hurts), as the fleet's own log has it."""
    found = _COMING.search(log_path(stage.state, "telemetry").read_text(errors="replace"))
    assert found is not None, "the simulated fleet names its first incident"
    now = datetime.now(UTC)
    at = now.replace(hour=int(found["hour"]), minute=int(found["minute"]), second=0, microsecond=0)
    return found["server"], at if at > now - timedelta(hours=12) else at + timedelta(days=1)


