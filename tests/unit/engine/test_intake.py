"""From batches to segments: which results count, and what is tried again."""

import pytest

from plait.engine.figures import Figures
from plait.engine.intake import Intake
from plait.engine.line import Line
from plait.engine.outcome import Outcomes
from plait.engine.outlet import Segment
from plait.engine.pieces import LATE, Chunk, Piece, Post
from plait.engine.rules import Rules
from plait.events import Hub, ItemFinished
from plait.failure import Failure
from plait.policy.chunks import Sizer
from plait.policy.retry import Retry
from plait.styles.batch import Batch
from tests.unit.engine.seats import FakeSeat, failing


class Desk:
    """An intake, and a seat that has ten items in hand: indexes 100 to 109, numbered from 0."""

    def __init__(self, **rules) -> None:
        self.hub, self.figures = Hub(), Figures("stage")
        self.line = Line(Sizer())
        self.later: list[tuple[float, Piece]] = []
        outcomes = Outcomes(Rules("stage", on_error="return", **rules), self.figures, self.hub, lambda: 0.0)
        self.outcomes = outcomes
        self.intake = Intake(self.line, outcomes, self.figures, lambda delay, item: self.later.append((delay, item)))
        self.chunk = Chunk.of(0, Piece(100, list(range(10))))
        self.post = Post(FakeSeat(1))
        self.post.chunks[0], self.post.in_hand = self.chunk, 10

    def take(self, first, values, errors=(), seqs=None, back=None) -> list[Segment]:
        segments: list[Segment] = []
        self.intake.take(self.post, Batch(first, values, list(errors), seqs, 0.0, back), segments)
        return segments


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_results_are_of_the_items_that_they_are_of(desk):
    assert desk.take(0, ["a", "b"]) == [(100, 2, ["a", "b"])]
    assert desk.take(2, ["c"]) == [(102, 1, ["c"])]
    assert (desk.figures.finished, desk.post.in_hand) == (3, 7)


def test_all_of_them_empty_the_seat(desk):
    desk.take(0, list("abcdefghij"))
    assert (desk.post.chunks, desk.post.in_hand) == ({}, 0)


def test_what_finished_out_of_order_is_put_in_order_and_together(desk):
    assert desk.take(5, ["f", "b", "a"], seqs=[5, 1, 0]) == [(100, 2, ["a", "b"]), (105, 1, ["f"])]


def test_a_result_that_came_counts_once(desk):
    desk.take(3, ["d"], seqs=[3])
    assert desk.take(3, ["other"], seqs=[3]) == []
    assert desk.figures.finished == 1


def test_results_of_what_nobody_has_in_hand_are_ignored(desk):
    assert desk.take(77, ["x"]) == []
    assert desk.take(5, ["f", "x"], seqs=[5, 77]) == [(105, 1, ["f"])]
    assert desk.take(77, [], back=(77, 2)) == []
    assert desk.post.in_hand == 9


def test_an_error_is_its_items_alone(desk):
    segments = desk.take(0, ["a", None, "c"], errors=[(1, failing())])
    a, failure, c = [value for _, _, values in segments for value in values]
    assert sum(count for _, count, _ in segments) == 3
    assert (a, c) == ("a", "c")
    assert isinstance(failure, Failure)
    assert (failure.index, failure.item) == (101, 1)
    assert (desk.figures.finished, desk.figures.failures, desk.post.in_hand) == (2, 1, 7)


def test_a_failed_attempt_is_followed_by_another_now_or_later():
    now, later = Desk(retry=Retry(1, backoff=0)), Desk(retry=Retry(1, backoff=3.0, jitter=0))
    for desk in (now, later):
        assert desk.take(4, [None], errors=[(0, failing())], seqs=[4]) == []
    (piece,) = now.line.again
    assert (piece.start, piece.items, piece.attempt) == (104, [4], 2)
    ((delay, piece),) = later.later
    assert (delay, piece.start, piece.attempt) == (3.0, 104, 2)
    assert not later.line


def test_what_is_handed_back_is_in_line_again_as_the_same_attempt(desk):
    assert desk.take(0, ["a", "b"], back=(2, 8)) == [(100, 2, ["a", "b"])]
    (piece,) = desk.line.again
    assert (piece.start, piece.items, piece.attempt) == (102, list(range(2, 10)), 1)
    assert desk.post.chunks == {}


class TestLate:
    """An attempt that was given up, but not ended: its thread is still at it."""

    def test_its_result_is_refused(self, desk):
        desk.chunk.marks[0] = LATE
        assert desk.take(0, ["too late", "b"]) == [(101, 1, ["b"])]
        assert (desk.figures.refused_late, desk.figures.finished, desk.post.in_hand) == (1, 1, 8)

    def test_its_retry_begins_when_it_ends(self):
        desk = Desk(retry=Retry(1, backoff=3.0, jitter=0))
        desk.chunk.marks[0] = LATE
        desk.intake.fail(desk.chunk, 0, failing(), [])
        assert desk.later == [], "both would run at once"
        desk.take(0, [None], errors=[(0, failing())])
        ((delay, piece),) = desk.later
        assert (delay, piece.start, piece.attempt) == (3.0, 100, 2)


def test_who_asks_is_told_of_each_item(desk):
    heard: list[ItemFinished] = []
    desk.hub.add(heard.append, [ItemFinished])
    desk.take(0, ["a", "b"])
    assert [(event.index, event.attempt) for event in desk.outcomes.events] == [(100, 1), (101, 1)]
    assert heard == [], "told once the lock is released, not before"


def test_nobody_asks_and_no_event_is_made(desk):
    desk.take(0, ["a", "b"])
    assert desk.outcomes.events == []
