"""What becomes of a job whose attempt has failed: each kind of failure in its own way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import ItemTimeout, JobCancelled, JobFailed, Stale, StoreBusy, WorkerLost
from plait.failure import Failure
from plait.jobs.codec import Misfit
from plait.jobs.protocol import CRASHES, FENCED, Event
from plait.jobs.worker.perform import Hindered, Order, PartsFailed, Snooze
from plait.jobs.worker.verdict import HINDERED, LONGEST, MISFIT, PATIENCE, bare, verdict
from plait.policy.retry import Retry

BORN = 1_700_000_000.0


def failed(error, *, attempt=1, text="Traceback ..."):
    order = Order(job=7, token=3, args=b"", attempt=attempt, crashes=0, created=BORN)
    return Failure(order, 0, "task", attempt, error, text)


def decided(error, retry=None, *, attempt=1, age=0.0, text="Traceback ...", draw=0.0):
    return verdict(failed(error, attempt=attempt, text=text), retry or Retry(), 60.0, BORN + age, lambda: draw)


def test_it_says_whose_it_is_and_why():
    outcome = decided(ValueError("no such file\nsecond line"))
    assert (outcome.id, outcome.token, outcome.event, outcome.keep) == (7, 3, Event.FAIL, 60.0)
    assert outcome.error == "ValueError: no such file"
    assert outcome.traceback == "Traceback ..."
    assert outcome.result is None


@pytest.mark.parametrize("error", [ValueError("x"), StoreBusy("locked"), JobFailed(9, "bad"), OSError(5, "io")])
def test_what_a_task_raises_is_tried_again_as_often_as_it_says(error):
    retry = Retry(2, backoff=1.0)
    events = [decided(error, retry, attempt=attempt).event for attempt in (1, 2, 3, 4)]
    assert events == [Event.RETRY, Event.RETRY, Event.FAIL, Event.FAIL]
    assert [decided(error, retry, attempt=attempt).delay for attempt in (1, 2)] == [1.0, 2.0]


def test_the_attempt_counts_that_the_store_has_counted():
    """Earlier attempts may have been on other machines, and the engine's own count begins anew with each."""
    failure = failed(ValueError("x"), attempt=3)
    engine = Failure(failure.item, 0, "task", 1, failure.exception, "")
    assert verdict(engine, Retry(2), 60.0, BORN, lambda: 0.0).event is Event.FAIL


def test_timeouts_and_a_worker_that_was_lost_once_are_failures_like_others():
    """One: with `on_crash="fail"`."""
    timeout = ItemTimeout.__new__(ItemTimeout)
    Exception.__init__(timeout, "it took too long")
    for error in (WorkerLost(1, "killed by SIGKILL", 1), timeout):
        assert decided(error, Retry(1)).event is Event.RETRY
        assert decided(error).event is Event.FAIL


def test_what_has_killed_its_process_three_times_is_given_up_whatever_retries_are_left():
    error = WorkerLost(1, "killed by SIGKILL", CRASHES)
    assert decided(error, Retry(5)).event is Event.FAIL


@given(st.floats(0, 1e6), st.floats(0, 1), st.integers(1, 5))
def test_the_wait_is_what_the_policy_says(age, draw, attempt):
    retry = Retry(4, backoff=0.5, until=1000.0)
    outcome = decided(ValueError("x"), retry, attempt=attempt, age=age, draw=draw)
    now = BORN + age
    wait = retry.wait(attempt, ValueError("x"), now - BORN, draw)
    assert outcome.event is (Event.FAIL if wait is None else Event.RETRY)
    assert outcome.delay == (wait or 0.0)


@given(st.floats(0, allow_infinity=False), st.integers(1, 9))
def test_a_snooze_is_no_attempt_however_many_there_were(seconds, attempt):
    outcome = decided(Snooze(seconds), attempt=attempt)
    assert outcome.event is Event.SNOOZE
    assert outcome.delay == seconds


def test_what_only_the_store_hindered_comes_back_soon():
    outcome = decided(Hindered("StoreBusy: locked"), attempt=5)
    assert (outcome.event, outcome.delay) == (Event.SNOOZE, HINDERED)


def test_one_that_nobody_wants_is_stopped():
    assert decided(JobCancelled(7), Retry(5)).event is Event.STOP


def test_one_that_asked_for_another_which_was_cancelled_has_failed_itself():
    """`job.result()` in a task raises the same: that is no reason to say that somebody cancelled this one."""
    outcome = decided(JobCancelled(8))
    assert outcome.event is Event.FAIL
    assert outcome.error == "JobCancelled: Job 8 was cancelled."
    assert decided(JobCancelled(8), Retry(1)).event is Event.RETRY


def test_one_that_is_no_longer_this_workers_is_not_settled():
    assert decided(Stale(7), Retry(5)) is None


def test_one_that_raises_what_is_said_of_another_is_settled():
    """Else it would be running for ever."""
    assert decided(Stale(8)).event is Event.FAIL


@pytest.mark.parametrize("age", [0.0, PATIENCE - 1])
def test_arguments_that_do_not_fit_wait_for_a_worker_with_other_code(age):
    outcome = decided(Misfit("no parameter 'size'"), attempt=9, age=age)
    assert (outcome.event, outcome.delay) == (Event.SNOOZE, MISFIT)


def test_but_not_for_ever():
    outcome = decided(Misfit("no parameter 'size'"), age=PATIENCE)
    assert outcome.event is Event.FAIL
    assert "no parameter 'size'" in outcome.error


def test_a_callback_whose_parts_have_failed_is_not_tried_again():
    assert decided(PartsFailed(8, "2 of 3 parts did not succeed"), Retry(9)).event is Event.FAIL


def test_a_predicate_that_raises_means_no_and_says_so():
    def raises(error):
        raise KeyError("status")

    error = ValueError("x")
    outcome = decided(error, Retry(3, on=raises))
    assert outcome.event is Event.FAIL
    assert "KeyError" in error.__notes__[0]


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [ValueError(""), ValueError("\n\n"), ValueError("a\0b\ud800"), Speechless()])
def test_whatever_an_error_says_can_be_stored(error):
    outcome = decided(error, text="\ud800\0")
    for text in (outcome.error, outcome.traceback):
        assert "\0" not in text
        text.encode()
    assert outcome.error.startswith(type(error).__name__)


def test_long_ones_are_cut_and_of_a_traceback_the_end_is_kept():
    outcome = decided(ValueError("x" * 10_000), text="a" * 50_000 + "the end")
    assert len(outcome.error) <= 500
    assert len(outcome.traceback) == LONGEST
    assert outcome.traceback.endswith("the end")


def test_one_of_which_nothing_can_be_told_has_failed():
    outcome = bare(7, 3, Speechless(), 60.0)
    assert (outcome.id, outcome.token, outcome.event, outcome.keep) == (7, 3, Event.FAIL, 60.0)
    assert "Speechless" in outcome.error


@pytest.mark.parametrize(
    "error", [ValueError(), Snooze(1), Hindered(), JobCancelled(7), JobCancelled(8), Misfit(), PartsFailed(1, "")]
)
def test_a_worker_says_only_what_the_token_guards(error):
    assert decided(error).event in FENCED
