"""Which attempts have run for too long, told from samples."""

import pytest

from plait.policy.overdue import Overdue, tick_for


def test_an_attempt_is_overdue_once_it_was_seen_for_the_timeout():
    overdue = Overdue(1.0)
    assert [overdue.sample("a", [7], now) for now in (0.0, 0.5, 0.99, 1.0, 1.5)] == [[], [], [], [7], [7]]


def test_the_next_attempt_in_the_slot_starts_anew():
    overdue = Overdue(1.0)
    overdue.sample("a", [7], 0.0)
    assert overdue.sample("a", [8], 5.0) == []
    assert overdue.sample("a", [8], 5.9) == []
    assert overdue.sample("a", [8], 6.0) == [8]


def test_an_empty_slot_forgets():
    overdue = Overdue(1.0)
    overdue.sample("a", [7], 0.0)
    overdue.sample("a", [0], 0.5)
    assert overdue.sample("a", [7], 2.0) == []


def test_slots_and_seats_are_told_apart():
    overdue = Overdue(1.0)
    overdue.sample("a", [7, 0], 0.0)
    overdue.sample("a", [7, 8], 0.5)
    overdue.sample("b", [7], 0.9)
    assert overdue.sample("a", [7, 8], 1.0) == [7]
    assert overdue.sample("b", [7], 1.0) == []
    assert overdue.sample("a", [7, 8], 1.5) == [7, 8]


def test_a_seat_that_is_gone_is_forgotten():
    overdue = Overdue(1.0)
    overdue.sample("a", [7], 0.0)
    overdue.sample("b", [9], 0.0)
    overdue.forget("a")
    assert overdue.sample("a", [7], 2.0) == []
    assert overdue.sample("b", [9], 2.0) == [9]


@pytest.mark.parametrize(("timeout", "tick"), [(0.001, 0.005), (0.8, 0.1), (3600, 0.25)])
def test_samples_are_an_eighth_of_the_timeout_within_bounds(timeout, tick):
    assert tick_for(timeout) == pytest.approx(tick)
