"""Cron schedules as Kubernetes reads them: five fields, names of months and days, `@hourly` and the like; times in UTC.

    Schedule.parse("*/15 2-4 * * mon").after(datetime(…, tzinfo=UTC))      the next time it is due, never `now` itself
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from presage.errors import InputError

_SHORT = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *",
          "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_HORIZON = timedelta(days=366 * 8 + 1)  # a 29 February may be eight years away


@dataclass(frozen=True)
class Schedule:
    """The values of each field; days of week with Sunday as 0. any_day: both day fields must fit, because one of them says `*`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both_days: bool

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Raises InputError naming the field and its value."""
        words = _SHORT.get(text.strip().lower(), text).split()
        if len(words) != len(_FIELDS):
            raise InputError(f"the schedule {text!r} has {len(words)} fields. Write five: minute, hour, day of month, month, day of week.")
        read = [_read(text, word, *field) for word, field in zip(words, _FIELDS, strict=True)]
        weekdays = frozenset(day % 7 for day in read[4])
        return cls(read[0], read[1], read[2], read[3], weekdays, words[2][0] in "*?" or words[4][0] in "*?")

    def after(self, moment: datetime) -> datetime | None:
        """The first minute after `moment` that fits; None where no day ever does (31 February)."""
        now = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        last = now + _HORIZON
        while now < last:
            if now.month not in self.months or not self._day(now):
                now = now.replace(hour=0, minute=0) + timedelta(days=1)
            elif now.hour not in self.hours:
                now = now.replace(minute=0) + timedelta(hours=1)
            elif now.minute not in self.minutes:
                now += timedelta(minutes=1)
            else:
                return now
        return None

    def _day(self, moment: datetime) -> bool:
        of_month, of_week = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return (of_month and of_week) if self.both_days else (of_month or of_week)


def _read(text: str, word: str, name: str, low: int, high: int) -> frozenset[int]:
    values: set[int] = set()
    for part in word.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if first in ("*", "?") else _number(text, first, name, low, high)
        end = _number(text, last, name, low, high) if last else high if first in ("*", "?") or step else start
        if (step and not step.isdigit()) or step == "0" or end < start:
            raise InputError(f"the schedule {text!r}: {part!r} is no {name}. Write a number, a-b, * or */n, from {low} to {high}.")
        values.update(range(start, end + 1, int(step or 1)))
    return frozenset(values)


def _number(text: str, word: str, name: str, low: int, high: int) -> int:
    names = _MONTHS if name == "month" else _DAYS if name == "day of week" else ()
    if word in names:
        return names.index(word) + (1 if name == "month" else 0)
    if not word.isdigit() or not low <= int(word) <= high:
        raise InputError(f"the schedule {text!r}: {word!r} is no {name}. Write a number from {low} to {high}.")
    return int(word)
