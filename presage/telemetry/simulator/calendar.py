"""The simulated fleet's time: whole minutes since a fixed Monday."""

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday in the past of any clock that is right: minute 0
PERIOD = timedelta(minutes=1)
DAY = 1440
WEEK = 7 * DAY
HALF_DAY = DAY // 2

Minutes = npt.NDArray[np.int64]


def minutes_of_day(day: int) -> Minutes:
    """i64[1440]: the minutes of day `day` (day 0 begins at EPOCH)."""
    return np.arange(day * DAY, (day + 1) * DAY, dtype=np.int64)


def moment(minute: int) -> datetime:
    """The instant of a minute."""
    return EPOCH + timedelta(minutes=int(minute))


def minute_of(time: datetime) -> int:
    """The first whole minute at or after `time`."""
    return -((EPOCH - time) // PERIOD)
