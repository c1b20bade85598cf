"""When schedules are due: cron expressions and intervals, time zones, and what becomes of times that were missed. Pure.

Clocks that are put forward or back (as Debian's cron does it): a job of a fixed time that falls into the hour that is
left out runs once, right after it; one that falls into the hour that comes twice runs once, the first time. Where hours
or minutes are `*` or `*/n`, the job goes on with the clock that everybody sees: `*/5` comes every five minutes of real
time, through both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from plait.errors import MissingExtra, OptionError

__all__ = ["MISSED", "Calendar", "Cron", "Every", "calendar_of", "due"]

#: What `missed=` may be.
MISSED = ("latest", "all", "none")
#: Times that are made up for at once, at most: a month of every minute would be 43,200.
MOST = 1000
#: Seconds after which a time counts as missed, where that is not made up for.
LATE = 60.0
_WANTS = 'it takes a cron expression of five fields, like "*/5 * * * *" or "0 9 * * MON-FRI", seconds, or a timedelta'


class Calendar(Protocol):
    """Knows its times, in seconds since the epoch."""

    def after(self, moment: float) -> float:
        """The first of its times after `moment`."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many seconds, counted from the epoch, so that all who ask agree."""

    seconds: float

    def after(self, moment: float) -> float:
        """The first multiple of the interval after `moment`."""
        count = math.floor(moment / self.seconds) + 1
        time = count * self.seconds
        return time if time > moment else (count + 1) * self.seconds


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone."""

    expression: str
    zone: str = "UTC"

    def after(self, moment: float) -> float:
        """The first time after `moment` that the expression names."""
        from cronsim import CronSim

        zone = UTC if self.zone == "UTC" else ZoneInfo(self.zone)
        times = CronSim(self.expression, datetime.fromtimestamp(math.floor(moment), zone))
        for time in times:
            found = time.timestamp()
            if found > moment:
                return found
        raise OptionError("schedule", self.expression, "it names no time at all")


def calendar_of(spec: str | float | timedelta, tz: str | None) -> Calendar:
    """The calendar that a user means.

    Raises:
        OptionError: it cannot be understood, or its time zone is not known here. MissingExtra: cronsim is missing.
    """
    seconds = spec.total_seconds() if isinstance(spec, timedelta) else spec
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        if not 1.0 <= seconds < math.inf:
            raise OptionError("schedule", spec, "an interval is at least a second")
        if tz is not None:
            raise OptionError("tz", tz, "an interval has no time zone")
        return Every(float(seconds))
    if not isinstance(seconds, str):
        raise OptionError("schedule", spec, _WANTS)
    try:
        from cronsim import CronSim, CronSimError
    except ImportError as error:
        raise MissingExtra("A schedule by cron expression", "cronsim", "jobs") from error
    if len(seconds.split()) != 5:
        raise OptionError("schedule", spec, _WANTS)
    try:
        CronSim(seconds, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise OptionError("schedule", spec, f"{_WANTS} ({error})") from None
    zone = tz or "UTC"
    try:
        ZoneInfo(zone)
    except (OSError, ValueError) as error:
        raise OptionError(
            "tz", tz, 'it takes the name of a time zone that is known here, like "Europe/Paris"'
        ) from error
    return Cron(" ".join(seconds.split()), zone)


def due(calendar: Calendar, next_fire: float, now: float, missed: str) -> tuple[list[float], float]:
    """The times to submit now, oldest first, and the next one after that.

    Parameters:
        next_fire: the first time that was not submitted yet.
        missed: of times that have passed, `"latest"` makes up for the last one, `"all"` for each, `"none"` for none
            (one that is less than a minute late is not missed).
    """
    times: list[float] = []
    time = next_fire
    while time <= now:
        if missed == "all":
            times.append(time)
            if len(times) == MOST:
                return times, calendar.after(time)
        else:
            times = [time]
        following = calendar.after(time)
        if missed != "all" and following <= now - 7 * 86_400.0:  # no use in going through years of minutes
            following = calendar.after(now - 7 * 86_400.0)
        time = following
    if missed == "none" and times and now - times[-1] > LATE:
        times = []
    return times, time
