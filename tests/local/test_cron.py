"""Schedules mean what Kubernetes' CronJobs mean by them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presage.errors import InputError
from presage.local.cron import Schedule

WEDNESDAY = datetime(2026, 11, 25, 10, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("* * * * *", "2026-11-25 10:08"), ("*/15 * * * *", "2026-11-25 10:15"), ("7 10 * * *", "2026-11-26 10:07"), ("@hourly", "2026-11-25 11:00"),
        ("0 3 * * mon", "2026-11-30 03:00"), ("0 3 * * 7", "2026-11-29 03:00"), ("0 0 1 jan *", "2027-01-01 00:00"), ("30 2-4/2 * * *", "2026-11-26 02:30"),
        ("0 0 29 2 *", "2028-02-29 00:00"), ("5,35 10 * * *", "2026-11-25 10:35"), ("0 0 13 * fri", "2026-11-27 00:00"), ("10/20 * * * *", "2026-11-25 10:10"),
    ],
)  # fmt: skip
def test_when_it_is_due_next(schedule, due):
    assert f"{Schedule.parse(schedule).after(WEDNESDAY):%Y-%m-%d %H:%M}" == due


def test_a_day_that_never_comes_is_never_due():
    assert Schedule.parse("0 0 31 2 *").after(WEDNESDAY) is None


@given(st.integers(0, 59), st.integers(0, 23), st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_a_daily_time_is_due_within_a_day_and_always_later(minute, hour, moment):
    now = moment.replace(tzinfo=UTC)
    due = Schedule.parse(f"{minute} {hour} * * *").after(now)
    assert now < due <= now + timedelta(days=1, minutes=1)
    assert (due.minute, due.hour) == (minute, hour)


WRONG = ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * fun", "*/0 * * * *", "5-1 * * * *", "a * * * *"]


@pytest.mark.parametrize("schedule", WRONG)
def test_what_is_no_schedule_is_said(schedule):
    with pytest.raises(InputError, match="the schedule"):
        Schedule.parse(schedule)
