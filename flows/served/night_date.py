"""The date that names a night: the one that its schedule meant."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from prefect._vendor.croniter import croniter

_LONGEST_GAP = timedelta(hours=3)
_MINUTE = timedelta(minutes=1)


def night_date(planned: datetime, zone: ZoneInfo, crons: Iterable[str] = ()) -> date:
    """Return the date in `zone` of a run that was to start at `planned`, by schedules with these cron expressions.

    Where clocks go forward at midnight (Santiago, Cairo, Havana), the minutes after it do not exist once a year, and
    what is scheduled in them starts before them, on the day before: a night that was meant for the next date.
    """
    local = planned.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)
    expressions = list(crons)
    if not expressions or any(croniter.match(expression, local) for expression in expressions):
        return local.date()
    tomorrow = datetime.combine(local.date() + timedelta(days=1), datetime.min.time())
    missing = tomorrow
    while missing - tomorrow < _LONGEST_GAP and not _exists(missing, zone):
        if any(croniter.match(expression, missing) for expression in expressions):
            return tomorrow.date()
        missing += _MINUTE
    return local.date()


def _exists(time: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks of `zone` ever show this time."""
    return time.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == time
