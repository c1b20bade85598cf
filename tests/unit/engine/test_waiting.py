"""Items that wait for their time: one timer, the earliest first."""

import threading

import pytest

from plait.engine.pieces import Piece
from plait.engine.waiting import Waiting
from plait.sync.ticker import ticker

WAIT = 5.0
HOUR = 3600.0


class Due:
    """What is called when items are due."""

    def __init__(self) -> None:
        self.called = threading.Event()

    def __call__(self) -> None:
        self.called.set()

    @property
    def timers(self) -> int:
        """How many timers of the process are set for it."""
        return sum(call is self for _, _, call in ticker()._heap)


@pytest.fixture
def due() -> Due:
    return Due()


def test_it_is_told_when_an_item_is_due_and_takes_only_that(due):
    waiting = Waiting(due)
    later, now = Piece(1, ["later"]), Piece(2, ["now"])
    waiting.put(HOUR, later)
    waiting.put(0.0, now)
    assert due.called.wait(WAIT)
    assert waiting.take() == [now]
    assert due.timers == 1, "for the one that is left"
    waiting.clear()


def test_nothing_is_due_yet(due):
    waiting = Waiting(due)
    waiting.put(HOUR, Piece(1, ["later"]))
    assert waiting.take() == []
    waiting.clear()


def test_what_is_due_together_comes_in_the_order_of_its_times(due):
    waiting = Waiting(due)
    pieces = [Piece(at, [at]) for at in range(3)]
    for piece, delay in zip(pieces, (-1.0, -3.0, -2.0), strict=True):
        waiting.put(delay, piece)
    assert waiting.take() == [pieces[1], pieces[2], pieces[0]]


def test_thousands_share_one_timer(due):
    waiting = Waiting(due)
    for at in range(5000):
        waiting.put(HOUR - at % 7, Piece(at, [at]))
    assert due.timers == 1
    waiting.clear()


def test_cleared_it_forgets_items_and_timer(due):
    waiting = Waiting(due)
    waiting.put(HOUR, Piece(1, ["later"]))
    waiting.clear()
    assert due.timers == 0
    assert waiting.take() == []
