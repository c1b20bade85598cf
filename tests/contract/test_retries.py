"""Attempts: `retries`, `timeout`, `deadline`. Under every model, each with what it can hold for."""

import asyncio
import time

import pytest

import plait
from plait import Failure, ItemTimeout, Retry
from tests.contract.models import cases

NOW = Retry(3, backoff=0)


@cases()
def test_an_item_is_tried_again_until_it_succeeds(case, calls):
    def third_time(x):
        calls.note(x)
        if calls.counts()[str(x)] < 3:
            raise OSError("again")
        return x

    run = case.map(third_time, range(20), retries=NOW)
    assert list(run) == list(range(20))
    assert calls.counts() == {str(x): 3 for x in range(20)}
    assert run.report.retries == 40


@cases()
def test_attempts_are_one_more_than_retries(case, calls):
    def never(x):
        calls.note(x)
        raise OSError("never")

    [failure] = case.map(never, [1], retries=NOW, on_error="return")
    assert failure.attempts == 4
    assert calls.counts() == {"1": 4}


@cases()
def test_only_the_errors_that_are_worth_it_are_tried_again(case, calls):
    def fails(x):
        calls.note(x)
        raise KeyError("x") if x else OSError("x")

    failures = list(case.map(fails, [0, 1], retries=Retry(2, backoff=0, on=OSError), on_error="return"))
    assert [failure.attempts for failure in failures] == [3, 1]
    assert calls.counts() == {"0": 3, "1": 1}


@cases()
def test_a_predicate_says_what_is_worth_it(case):
    def fails(x):
        raise OSError(x)

    retry = Retry(2, backoff=0, on=lambda error: error.args == (1,))
    assert [failure.attempts for failure in case.map(fails, [0, 1], retries=retry, on_error="return")] == [1, 3]


class Busy(Exception):
    def __init__(self, message, retry_after):
        super().__init__(message, retry_after)
        self.retry_after = retry_after


@cases()
def test_an_error_says_how_long_to_wait(case, calls):
    def busy(x):
        calls.note(x)
        if calls.counts()[str(x)] < 2:
            raise Busy("busy", 0.2)
        return x

    assert list(case.map(busy, [1], retries=NOW)) == [1]
    (_, first), (_, second) = calls.noted()
    assert second - first >= 0.2


@cases(lambda case: case.model != "serial")
def test_others_run_while_one_waits_for_its_retry(case, calls):
    def one_waits(x):
        calls.note(x)
        if x == 0 and calls.counts()["0"] < 2:
            raise Busy("busy", 0.5)
        return x

    assert list(case.map(one_waits, range(40), retries=NOW)) == list(range(40))
    at = calls.noted()
    assert at[-1][0] == "0", "the retry comes after the others"


@cases(lambda case: case.is_async)
def test_a_coroutine_is_cancelled_after_its_timeout(case, calls):
    async def hangs(x):
        try:
            await asyncio.sleep(30 if x == 3 else 0)
        except asyncio.CancelledError:
            calls.note("cancelled")
            raise
        return x

    began = time.monotonic()
    results = list(plait.map(hangs, range(10), model=case.model, workers=2, timeout=0.3, on_error="return"))
    assert time.monotonic() - began < 5
    assert [x for x, r in enumerate(results) if r != x] == [3]
    assert type(results[3].exception) is ItemTimeout
    assert "timeout=0.3" in str(results[3].exception)
    assert calls.counts() == {"cancelled": 1}


@cases(lambda case: case.model in ("processes", "processes+threads"))
def test_a_worker_is_killed_after_an_items_timeout(case, calls):
    def spins(x):
        calls.note(x)
        while x == 3:
            pass
        return x

    began = time.monotonic()
    run = case.map(spins, range(20), timeout=0.5, on_error="return")
    results = list(run)
    assert time.monotonic() - began < 5
    assert [x for x, r in enumerate(results) if r != x] == [3]
    assert type(results[3].exception) is ItemTimeout
    assert calls.counts()["3"] == 1
    assert run.report.to_dict()["timeouts"] == 1
    assert run.report.crashes == 0, "a worker that Plait killed did not crash"


@cases(lambda case: case.model == "threads")
def test_the_late_result_of_a_thread_is_refused_and_its_retry_waits_for_the_end(case, calls):
    def slow_at_first(x):
        calls.note("began")
        first = calls.counts()["began"] == 1
        time.sleep(0.6 if first else 0)
        calls.note("ended")
        return "late" if first else "in time"

    run = case.map(slow_at_first, [1], timeout=0.2, retries=Retry(1, backoff=0))
    assert list(run) == ["in time"]
    assert [word for word, _ in calls.noted()] == ["began", "ended", "began", "ended"]
    assert run.report.to_dict()["late_results_refused"] == 1
    assert run.report.to_dict()["timeouts"] == 1


@cases(lambda case: case.model == "threads")
def test_other_items_run_beside_an_attempt_that_is_overdue(case):
    def one_hangs(x):
        time.sleep(1.0 if x == 0 else 0)
        return x

    run = case.map(one_hangs, range(50), timeout=0.2, on_error="return", width=2)
    results = list(run)
    assert isinstance(results[0], Failure)
    assert results[1:] == list(range(1, 50))


@cases(lambda case: case.model == "serial" and not case.is_async)
def test_a_late_result_is_refused_in_this_thread_too(case):
    def slow(x):
        time.sleep(0.1 if x == 1 else 0)
        return x

    results = list(case.map(slow, range(3), timeout=0.05, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [1]
    assert type(results[1].exception) is ItemTimeout


@cases(lambda case: case.model == "auto")
def test_what_hangs_is_ended_under_auto_as_well(case):
    def hangs(x):
        time.sleep(30 if x == 3 else 0)
        return x

    async def hangs_async(x):
        await asyncio.sleep(30 if x == 3 else 0)
        return x

    began = time.monotonic()
    fn = hangs_async if case.is_async else hangs
    results = list(plait.map(fn, range(10), timeout=0.5, on_error="return"))
    assert time.monotonic() - began < 10
    assert [x for x, r in enumerate(results) if r != x] == [3]


@cases()
def test_an_attempt_that_raised_timeout_error_itself_is_not_ours(case):
    def raises(x):
        raise TimeoutError("theirs")

    with pytest.raises(TimeoutError, match="theirs") as caught:
        list(case.map(raises, [1], timeout=20))
    assert type(caught.value) is TimeoutError


@cases()
def test_a_deadline_bounds_all_the_attempts_of_an_item(case, calls):
    def fails(x):
        calls.note(x)
        raise OSError(x)

    began = time.monotonic()
    retry = Retry(1000, backoff=0.05, jitter=0, longest=0.05)
    [failure] = case.map(fails, [1], retries=retry, deadline=0.4, on_error="return")
    assert time.monotonic() - began < 3
    assert 2 <= failure.attempts <= 12


@cases(lambda case: case.in_processes or case.is_async)
def test_a_deadline_ends_an_attempt_that_hangs(case):
    async def hangs_async(x):
        await asyncio.sleep(30)

    def hangs(x):
        time.sleep(30)

    began = time.monotonic()
    fn = hangs_async if case.is_async else hangs
    [failure] = plait.map(fn, [1], model=case.model, workers=1, deadline=0.3, on_error="return")
    assert time.monotonic() - began < 5
    assert type(failure.exception) is ItemTimeout
    assert "deadline=0.3" in str(failure.exception)


@cases(lambda case: case.in_processes or (case.is_async and case.model != "auto"))
def test_a_deadline_counts_the_attempts_before(case):
    """An item whose attempts take 0.25 s each has no time for a third within 0.6 s."""

    async def slow_async(x):
        await asyncio.sleep(0.25)
        raise OSError(x)

    def slow(x):
        time.sleep(0.25)
        raise OSError(x)

    fn = slow_async if case.is_async else slow
    began = time.monotonic()
    retry = Retry(50, backoff=0)
    [failure] = plait.map(fn, [1], model=case.model, workers=1, deadline=0.6, retries=retry, on_error="return")
    assert failure.attempts <= 3
    assert time.monotonic() - began < 0.6 + 0.5


@cases(lambda case: case.in_processes)
def test_a_timeout_is_retried(case, calls):
    def hangs_once(x):
        calls.note(x)
        time.sleep(30 if calls.counts()[str(x)] == 1 else 0)
        return x

    async def hangs_once_async(x):
        calls.note(x)
        await asyncio.sleep(30 if calls.counts()[str(x)] == 1 else 0)
        return x

    fn = hangs_once_async if case.is_async else hangs_once
    run = plait.map(fn, [1, 2], model=case.model, workers=2, timeout=0.3, retries=NOW)
    assert list(run) == [1, 2]
    assert run.report.retries == 2
