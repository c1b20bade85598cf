"""The arithmetic of measuring, on figures that were met on a busy machine."""

import pytest

from plait.fit.evidence import (
    TICK,
    Sample,
    Tick,
    cpu_share,
    gil_held,
    handing_over,
    item_seconds,
    served,
    since,
    typical_seconds,
)


def ticks(*late: float, inside: float = 1.0) -> list[Tick]:
    return [Tick(one, inside) for one in late]


# ------------------------------------------------------------------------------------------------------------- share


def test_time_without_a_cpu_is_not_waiting():
    """Pure Python on a busy machine: raw CPU over wall says 0.2."""
    assert cpu_share([Sample((0.010,), (0.002,), queued=0.008)]) == pytest.approx(1.0)


def test_sleeping_is_waiting():
    assert cpu_share([Sample((0.010,), (0.0001,), queued=0.0)]) == pytest.approx(0.01)


def test_half_and_half_on_a_busy_machine():
    assert cpu_share([Sample((0.012,), (0.004,), queued=0.004)]) == pytest.approx(0.5)


def test_a_queue_longer_than_the_idle_time_is_cut():
    sample = Sample((0.010,), (0.009,), queued=0.005)
    assert served(sample) == pytest.approx(0.009)
    assert cpu_share([sample]) == 1.0


def test_without_schedstat_what_was_taken_away_is_no_wait():
    assert cpu_share([Sample((0.1,), (0.02,), None, voluntary=3, involuntary=60)]) == pytest.approx(1.0)
    assert cpu_share([Sample((0.1,), (0.001,), None, voluntary=500, involuntary=1)]) < 0.05
    assert cpu_share([Sample((0.15,), (0.00003,), None, voluntary=1, involuntary=1)]) < 0.01
    assert cpu_share([Sample((0.1,), (0.05,), None)]) == pytest.approx(0.5)


def test_items_share_the_queue_by_their_idle_time():
    sample = Sample((0.003, 0.001), (0.001, 0.001), queued=0.002)
    assert item_seconds(sample) == pytest.approx([0.001, 0.001])
    waiting = Sample((0.003, 0.001), (0.001, 0.001), queued=0.0)
    assert item_seconds(waiting) == pytest.approx([0.003, 0.001])


def test_items_too_short_for_the_clock():
    assert cpu_share([Sample((0.0, 0.0), (0.0, 0.0), queued=0.0)]) == 1.0
    assert item_seconds(Sample((0.0,), (0.0,), None)) == [0.0]


def test_one_straggler_proves_nothing():
    assert typical_seconds([1.0] * 19 + [10.0]) == (1.0, 10.0, 1.0)
    assert typical_seconds([1.0, 1.0, 4.0]) == (1.0, 4.0, 2.0)
    assert typical_seconds([1.0] * 18 + [100.0] * 2)[2] > 5


def test_a_rare_item_that_is_most_of_the_work_counts():
    assert typical_seconds([1.0] * 19 + [100.0]) == (1.0, 100.0, 5.95)


# --------------------------------------------------------------------------------------------------------------- gil


def test_pure_python_lets_the_canary_in_every_five_milliseconds():
    assert gil_held(ticks(*[0.005] * 10)) > 0.8


def test_code_that_releases_it_lets_the_canary_wake_on_time():
    assert gil_held(ticks(*[0.00002] * 50)) < 0.05


def test_bursts_shorter_than_the_switch_interval_are_counted():
    """3 ms asleep, 1.3 ms computing: one tick in three meets the GIL taken, for no more than a millisecond."""
    assert gil_held(ticks(*[0.0, 0.0, 0.0011] * 10), share=0.35) == pytest.approx(0.35, abs=0.04)


def test_a_few_long_calls_that_hold_it_are_weighed():
    assert gil_held(ticks(0.050, 0.050, *[0.0] * 10)) > 0.85
    assert gil_held(ticks(0.200)) > 0.9


def test_one_garbage_collection_among_many_ticks_proves_nothing():
    assert gil_held(ticks(0.050, *[0.0] * 40)) < 0.05


def test_too_little_to_say():
    assert gil_held([]) is None
    assert gil_held(ticks(0.0, 0.0)) is None
    assert gil_held(ticks(*[0.0] * 100, inside=0.01)) is None


def test_what_happens_between_items_does_not_count():
    between = ticks(*[0.005] * 10, inside=0.0)
    assert gil_held(between + ticks(*[0.0] * 10)) < 0.05


def test_a_canary_queued_behind_the_item_that_it_watches_knows_nothing():
    blurred = [Tick(0.0, queued=0.001)] * 8
    on_time = [Tick(0.0)] * 20
    assert gil_held(on_time + blurred, share=0.35) is None
    assert gil_held(on_time + blurred, share=1.0) == 0.0  # it never sleeps: the GIL was free all the same
    assert gil_held(on_time, share=0.35) == 0.0
    assert gil_held([*blurred, *ticks(*[0.005] * 20)], share=0.35) > 0.7


def test_a_canary_that_has_the_gil_and_no_cpu_is_no_waiting_of_the_items():
    """Pure Python that stood still for 4 of 10 ms, because the canary had asked for the GIL and was then queued."""
    ticks = [Tick(0.002, queued=0.004), Tick(0.0, queued=0.003)]
    assert handing_over(ticks) == 0.004
    assert cpu_share([Sample((0.010,), (0.006,), queued=0.0)], handing_over(ticks)) > 0.9


def test_items_that_sleep_do_not_compute_because_the_canary_has_no_cpu():
    """They needed the GIL for half of their time only: no more than that was taken from them."""
    ticks = [Tick(0.002, queued=0.004), Tick(0.0, queued=0.003)]
    assert cpu_share([Sample((0.010,), (0.005,), queued=0.0)], handing_over(ticks)) < 0.75


def test_ticks_are_cut_at_an_instant():
    cut = since(10.0, [Tick(0.5, ended=9.0), Tick(0.5, ended=10.2), Tick(TICK, ended=11.0)])
    assert [tick.late for tick in cut] == pytest.approx([0.2, TICK])
