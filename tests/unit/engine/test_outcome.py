"""What becomes of an attempt that failed."""

import pytest

from plait.engine.figures import KEPT, Figures
from plait.engine.outcome import Outcomes, noted
from plait.engine.pieces import Piece
from plait.engine.rules import Rules
from plait.errors import TooManyFailures, WorkerLost
from plait.events import Hub, ItemFailed, ItemRetried
from plait.failure import Failure
from plait.policy.retry import Retry
from tests.unit.engine.seats import failing


class Mute(Exception):
    """Cannot say what happened."""

    def __str__(self):
        raise RuntimeError("no words")


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no words")


def outcomes(*, listen: bool = False, **rules) -> Outcomes:
    hub = Hub()
    if listen:
        hub.add(lambda event: None)
    return Outcomes(Rules("stage", **rules), Figures("stage"), hub, lambda: 0.0)


class TestAgain:
    def test_the_item_is_at_its_next_attempt_then(self):
        one, item = outcomes(retry=Retry(2, backoff=1)), Piece(5, ["x"])
        assert one.again(item, failing(), 100.0) == 1.0
        assert one.again(item, failing(), 101.0) == 2.0
        assert one.again(item, failing(), 103.0) is None
        assert (item.attempt, one.figures.retries) == (3, 2)

    def test_its_time_began_with_its_first_attempt(self):
        one, item = outcomes(retry=Retry(5, backoff=1, until=10)), Piece(5, ["x"])
        assert one.again(item, failing(seconds=2.0), 100.0) == 1.0
        assert item.since == 98.0
        assert one.again(item, failing(seconds=1.0), 106.5) is None, "8.5 s and 2 more would be beyond 10"

    def test_no_attempt_begins_after_the_deadline(self):
        one = outcomes(retry=Retry(5, backoff=1), deadline=3.0)
        assert one.again(Piece(0, ["x"]), failing(seconds=1.5), 100.0) == 1.0
        assert one.again(Piece(0, ["x"]), failing(seconds=2.0), 100.0) is None

    def test_observers_are_told_once_the_lock_is_released(self):
        one = outcomes(listen=True, retry=Retry(1, backoff=1))
        one.again(Piece(5, ["x"]), failing(ValueError("one\ntwo")), 100.0)
        (event,) = one.events
        assert isinstance(event, ItemRetried)
        assert (event.index, event.attempt, event.delay, event.error) == (5, 1, 1.0, "ValueError: one")

    def test_a_predicate_that_fails_means_no_further_attempt(self):
        def predicate(error):
            raise KeyError("oops")

        one = outcomes(retry=Retry(3, on=predicate))
        failed = failing()
        assert one.again(Piece(5, ["x"]), failed, 100.0) is None
        assert any("KeyError" in note for note in failed.error.__notes__)

    def test_an_error_that_cannot_say_itself_is_retried_like_any(self):
        one = outcomes(listen=True, retry=Retry(1, backoff=1))
        assert one.again(Piece(5, ["x"]), failing(Mute()), 100.0) == 1.0
        assert "Mute" in one.events[0].error


class TestFailure:
    @pytest.mark.parametrize("on_error", ["raise", "skip", "return"])
    def test_it_stands_for_the_item_as_the_rules_say(self, on_error):
        one, failed = outcomes(on_error=on_error), failing()
        segment = one.failure(Piece(7, ["x"], attempt=2), failed)
        (kept,) = one.figures.kept
        assert kept == Failure("x", 7, "stage", 2, failed.error, failed.traceback)
        assert segment == {"raise": None, "skip": (7, 1, []), "return": (7, 1, [kept])}[on_error]
        assert one.figures.failures == 1

    def test_the_first_to_raise_is_what_the_run_raises(self):
        one = outcomes()
        one.failure(Piece(7, ["x"]), failing(ValueError("first")))
        one.failure(Piece(3, ["y"]), failing(ValueError("second")))
        assert str(one.fatal(ended=False)) == "first"

    @pytest.mark.parametrize(
        ("error", "calls"), [(WorkerLost(7, "died", 3), 4), (ValueError("after them"), 5)], ids=repr
    )
    def test_each_crash_was_a_call(self, error, calls):
        one = outcomes(on_error="skip")
        one.failure(Piece(7, ["x"], attempt=2, crashes=3), failing(error))
        assert one.figures.kept[0].attempts == calls

    def test_of_a_million_failures_the_last_are_kept(self):
        one = outcomes(on_error="skip")
        for index in range(KEPT + 5):
            one.failure(Piece(index, ["x"]), failing())
        assert (one.figures.failures, len(one.figures.kept), one.figures.kept[0].index) == (KEPT + 5, KEPT, 5)

    def test_observers_hear_of_it_in_one_line(self):
        one = outcomes(listen=True, on_error="skip")
        one.failure(Piece(7, ["x"]), failing(ValueError("a" * 1000 + "\nb")))
        (event,) = one.events
        assert isinstance(event, ItemFailed)
        assert event.error == ("ValueError: " + "a" * 1000)[:300]

    @pytest.mark.parametrize("on_error", ["raise", "skip", "return"])
    def test_an_item_and_an_error_that_cannot_say_themselves_fail_like_any(self, on_error):
        one = outcomes(listen=True, on_error=on_error)
        one.failure(Piece(7, [Unshowable()]), failing(Mute()))
        assert "Mute" in one.events[0].error


class TestFatal:
    def test_nothing_is_fatal_without_a_limit(self):
        one = outcomes(on_error="skip")
        one.failure(Piece(7, ["x"]), failing())
        assert one.fatal(ended=True) is None

    def test_more_failures_than_allowed_are(self):
        one = outcomes(on_error="skip", max_failures=1)
        one.failure(Piece(0, ["x"]), failing())
        assert one.fatal(ended=False) is None
        one.failure(Piece(1, ["x"]), failing())
        error = one.fatal(ended=False)
        assert isinstance(error, TooManyFailures)
        assert "2 of 2 finished items failed, more than max_failures=1" in str(error)

    def test_a_share_is_of_all_that_finished(self):
        one = outcomes(on_error="skip", max_failures=0.5)
        one.figures.finished = 30
        for index in range(30):
            one.failure(Piece(index, ["x"]), failing())
            assert one.fatal(ended=False) is None
        one.failure(Piece(30, ["x"]), failing())
        assert isinstance(one.fatal(ended=False), TooManyFailures)


class TestNoted:
    def failure(self, error=None, item="x", traceback="Traceback: there\n"):
        return Failure(item, 7, "stage", 2, error or ValueError("no"), traceback)

    def test_notes_name_stage_item_and_attempt_and_where(self):
        notes = noted(self.failure()).__notes__
        assert notes == [
            "Raised in stage 'stage' for item 7: 'x', attempt 2.",
            "Where it was raised:\nTraceback: there\n",
        ]

    def test_an_error_raised_here_has_its_real_traceback(self):
        with pytest.raises(ValueError, match="here") as caught:
            raise ValueError("here")
        assert len(noted(self.failure(caught.value)).__notes__) == 1

    def test_the_same_note_is_not_added_twice(self):
        failure = self.failure()
        noted(failure)
        noted(failure)
        assert len(failure.exception.__notes__) == 2

    def test_a_long_item_is_cut(self):
        note = noted(self.failure(item="x" * 10_000)).__notes__[0]
        assert len(note) < 300
        assert "..." in note

    def test_an_item_that_cannot_be_shown_is_named_by_its_type(self):
        assert "Unshowable" in noted(self.failure(item=Unshowable())).__notes__[0]
