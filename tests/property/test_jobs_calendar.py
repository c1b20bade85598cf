"""Schedules in all time zones, through all their clock changes, against a walk through every real minute."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plait.jobs.calendar import MISSED, MOST, Calendar, Cron, Every, due

MINUTE, HOUR, DAY = 60, 3600, 86_400
FROM, TO = datetime(1990, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
ZONES = sorted(available_timezones())
#: Half an hour; a day left out (twice); Ramadan; winter as the odd time; two hours; 5:45; changes on short notice;
#: three hours; changes at midnight, across it, a minute after it; seven hours and back.
_ODD = """
Australia/Lord_Howe Pacific/Apia Pacific/Kiritimati Africa/Casablanca Europe/Dublin Antarctica/Troll
Asia/Kathmandu Asia/Gaza Antarctica/Casey America/Havana America/Scoresbysund America/St_Johns Asia/Beirut
America/Sao_Paulo Antarctica/Vostok Asia/Pyongyang America/Caracas Europe/Paris America/New_York Asia/Tehran
"""
ODD = _ODD.split()


@cache
def changes(name: str) -> list[int]:
    """When the clocks of a zone change between 1990 and 2037."""
    zone, found = ZoneInfo(name), []
    moment, end = int(FROM.timestamp()), int(TO.timestamp())
    while moment < end:
        upto = moment + 5 * DAY
        if offset(zone, upto) != offset(zone, moment):
            lower, upper = moment, upto
            while upper - lower > 1:
                middle = (lower + upper) // 2
                lower, upper = (middle, upper) if offset(zone, middle) == offset(zone, moment) else (lower, middle)
            found.append(upper)
        moment = upto
    return found


def offset(zone: ZoneInfo, moment: int) -> timedelta:
    return datetime.fromtimestamp(moment, zone).utcoffset()


# --- the oracle -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """A field of an expression: as it is written, and what fits."""

    text: str
    values: frozenset[int]


def numbers(lowest: int, highest: int) -> st.SearchStrategy[Field]:
    """Fields of numbers, written in all their ways."""
    every = range(lowest, highest + 1)
    one = st.integers(lowest, highest)
    lists = st.lists(one, min_size=1, max_size=4).map(lambda some: Field(",".join(map(str, some)), frozenset(some)))
    ranges = st.tuples(one, one).map(sorted).map(lambda r: Field(f"{r[0]}-{r[1]}", frozenset(range(r[0], r[1] + 1))))
    steps = st.integers(1, 30).map(lambda step: Field(f"*/{step}", frozenset(every[::step])))
    return st.one_of(st.just(Field("*", frozenset(every))), lists, ranges, steps)


ANY_DATE = (Field("*", frozenset(range(1, 32))), Field("*", frozenset(range(1, 13))), Field("*", frozenset(range(7))))
times = st.tuples(numbers(0, 59), numbers(0, 23))
dates = st.one_of(st.just(ANY_DATE), st.tuples(numbers(1, 31), numbers(1, 12), numbers(0, 6)))


@dataclass(frozen=True)
class Expression:
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    def __str__(self) -> str:
        fields = self.minute, self.hour, self.day, self.month, self.weekday
        return " ".join(field.text for field in fields)

    @property
    def goes_on(self) -> bool:
        """Whether it goes on with the clock whatever that shows."""
        return self.minute.text.startswith("*") or self.hour.text.startswith("*")

    def fits(self, shown: datetime) -> bool:
        """Whether it names what a clock shows."""
        if shown.minute not in self.minute.values or shown.hour not in self.hour.values:
            return False
        day, weekday = shown.day in self.day.values, shown.isoweekday() % 7 in self.weekday.values
        either = not self.day.text.startswith("*") and not self.weekday.text.startswith("*")
        return shown.month in self.month.values and (day or weekday if either else day and weekday)


def walked(said: Expression, zone: ZoneInfo, begin: int, end: int) -> Iterator[int]:
    """Its times, after `begin` up to `end`: the policy, applied to each minute of real time.

    The walk begins a day and a half earlier, to know what clocks have shown by then.
    """
    start = begin // MINUTE * MINUTE - 36 * HOUR
    clock = [datetime.fromtimestamp(moment, zone).replace(tzinfo=None, fold=0) for moment in range(start, end + 1, 60)]
    exist = {shown.date() for shown in clock}
    latest = clock[0]
    for at, shown in enumerate(clock):
        moment = start + at * MINUTE
        if said.goes_on:
            fires = said.fits(shown)
        else:
            fires = False
            while latest < shown:
                latest += timedelta(minutes=1)
                fires = fires or (latest.date() in exist and said.fits(latest))
        if fires and moment > begin:
            yield moment


def times_of(calendar: Calendar, begin: float, end: float) -> list[float]:
    found = []
    while (begin := calendar.after(begin)) <= end:
        found.append(begin)
    return found


# --- every zone, every change ---------------------------------------------------------------------------------------

moments = st.integers(int(FROM.timestamp()), int(TO.timestamp()))


@st.composite
def around_changes(draw: st.DrawFn) -> tuple[str, int]:
    """A zone, and a moment that is mostly near to one of its changes."""
    name = draw(st.sampled_from(ODD) | st.sampled_from(ZONES))
    if not changes(name):
        return name, draw(moments)
    return name, draw(st.sampled_from(changes(name))) - draw(st.integers(0, 30 * HOUR))


@settings(max_examples=150)
@given(around_changes(), times, dates)
def test_no_time_is_left_out_or_comes_twice(where: tuple[str, int], time: tuple[Field, ...], on: tuple[Field, ...]):
    (name, begin), said = where, Expression(*time, *on)
    end = begin + 40 * HOUR
    try:
        found = times_of(Cron(str(said), name), begin, end)
    except ValueError:  # the 31st of February
        found = []
    assert found == list(walked(said, ZoneInfo(name), begin, end))


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize(
    "fields", [("30", "2"), ("15,45", "*"), ("*/5", "*"), ("0", "0-23"), ("0", "*/6"), ("*", "1,2"), ("0,30", "23,0")]
)
def test_the_odd_zones(name: str, fields: tuple[str, str]):
    ways = {"*": range(60), "*/5": range(0, 60, 5), "15,45": (15, 45), "0,30": (0, 30)}
    hours = {"*": range(24), "0-23": range(24), "*/6": range(0, 24, 6), "1,2": (1, 2), "23,0": (23, 0)}
    minute = Field(fields[0], frozenset(ways.get(fields[0]) or {int(fields[0])}))
    hour = Field(fields[1], frozenset(hours.get(fields[1]) or {int(fields[1])}))
    said = Expression(minute, hour, *ANY_DATE)
    seen: set[tuple[timedelta, timedelta, datetime]] = set()
    zone = ZoneInfo(name)
    for change in changes(name):
        kind = offset(zone, change - 1), offset(zone, change), datetime.fromtimestamp(change, zone).time()
        if kind in seen:  # another year like the last one
            continue
        seen.add(kind)
        begin, end = change - 5 * HOUR, change + 25 * HOUR
        found = times_of(Cron(str(said), name), begin, end)
        assert found == list(walked(said, zone, begin, end)), datetime.fromtimestamp(change, UTC)


@settings(max_examples=300)
@given(around_changes(), times, st.integers(1, 10**6))
@example(("Australia/Lord_Howe", 1_617_458_400), (Field("45", frozenset({45})), Field("*", frozenset())), 1)
def test_times_ascend_and_asking_again_says_the_same(where: tuple[str, int], time: tuple[Field, ...], part: int):
    (name, begin), calendar = where, Cron(f"{time[0].text} {time[1].text} * * *", where[0])
    first = calendar.after(begin)
    second = calendar.after(first)
    assert begin < first < second
    assert calendar.after(first - 1e-3) == first, "just before it"
    between = begin + (first - begin) * (part / 10**6)
    assert calendar.after(between) == (first if between < first else second)
    assert calendar.after(begin + 0.25) == first, "times are whole minutes, changes whole seconds"
    assert datetime.fromtimestamp(first, ZoneInfo(name)).second == 0


@settings(max_examples=60)
@given(st.sampled_from(ODD) | st.sampled_from(ZONES), moments, st.integers(0, 59), st.integers(0, 23))
@example("Pacific/Apia", int(datetime(2011, 12, 1, tzinfo=UTC).timestamp()), 30, 9)
@example("America/Scoresbysund", int(datetime(2025, 3, 1, tzinfo=UTC).timestamp()), 30, 23)
@example("America/Havana", int(datetime(2024, 3, 1, tzinfo=UTC).timestamp()), 30, 0)
def test_a_daily_job_comes_once_for_each_day_that_there_is(name: str, begin: int, minute: int, hour: int):
    zone, end = ZoneInfo(name), begin + 400 * DAY
    found = times_of(Cron(f"{minute} {hour} * * *", name), begin, end)
    days = sorted({datetime.fromtimestamp(moment, zone).date() for moment in range(begin, end + 1, 15 * MINUTE)})
    came = [day_of(zone, moment, minute, hour) for moment in found]
    assert came == sorted(set(came)), "twice"
    assert came == [day for day in days if came[0] <= day <= came[-1]], "left out"
    assert days.index(came[0]) <= 1
    assert days.index(came[-1]) >= len(days) - 2


def day_of(zone: ZoneInfo, moment: float, minute: int, hour: int) -> date:
    """For which day a daily job came. One that was left out at the end of a day comes at the first moment after."""
    shown = datetime.fromtimestamp(moment, zone)
    late = (shown.hour, shown.minute) < (hour, minute)
    return datetime.fromtimestamp(moment - 1, zone).date() if late else shown.date()


@settings(max_examples=60)
@given(moments, times, dates)
def test_utc_is_the_expression_itself(begin: int, time: tuple[Field, ...], on: tuple[Field, ...]):
    said, end = Expression(*time, *on), begin + 4 * DAY
    plain = [m for m in range(begin // 60 * 60, end + 1, 60) if said.fits(datetime.fromtimestamp(m, UTC)) and m > begin]
    for zone in "UTC", "Etc/GMT":
        try:
            assert times_of(Cron(str(said), zone), begin, end) == plain
        except ValueError:  # the 31st of February
            assert plain == []


# --- intervals ------------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(st.floats(1.0, 1e8), st.floats(0.0, 4e9))
@example(1.1, 3.3000000000000003)
@example(49.0, 49.0 * 7 - 1e-12)
def test_intervals_are_multiples_and_none_is_left_out(seconds: float, moment: float):
    found = Every(seconds).after(moment)
    count = round(found / seconds)
    assert found == count * seconds > moment
    assert (count - 1) * seconds <= moment


# --- what was missed ------------------------------------------------------------------------------------------------

ZONED = st.sampled_from(["UTC", *ODD])
#: A calendar, and more seconds than lie between two of its times.
calendars = st.one_of(
    st.floats(1.0, 1e5).map(lambda seconds: (Every(seconds), 3.0 * seconds)),
    ZONED.map(lambda zone: (Cron("* * * * *", zone), 200.0)),
    ZONED.map(lambda zone: (Cron("*/5 * * * *", zone), 700.0)),
    ZONED.map(lambda zone: (Cron("30 2 * * *", zone), 4.0 * DAY)),
    ZONED.map(lambda zone: (Cron("0 9,17 * * MON-FRI", zone), 7.0 * DAY)),
    ZONED.map(lambda zone: (Cron("0 0 1 * *", zone), 40.0 * DAY)),
    ZONED.map(lambda zone: (Cron("*/10 3 1,2 * *", zone), 70.0 * DAY)),
)


@settings(max_examples=200)
@given(calendars, moments, st.floats(0.0, 1.0), st.sampled_from([10.0, 1e3, 1e5, 5e6]), st.sampled_from(MISSED))
def test_due_is_what_every_single_time_says(
    which: tuple[Calendar, float], begin: int, part: float, span: float, missed: str
):
    calendar, longest = which
    first = calendar.after(begin)
    now = first + part * (min(span, 600.0 * longest) if missed == "all" else span)
    times, following = due(calendar, first, now, missed)
    if missed == "all":
        passed = [first, *times_of(calendar, first, now)]
        assert times == passed[:MOST]
        assert following == calendar.after(times[-1])
        return
    last = max([first, *times_of(calendar, max(first, now - longest), now)])
    assert following == calendar.after(now) > now
    assert times == ([last] if missed == "latest" or now - last <= 60.0 else [])


@settings(max_examples=50)
@given(calendars, moments, st.integers(1, 400 * DAY), st.sampled_from(MISSED))
def test_clocks_that_go_back_make_no_time_come_again(which: tuple[Calendar, float], now: int, back: int, missed: str):
    calendar, _ = which
    first = calendar.after(now)
    assert due(calendar, first, min(now, first - back), missed) == ([], first)


def test_all_of_a_long_time_comes_in_pieces():
    calendar, begin = Cron("* * * * *", "Europe/Paris"), FROM.timestamp()
    now, came, following, pieces = begin + 30 * DAY, [], begin, 0
    while following <= now:
        times, following = due(calendar, following, now, "all")
        came += times
        pieces += 1
        assert len(times) <= MOST
    assert came == [begin + MINUTE * at for at in range(30 * 24 * 60 + 1)]
    assert pieces == math.ceil(len(came) / MOST)


@pytest.mark.parametrize("missed", ["latest", "none"])
def test_years_of_minutes_are_not_gone_through(missed: str):
    class Counting:
        asked = 0

        def after(self, moment: float) -> float:
            self.asked += 1
            return Every(60.0).after(moment)

    calendar, now = Counting(), TO.timestamp() + 30.0
    assert due(calendar, 0.0, now, missed) == ([now - 30.0], now + 30.0)
    assert calendar.asked < 20
