"""`Width` against thousands of simulated services, in virtual time; and what holds whatever it is told."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.fit.width import Width
from tests.property.simulator import Case, best_fixed, drawn, simulate

#: A width that achieves the best fixed one's goodput within this factor is good.
GOOD = 1.3


def controller(case: Case) -> Width:
    alone = case.alone * (case.latency + case.cpu) or None
    return Width(min(case.start, case.most), case.most, alone=alone)


def utilisation(case: Case) -> float:
    """Goodput of the last third, that of the best fixed width being 1."""
    best = best_fixed(case)
    return simulate(case, controller(case)).final / best if best else 1.0


def shortfalls(seeds: range, items: int) -> list[tuple[float, int]]:
    """(utilisation, seed) of the cases that end below the best fixed width / 1.3."""
    found = ((utilisation(drawn(seed, items)), seed) for seed in seeds)
    return sorted((achieved, seed) for achieved, seed in found if achieved < 1 / GOOD)


def test_a_random_service_is_used_almost_always_as_well_as_by_the_best_fixed_width():
    missed = shortfalls(range(60), 2000)
    assert len(missed) <= 4, f"drawn(seed, 2000): {missed}"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_hundreds_of_random_services_are_mostly_used_as_well_as_by_the_best_fixed_width():
    missed = shortfalls(range(1000, 1200), 2000)
    assert len(missed) <= 20, f"drawn(seed, 2000): {missed}"


SERVICES = {
    "queues past 50": Case(slots=50),
    "queues past 50, very uneven items": Case(slots=50, sigma=1.0),
    "degrades past 8": Case(degrades=8, power=2),
    "queues past 4, begun with 128": Case(slots=4, start=128),
    "queues past 4 and times out, begun with 128": Case(slots=4, start=128, timeout=1.0),
    "rejects past 200": Case(rejects=200, seconds=30),
    "100 a second": Case(rate=100, burst=100),
    "saturates a core": Case(cpu=0.005),
    "a fifth of the data is bad": Case(slots=50, bad=0.2),
    "one item in 50 takes 50 times as long": Case(slots=50, rare=True, seconds=90),
    "reports in bursts": Case(slots=50, sigma=0, tick=0.05),
    "slow": Case(slots=20, latency=5.0, seconds=1500),
    "alone was measured too short": Case(slots=50, alone=0.33),
    "alone was measured too long": Case(slots=50, alone=3.0),
    "loses four fifths of its slots": Case(slots=50, drift=30, factor=0.2),
    "trebles its slots": Case(slots=20, drift=60, factor=3, seconds=240),
}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_used_as_well_as_by_the_best_fixed_width(service):
    assert utilisation(SERVICES[service]) >= 1 / GOOD


@pytest.mark.parametrize("service", SERVICES)
def test_it_settles(service):
    case = SERVICES[service]
    changes = [at for at, _ in simulate(case, controller(case)).changes]
    assert len(changes) <= 40
    assert sum(at > case.seconds / 2 for at in changes) <= 16


def test_nine_tenths_of_a_service_with_2000_slots_are_used_within_10_seconds():
    case = Case(slots=2000, seconds=12)
    assert simulate(case, controller(case)).reaches(0.9 * case.capacity) <= 10


def test_less_than_a_fiftieth_is_rejected_by_a_service_that_takes_200_at_once():
    case = SERVICES["rejects past 200"]
    result = simulate(case, controller(case))
    rejected, served = (sum(at >= 5 for at in instants) for instants in (result.failures, result.good))
    assert rejected < 0.02 * (rejected + served)


def test_items_that_queue_for_nothing_are_given_up():
    case = replace(SERVICES["queues past 4, begun with 128"], seconds=120)
    assert simulate(case, controller(case)).changes[-1][1] <= 8


@pytest.mark.parametrize("case", [Case(slots=8, seconds=5), Case(rejects=20, seconds=5), Case(cpu=0.01, seconds=5)])
def test_the_simulator_finds_the_best_fixed_width_at_the_knee(case):
    widths = sorted({round(1.4**power) for power in range(12)})
    assert best_fixed(case) >= 0.9 * best_fixed(case, widths)


# --- whatever it is told ----------------------------------------------------------------------------------------------

reports = st.lists(
    st.tuples(
        st.floats(0, 10),  # seconds since the last report
        st.integers(0, 300),
        st.floats(0, 1),  # share that failed
        st.sampled_from([0.0, 1e-9, 0.001, 0.1, 30.0]),  # seconds of each
        st.booleans(),
    ),
    max_size=60,
)
starts = st.tuples(
    st.integers(-5, 500), st.integers(1, 500), st.none() | st.floats(1e-6, 100), st.floats(0, 1), st.floats(0, 1e6)
)


def told(start, history):
    """Every (changed, before, width) of a controller with that history."""
    width, most, alone, usual, now = start
    seat = Width(width, most, alone=alone, usual=usual, now=now)
    for later, items, share, each, busy in history:
        now += later
        before = seat.width
        changed = seat.finished(now, items, int(items * share), items * each, busy=busy)
        yield changed, before, seat.width


@given(starts, reports)
def test_the_width_stays_within_its_bounds_and_says_when_it_changes(start, history):
    for changed, before, width in told(start, history):
        assert 1 <= width <= start[1]
        assert changed == (width != before)


@given(starts, reports)
def test_the_same_history_leads_to_the_same_widths(start, history):
    assert list(told(start, history)) == list(told(start, history))


@given(starts, reports, st.integers(-3, 0))
def test_no_items_change_nothing(start, history, none):
    width, most, alone, usual, now = start
    seat, other = (Width(width, most, alone=alone, usual=usual, now=now) for _ in range(2))
    for later, items, share, each, busy in history:
        now += later
        seat.finished(now, items, int(items * share), items * each, busy=busy)
        other.finished(now, items, int(items * share), items * each, busy=busy)
        assert not other.finished(now, none, 0, 0.0)
    assert seat == other


@given(starts, reports, st.integers(1, 500))
def test_a_limit_holds_for_good(start, history, most):
    width, bound, alone, usual, now = start
    seat = Width(width, bound, alone=alone, usual=usual, now=now)
    before = seat.width
    assert seat.limit(most, "memory", now) == (before > most)
    for later, items, share, each, busy in history:
        now += later
        seat.finished(now, items, int(items * share), items * each, busy=busy)
        assert seat.width <= most
    assert math.isfinite(seat.failures.usual)
