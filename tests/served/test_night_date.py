"""A night bears its schedule's own date, also where midnight is skipped."""

import asyncio
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from prefect.server.schemas.schedules import CronSchedule

from flows.served.night_date import night_date

# Zone, and a date whose midnight does not exist there.
SKIPPED = [
    ("America/Santiago", date(2026, 9, 6)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("America/Havana", date(2026, 3, 8)),
]
DAYS = 9


@pytest.mark.parametrize(("name", "skipped"), SKIPPED)
@pytest.mark.parametrize("cron", ["0 0 * * *", "30 0 * * *", "30 23 * * *", "0 2 * * *", "59 0 * * *"])
def test_no_night_is_lost_or_doubled(name: str, skipped: date, cron: str) -> None:
    zone = ZoneInfo(name)
    noon = datetime.combine(skipped - timedelta(days=4), datetime.min.time(), zone).replace(hour=12)
    starts = asyncio.run(CronSchedule(cron=cron, timezone=name).get_dates(n=DAYS, start=noon))
    nights = [night_date(start, zone, [cron]) for start in starts]
    assert nights == [nights[0] + timedelta(days=number) for number in range(DAYS)]
    assert skipped in nights


def test_prefect_starts_such_a_night_on_the_day_before_which_is_why_its_date_is_not_asked() -> None:
    zone = ZoneInfo("America/Santiago")
    noon = datetime(2026, 9, 4, 12, tzinfo=zone)
    starts = asyncio.run(CronSchedule(cron="30 0 * * *", timezone=zone.key).get_dates(n=2, start=noon))
    assert [start.astimezone(zone).date().day for start in starts] == [5, 5]


def test_a_run_by_hand_has_the_day_on_which_it_starts() -> None:
    zone = ZoneInfo("America/Santiago")
    assert night_date(datetime(2026, 9, 5, 23, 30, tzinfo=zone), zone) == date(2026, 9, 5)
    assert night_date(datetime(2026, 9, 6, 3, 30, tzinfo=ZoneInfo("UTC")), zone) == date(2026, 9, 5)


def test_of_two_schedules_the_one_that_means_this_very_minute_counts() -> None:
    zone = ZoneInfo("America/Santiago")
    late = datetime(2026, 9, 5, 23, 30, tzinfo=zone)
    assert night_date(late, zone, ["30 0 * * *"]) == date(2026, 9, 6)
    assert night_date(late, zone, ["30 0 * * *", "30 23 * * *"]) == date(2026, 9, 5)
