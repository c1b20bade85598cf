"""What a schedule may be written as, and the clock changes that everybody asks about."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plait import OptionError
from plait.jobs.calendar import Cron, Every, calendar_of, due


def shown(expression: str, tz: str, begin: str, count: int) -> list[str]:
    """Its first times from a day on, as the zone's clocks show them."""
    zone = ZoneInfo(tz)
    moment, found = datetime.fromisoformat(begin).replace(tzinfo=zone).timestamp() - 1, []
    for _ in range(count):
        moment = calendar_of(expression, tz).after(moment)
        found.append(f"{datetime.fromtimestamp(moment, zone):%d %H:%M %z}")
    return found


def test_a_time_that_is_left_out_comes_once_right_after():
    assert shown("30 2 * * *", "Europe/Paris", "2025-03-29", 3) == [
        "29 02:30 +0100",
        "30 03:00 +0200",
        "31 02:30 +0200",
    ]
    assert shown("0,30 2,3 * * *", "Europe/Paris", "2025-03-30", 3) == [
        "30 03:00 +0200",
        "30 03:30 +0200",
        "31 02:00 +0200",
    ], "several at once are one"


def test_a_time_that_comes_twice_counts_the_first_time():
    assert shown("30 2 * * *", "Europe/Paris", "2025-10-25", 3) == [
        "25 02:30 +0200",
        "26 02:30 +0200",
        "27 02:30 +0100",
    ]


def test_every_so_many_minutes_goes_on_with_real_time():
    assert shown("*/20 * * * *", "Europe/Paris", "2025-10-26T02:20", 6) == [
        "26 02:20 +0200",
        "26 02:40 +0200",
        "26 02:00 +0100",
        "26 02:20 +0100",
        "26 02:40 +0100",
        "26 03:00 +0100",
    ]
    assert shown("0 * * * *", "Europe/Paris", "2025-03-30T01:00", 2) == ["30 01:00 +0100", "30 03:00 +0200"]


def test_half_an_hour_forth_and_back():
    lord_howe = "Australia/Lord_Howe"
    assert shown("45 * * * *", lord_howe, "2025-04-06T01:00", 3) == [
        "06 01:45 +1100",
        "06 01:45 +1030",
        "06 02:45 +1030",
    ]
    assert shown("*/15 3 * * *", lord_howe, "2025-10-05T01:00", 2) == ["05 03:00 +1100", "05 03:15 +1100"]
    assert shown("10 2 * * *", lord_howe, "2025-10-05T01:00", 2) == ["05 02:30 +1100", "06 02:10 +1100"]


def test_a_day_that_is_left_out_has_no_times():
    assert shown("0 9 * * *", "Pacific/Apia", "2011-12-29", 2) == ["29 09:00 -1000", "31 09:00 +1400"]
    assert shown("0 */12 * * *", "Pacific/Apia", "2011-12-29T12:00", 2) == ["29 12:00 -1000", "31 00:00 +1400"]


def test_midnight_that_is_left_out():
    assert shown("0 0 * * *", "America/Havana", "2024-03-09", 3) == [
        "09 00:00 -0500",
        "10 01:00 -0400",
        "11 00:00 -0400",
    ]
    assert shown("*/30 0 10 3 *", "America/Havana", "2024-03-09", 1) == ["10 00:00 -0400"], "of the next year"


def test_an_hour_that_comes_twice_across_midnight():
    """A minute after midnight it was a minute after eleven again."""
    assert shown("*/30 0 * * *", "America/St_Johns", "2010-11-06T12:00", 4) == [
        "07 00:00 -0230",
        "07 00:00 -0330",
        "07 00:30 -0330",
        "08 00:00 -0330",
    ]
    assert shown("0 0 * * *", "America/St_Johns", "2010-11-06T12:00", 2) == ["07 00:00 -0230", "08 00:00 -0330"]


@pytest.mark.parametrize("tz", ["UTC", "Europe/Paris"])
@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("0 9 * * MON-FRI", "2025-06-02 09:00"),
        ("0 0 L * *", "2025-06-30 00:00"),
        ("0 0 LW * *", "2025-06-30 00:00"),
        ("0 0 * * MON#2", "2025-06-09 00:00"),
        ("0 0 * * 5L", "2025-06-27 00:00"),
        ("0 0 13 * FRI", "2025-06-06 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("  0   9 * jan,dec sun ", "2025-12-07 09:00"),
    ],
)
def test_what_expressions_mean(expression: str, first: str, tz: str):
    zone = ZoneInfo(tz)
    begin = datetime(2025, 6, 1, tzinfo=zone).timestamp()  # a Sunday
    assert f"{datetime.fromtimestamp(calendar_of(expression, tz).after(begin), zone):%Y-%m-%d %H:%M}" == first


def test_intervals():
    assert calendar_of(90, None) == calendar_of(timedelta(minutes=1.5), None) == Every(90.0)
    assert [Every(90.0).after(at) for at in (0, 89.5, 90, -1)] == [90, 90, 180, 0]


@pytest.mark.parametrize("expression", ["* 2 * 3 SUN#2", "* * */20 * 1L", "0 0 31 4,6 *"])
def test_what_never_comes_is_refused_when_it_is_declared(expression: str):
    with pytest.raises(OptionError):  # clocks in New York never show two o'clock on the second Sunday of March
        calendar_of(expression, "America/New_York")


@pytest.mark.parametrize(
    "tz", ["Mars/Base", "", "../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 999, 5, b"UTC", ZoneInfo("UTC")]
)
def test_zones_that_are_none(tz: object):
    with pytest.raises(OptionError, match="name of a time zone that is known here"):
        calendar_of("0 9 * * *", tz)


@pytest.mark.parametrize("spec", [0, 0.99, -5, float("nan"), float("inf"), True, None, b"* * * * *", timedelta(0), ()])
def test_what_is_no_schedule(spec: object):
    with pytest.raises(OptionError, match="schedule="):
        calendar_of(spec, None)


@given(st.text("0123456789*/-,#LWMONJAN @\u0663", max_size=20) | st.text(max_size=12))
@example("9" * 5000 + " * * * *")
@example("@reboot")
def test_any_text_is_a_schedule_or_an_option_error(text: str):
    try:
        calendar = calendar_of(text, None)
    except OptionError:
        return
    assert calendar.after(0.0) > 0.0


def test_a_time_that_is_to_come_is_waited_for():
    begin = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    for missed in "latest", "all", "none":
        assert due(Cron("* * * * *"), begin + 60, begin, missed) == ([], begin + 60)


def test_none_counts_what_is_less_than_a_minute_late():
    begin = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    daily = Cron("0 0 * * *")
    assert due(daily, begin, begin + 60.0, "none") == ([begin], begin + 86_400)
    assert due(daily, begin, begin + 60.5, "none") == ([], begin + 86_400)
    assert due(Every(10.0), begin, begin + 45.0, "none") == ([begin + 40.0], begin + 50.0), "only the last one"
