"""Alarms from scores, and what they are worth to somebody on call.

An alarm fires when the score rises to the threshold and again every hour while it stays there; so an alarm that is always
on is counted every hour. It is false outside [start − H, end + 30 min] of every incident of its server. An incident is
detected by an alarm in [start − H, end], early by one in [start − H, start); the lead is start − first such alarm, negative
for a delay. Rates are per server-day: 24 h of scored time of one server.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluate.timeline import Timeline

REFIRE = 3600.0
"""Seconds between alarms while the score stays at or above the threshold."""
RATES = {"1": 1.0, "0.2": 0.2}
"""False alarms per server-day at which events are counted."""
TRIED = 400  # thresholds
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Detection:
    """Of the events of a timeline, at one threshold. detected, early bool[events]; lead f64[events], minutes, NaN where not
    detected; false_alarms a server-day."""

    detected: Mask
    early: Mask
    lead: F64
    false_alarms: float

    @property
    def median_lead(self) -> float | None:
        return float(np.median(self.lead[self.detected])) if self.detected.any() else None


def fire(timeline: Timeline, scores: F64, threshold: float) -> Mask:
    """Which rows carry an alarm, bool[n]. A score that is NaN is below every threshold."""
    on = scores >= threshold
    before = np.concatenate([[False], on[:-1]])
    rises = on & (~before | timeline.begins)
    place = np.maximum.accumulate(np.where(rises, np.arange(len(on)), 0))
    since = timeline.time - timeline.time[place] if len(on) else np.empty(0)
    steps = np.round(since / timeline.tick)
    every = max(1.0, np.round(REFIRE / timeline.tick))
    return np.asarray(on & (steps % every == 0))


def false_alarms(timeline: Timeline, scores: F64, threshold: float) -> float:
    """False alarms a server-day."""
    return float((fire(timeline, scores, threshold) & ~timeline.excused).sum() / timeline.server_days) if timeline.server_days else 0.0


def carried_threshold(timeline: Timeline, scores: F64, rate: float) -> float:
    """The lowest threshold at which, and above which, these rows give at most `rate` false alarms a server-day; above every
    score where even the highest gives more."""
    known = np.unique(scores[np.isfinite(scores)])[::-1]
    if not len(known):
        return float("inf")
    places = np.unique(np.geomspace(1, len(known), min(TRIED, len(known))).round().astype(int)) - 1
    lowest = float(np.nextafter(known[0], np.inf))
    for threshold in known[places]:
        if false_alarms(timeline, scores, float(threshold)) > rate:
            break
        lowest = float(threshold)
    return lowest


def detect_events(timeline: Timeline, scores: F64, threshold: float) -> Detection:
    """What the alarms at `threshold` find of `timeline.events()`."""
    alarms = fire(timeline, scores, threshold)
    events = timeline.events()
    lead = np.full(len(events), np.nan)
    for place, event in enumerate(events):
        times = timeline.time[alarms & timeline.rows_of(int(event))]
        if len(times):
            lead[place] = (timeline.incidents.start[event] - times[0]) / 60.0
    count = float((alarms & ~timeline.excused).sum())
    with np.errstate(invalid="ignore"):
        return Detection(np.isfinite(lead), lead > 0, lead, count / timeline.server_days if timeline.server_days else 0.0)
