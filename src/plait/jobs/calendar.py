"""When schedules are due: cron expressions and intervals, time zones, and what becomes of times that were missed. Pure.

Clocks that are put forward or back, by whatever, whenever:

- Where neither minutes nor hours begin with `*` (`30 2 * * *`, `0 9,17 * * MON-FRI`), a time comes the first moment at
  which the zone's clocks show it or a later one. So one that is left out comes once, right after what is left out
  (several left out at once are one); one that is shown twice comes the first time only. A date that does not exist at
  all in a zone (Apia went from 29 to 31 December 2011) has no times. So a daily job comes once for each local day.
- Where minutes or hours begin with `*` (`*/5 * * * *`, `0 */6 * * *`), each moment counts at which the clocks show a
  time that fits: `*/5` goes on every five minutes of real time through all changes, `0 * * * *` comes in both of two
  equal hours, and what clocks never show does not come.

Debian's cron does the same with changes of less than three hours; it makes up for nothing where they are greater.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from plait.errors import MissingExtra, OptionError, nearest

__all__ = ["MISSED", "MOST", "Calendar", "Cron", "Every", "calendar_of", "due"]

#: What `missed=` may be.
MISSED = ("latest", "all", "none")
#: Times that are made up for at once, at most: a month of every minute would be 43,200.
MOST = 1000
#: Seconds after which a time counts as missed, where that is not made up for.
LATE = 60.0
_WANTS = 'it takes a cron expression of five fields, like "*/5 * * * *" or "0 9 * * MON-FRI", seconds, or a timedelta'
#: What other crons have names for.
_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DAY = 86_400
#: Seconds in which an expression has to name a time.
_HORIZON = 51 * 366 * _DAY
_START = datetime(1970, 1, 1, tzinfo=UTC)


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
        count = math.floor(moment / self.seconds)  # may be one too many: the quotient is rounded
        while count * self.seconds <= moment:
            count += 1
        return count * self.seconds


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone.

    cronsim says which times of a clock that nobody touches fit the expression. Which moments those are is found here:
    its own way through changes of an hour is the same, but it leaves times out around those of half an hour, and comes
    to no end around some at midnight.
    """

    expression: str
    zone: str = "UTC"

    def after(self, moment: float) -> float:
        """The first time after `moment` that the expression names.

        Raises:
            OptionError: it names none within fifty years.
        """
        begin = math.floor(moment)
        if self.zone == "UTC":
            found = next(self._shown(begin), None)
        elif any(field.startswith("*") for field in self.expression.split()[:2]):
            found = self._next_moment(ZoneInfo(self.zone), begin)
        else:
            zone = ZoneInfo(self.zone)
            moments = (_first_moment(zone, time) for time in self._shown(begin + _offset(zone, begin)))
            found = next((time for time in moments if time is not None and time > moment), None)
        if found is None:
            raise OptionError("schedule", self.expression, "it names no time in the next fifty years")
        return float(found)

    def _shown(self, after: int) -> Iterator[int]:
        """What a clock shows at times that fit, as seconds since it showed the epoch."""
        from cronsim import CronSim

        for time in CronSim(self.expression, _START + timedelta(seconds=after)):
            yield (time - _START) // timedelta(seconds=1)

    def _next_moment(self, zone: ZoneInfo, moment: int) -> int | None:
        """The first moment after another at which the zone's clocks show a time that fits."""
        offset = _offset(zone, moment)
        begin, shown = moment, moment + offset
        while True:
            time = next(self._shown(shown), None)
            if time is None or time - offset - moment > _HORIZON:
                return None
            change = _change(zone, begin, time - offset)
            if change is None:
                return time - offset
            begin, offset = change, _offset(zone, change)
            shown = change + offset - 1


def _offset(zone: ZoneInfo, moment: int) -> int:
    """How many seconds the zone's clocks are ahead of UTC."""
    offset = datetime.fromtimestamp(moment, zone).utcoffset()
    return offset // timedelta(seconds=1) if offset is not None else 0


def _change(zone: ZoneInfo, begin: int, end: int) -> int | None:
    """The first moment after `begin`, up to `end`, from which on clocks are put forward or back.

    Days are compared: no zone changes its clocks and takes that back within one (in the years since 1990, those that
    are nearest to each other lie a week apart).
    """
    was = _offset(zone, begin)
    while begin < end:
        upto = min(begin + _DAY, end)
        if _offset(zone, upto) != was:
            while upto - begin > 1:
                middle = (begin + upto) // 2
                begin, upto = (middle, upto) if _offset(zone, middle) == was else (begin, middle)
            return upto
        begin = upto
    return None


def _first_moment(zone: ZoneInfo, shown: int) -> int | None:
    """The first moment at which the zone's clocks show a time or a later one; `None`: its date is left out."""
    time = (_START + timedelta(seconds=shown)).replace(tzinfo=zone)
    found = int(time.timestamp())
    if found + _offset(zone, found) == shown:
        return found
    before = int(time.replace(fold=1).timestamp())  # taken for a time after the change, it is one before it
    change = _change(zone, before, found)
    if change is None:
        return found
    date = shown - shown % _DAY
    left, entered = change + _offset(zone, before), change + _offset(zone, change)
    return None if left <= date and date + _DAY <= entered else change


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
    expression = _expression(seconds)
    zone = "UTC" if tz is None else tz
    try:
        ZoneInfo(zone)
    except (LookupError, OSError, TypeError, ValueError, AttributeError) as error:
        close = nearest(zone, available_timezones()) if isinstance(zone, str) else ""
        wants = f'it takes the name of a time zone that is known here, like "Europe/Paris".{close}'
        raise OptionError("tz", tz, wants.rstrip(".")) from error
    calendar = Cron(expression, zone)
    calendar.after(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    return calendar


def _expression(said: str) -> str:
    """A cron expression as it was written, looked at."""
    try:
        from cronsim import CronSim, CronSimError
    except ImportError as error:
        raise MissingExtra("A schedule by cron expression", "cronsim", "jobs") from error
    fields = said.split()
    if said.strip().lower() in _NAMES:
        name = said.strip().lower()
        raise OptionError("schedule", said, f'names are not known here: {name} is written "{_NAMES[name]}"')
    if len(fields) == 6:
        raise OptionError("schedule", said, f"seconds and years have no field: {_WANTS}")
    if len(fields) != 5:
        raise OptionError("schedule", said, _WANTS)
    try:
        CronSim(" ".join(fields), _START)
    except (CronSimError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise OptionError("schedule", said, f"{_WANTS} ({error})") from None
    return " ".join(fields)


def due(calendar: Calendar, next_fire: float, now: float, missed: str) -> tuple[list[float], float]:
    """The times to submit now, oldest first, and the next one after those.

    Parameters:
        next_fire: the first time that was not submitted yet. If that is to come, there is nothing to do, however early
            it is: clocks that were put back make no time come again.
        missed: of times that have passed, `"latest"` makes up for the last one; `"all"` for each, a thousand at once
            (the next one then lies in the past, too); `"none"` for none: only the last one counts, and only if it is
            less than a minute late.
    """
    if next_fire > now:
        return [], next_fire
    if missed == "all":
        times = [next_fire]
        while (time := calendar.after(times[-1])) <= now and len(times) < MOST:
            times.append(time)
        return times, time
    last = _last(calendar, next_fire, now)
    return ([] if missed == "none" and now - last > LATE else [last]), calendar.after(now)


def _last(calendar: Calendar, first: float, now: float) -> float:
    """The last time up to `now`, from `first`, which is one: looked for in ever longer spans before now."""
    last, span = first, 60.0
    while now - span > first:
        if (time := calendar.after(now - span)) <= now:
            last = time
            break
        span *= 2
    while (time := calendar.after(last)) <= now:
        last = time
    return last
