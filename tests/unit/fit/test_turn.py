"""Items that begin to compute are noticed by what they compute, not by how long they take."""

import pytest

from plait.fit.slump import Sums
from plait.fit.turn import Turn

LITTLE = 1e-4


def heard(turn: Turn, items: int, *, cpu: float, busy: float = 0.01, every: float = 0.001, at: float = 0.0):
    """What it says of each of so many items, one after the other."""
    return [turn.heard(at + number * every, 1, busy, cpu) for number in range(1, items + 1)]


def test_items_that_go_on_as_they_were_are_no_turn():
    assert not any(heard(Turn(0.0, LITTLE), 5000, cpu=LITTLE))


def test_items_that_take_longer_without_computing_are_no_turn():
    turn = Turn(0.0, LITTLE)
    heard(turn, 1000, cpu=LITTLE)
    assert not any(heard(turn, 1000, cpu=LITTLE, busy=3.0, every=0.3, at=1.0))


def test_items_that_compute_thirty_times_as_much_are_one_within_a_tenth_of_a_second_of_it():
    turn = Turn(0.0, LITTLE)
    heard(turn, 1000, cpu=LITTLE)
    said = heard(turn, 40, cpu=0.003, every=0.003, at=1.0)
    assert any(said)
    assert next(number for number, one in enumerate(said) if one) <= 33


def test_it_says_since_when_and_leaves_out_what_came_before():
    turn = Turn(0.0, LITTLE)
    heard(turn, 1000, cpu=LITTLE)
    latest = next(one for one in heard(turn, 40, cpu=0.003, every=0.003, at=1.0) if one)
    assert isinstance(latest, Sums)
    assert latest.at > 1.0, "by then all are of the new kind"
    assert latest.cpu / latest.items == pytest.approx(0.003)


def test_it_is_said_once():
    turn = Turn(0.0, LITTLE)
    assert sum(one is not None for one in heard(turn, 500, cpu=0.003, every=0.003)) == 1


def test_a_single_heavy_item_is_none():
    turn = Turn(0.0, LITTLE)
    assert turn.heard(0.1, 1, 0.1, 0.1) is None


def test_where_nothing_is_known_of_the_items_the_first_tell_what_is_usual():
    turn = Turn(0.0)
    assert not any(heard(turn, 200, cpu=0.003, every=0.003))
    assert any(heard(turn, 50, cpu=0.03, every=0.03, at=1.0))
