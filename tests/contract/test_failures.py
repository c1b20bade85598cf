"""What becomes of items whose function raises: `on_error`, honest notes, `max_failures`. Under every model."""

import time
import traceback

import pytest

import plait
from plait import Failure, TooManyFailures
from tests.contract.models import cases


class Refused(Exception):
    pass


def picky(x):
    if x == 5:
        raise Refused(f"not {x}")
    return x


def half(x):
    if x % 2:
        raise Refused(x)
    return x


@cases()
def test_the_first_failure_ends_the_run_with_the_original_exception(case):
    with pytest.raises(Refused) as caught:
        list(case.map(picky, range(1000)))
    assert caught.value.args == ("not 5",)


@cases()
def test_what_was_delivered_before_the_failure_is_in_order(case):
    seen = []
    with pytest.raises(Refused):
        seen.extend(case.map(picky, range(50)))
    assert seen == list(range(len(seen)))
    assert len(seen) <= 5


@cases()
def test_notes_name_stage_item_and_attempt_and_where_it_was_raised(case):
    with pytest.raises(Refused) as caught:
        list(case.map(picky, range(20), name="sorting"))
    told = "".join(traceback.format_exception(caught.value))
    assert "stage 'sorting'" in told
    assert "item 5" in told
    assert "attempt 1" in told
    assert "in picky" in told


@cases()
def test_the_attempts_of_a_failure_are_counted(case):
    with pytest.raises(Refused) as caught:
        list(case.map(picky, range(20), retries=plait.Retry(2, backoff=0)))
    assert "attempt 3" in "".join(caught.value.__notes__)


@cases()
def test_skip_leaves_out_what_failed(case):
    run = case.map(picky, range(10), on_error="skip")
    assert list(run) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    [failure] = run.failures
    assert (failure.item, failure.index, failure.stage, failure.attempts) == (5, 5, "picky", 1)
    assert type(failure.exception) is Refused
    assert "in picky" in failure.traceback


@cases()
def test_return_puts_a_failure_in_the_place_of_the_result(case):
    results = list(case.map(picky, range(10), on_error="return"))
    assert [type(r) for r in results].index(Failure) == 5
    assert [r for r in results if r is not results[5]] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert (results[5].item, results[5].index, results[5].attempts) == (5, 5, 1)
    assert not results[5]
    assert "item 5 failed in picky after 1 attempt(s): Refused: not 5" in str(results[5])


@cases()
def test_of_many_failures_the_report_counts_all_and_the_run_keeps_a_thousand(case):
    run = case.map(half, range(2400), on_error="skip").wait()
    assert run.report.failures == 1200
    assert len(run.failures) == 1000


@cases()
def test_more_failures_than_allowed_end_the_run(case):
    run = case.map(half, range(10_000), on_error="skip", max_failures=10)
    with pytest.raises(TooManyFailures, match="max_failures=10"):
        list(run)
    assert run.report.failures > 10
    assert run.report.items + run.report.failures < 10_000


@cases()
def test_as_many_failures_as_allowed_do_not(case):
    run = case.map(half, range(20), on_error="return", max_failures=10)
    assert len(list(run)) == 20


@cases()
def test_a_share_of_failures_ends_the_run(case):
    run = case.map(half, range(10_000), on_error="skip", max_failures=0.2)
    with pytest.raises(TooManyFailures, match=r"max_failures=0\.2"):
        list(run)


@cases()
def test_a_smaller_share_does_not(case):
    run = case.map(picky, range(100), on_error="skip", max_failures=0.2)
    assert len(list(run)) == 99


@cases()
def test_a_chained_exception_shows_its_cause(case):
    def chained(x):
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise Refused("outer") from error

    [failure] = case.map(chained, [1], on_error="return")
    assert "KeyError: 'inner'" in failure.traceback
    assert "direct cause" in failure.traceback
    assert type(failure.exception) is Refused


@cases()
def test_a_failure_ends_the_run_at_once_with_many_items_to_go(case):
    def first_fails(x):
        if x == 0:
            raise Refused(x)
        time.sleep(0.01)
        return x

    began = time.monotonic()
    with pytest.raises(Refused):
        list(case.map(first_fails, range(100_000)))
    assert time.monotonic() - began < 2
