"""One item after the other in the consumer's own thread: plain, with a timeout, and observed."""

import threading
import time
from contextlib import nullcontext

import pytest

from plait.engine.figures import Figures
from plait.engine.inline import run_inline
from plait.engine.rules import Rules
from plait.errors import ItemTimeout, RunCancelled, TooManyFailures
from plait.events import ChunkFinished, Event, Hub, ItemFailed, ItemFinished, ItemRetried
from plait.failure import Failure
from plait.policy.retry import Retry

WAIT = 5.0
LONG = 3600.0


class Run:
    """An inline run, its loop being `plain`, `timed` or `watched`."""

    def __init__(self, loop: str, function, items=(), *, first: int = 0, outside=lambda: 0.0, **rules) -> None:
        if loop == "timed":
            rules.setdefault("timeout", LONG)
        self.figures, self.hub, self.heard = Figures("stage"), Hub(), list[Event]()
        self.figures.read = self.figures.finished = first
        if loop == "watched":
            self.hub.add(self.heard.append)
        self.cancelled: list[BaseException] = []
        self.ends = 0
        self.results = run_inline(
            function,
            iter(items),
            first,
            Rules("stage", **rules),
            self.figures,
            self.hub,
            self.cancelled,
            self._ended,
            outside,
        )

    def _ended(self) -> None:
        self.ends += 1

    @property
    def counted(self) -> tuple[int, int, int]:
        return self.figures.read, self.figures.finished, self.figures.failures


@pytest.fixture(params=["plain", "timed", "watched"])
def loop(request) -> str:
    return request.param


def divide(item):
    return 12 // item


def test_results_are_computed_when_they_are_asked_for(loop):
    calls: list[int] = []
    run = Run(loop, lambda item: calls.append(item) or item * 10, range(5))
    assert calls == []
    assert next(run.results) == 0
    assert calls == [0]
    assert list(run.results) == [10, 20, 30, 40]
    assert run.counted == (5, 5, 0)
    assert (run.figures.outcome, run.ends) == ("done", 1)


def test_it_goes_on_where_a_probe_ended(loop):
    run = Run(loop, divide, [0, 1], first=100, on_error="return")
    failure, value = run.results
    assert (failure.index, value) == (100, 12)
    assert run.counted == (102, 101, 1)


def test_the_first_failure_ends_it_and_says_which_item(loop):
    run = Run(loop, divide, [3, 0, 4])
    assert next(run.results) == 4
    with pytest.raises(ZeroDivisionError) as caught:
        next(run.results)
    assert "Raised in stage 'stage' for item 1: 0, attempt 1." in caught.value.__notes__
    assert run.counted == (2, 1, 1)
    assert (run.figures.outcome, run.ends) == ("failed", 1)


def test_failures_are_left_out_or_stand_in_their_results_place(loop):
    assert list(Run(loop, divide, [3, 0, 4], on_error="skip").results) == [4, 3]
    four, failure, three = Run(loop, divide, [3, 0, 4], on_error="return").results
    assert (four, three) == (4, 3)
    assert isinstance(failure, Failure)
    assert (failure.index, failure.attempts) == (1, 1)
    assert "divide" in failure.traceback


def test_too_many_failures_end_it(loop):
    run = Run(loop, divide, [0] * 10, on_error="skip", max_failures=2)
    with pytest.raises(TooManyFailures):
        list(run.results)
    assert run.figures.read == 3


def test_a_share_too_many_is_found_at_the_end(loop):
    run = Run(loop, divide, [1, 0, 0], on_error="skip", max_failures=0.5)
    with pytest.raises(TooManyFailures):
        list(run.results)
    assert run.figures.outcome == "failed"


def test_an_attempt_that_fails_is_followed_by_another(loop):
    calls: dict[int, int] = {}

    def second_time(item):
        calls[item] = calls.get(item, 0) + 1
        if calls[item] == 1:
            raise ConnectionError
        return item

    run = Run(loop, second_time, [7, 8], retry=Retry(1, backoff=0))
    assert list(run.results) == [7, 8]
    assert calls == {7: 2, 8: 2}
    assert (run.figures.retries, *run.counted) == (2, 2, 2, 0)


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), StopIteration()])
def test_what_is_no_exception_is_the_items_failure_too(loop, error):
    def function(item):
        if item:
            raise error
        return item

    zero, failure, other = Run(loop, function, [0, 1, 0], on_error="return").results
    assert (zero, other) == (0, 0)
    assert isinstance(failure, Failure)


def test_ctrl_c_is_no_failure_of_an_item_and_no_result_either(loop):
    def function(item):
        if item:
            raise KeyboardInterrupt
        return item

    run = Run(loop, function, [0, 1], retry=Retry(3, backoff=0), on_error="skip")
    assert next(run.results) == 0
    with pytest.raises(KeyboardInterrupt):
        next(run.results)
    assert run.figures.failures == 0
    assert run.figures.finished == 1
    assert run.ends == 1


def test_an_error_of_the_source_is_raised_as_it_is(loop):
    def source():
        yield 1
        raise OSError("disk")

    run = Run(loop, divide, source())
    assert next(run.results) == 12
    with pytest.raises(OSError, match="disk"):
        next(run.results)
    assert run.counted == (1, 1, 0)


def test_cancelled_it_begins_no_other_item(loop):
    calls: list[int] = []
    run = Run(loop, calls.append, range(5))
    next(run.results)
    run.cancelled.append(RunCancelled("by the test"))
    with pytest.raises(RunCancelled, match="by the test"):
        next(run.results)
    assert calls == [0]


def test_left_before_its_end_it_is_neither_done_nor_failed(loop):
    run = Run(loop, divide, [1, 2, 3])
    next(run.results)
    run.results.close()
    assert (run.figures.outcome, run.ends) == ("", 1)
    assert run.figures.finished == 1


def test_resources_are_opened_when_it_begins_and_closed_however_it_ends(loop):
    log: list[str] = []

    class Handle:
        def __init__(self):
            log.append("opened")

        def close(self):
            log.append("closed")

    def function(item, handle):
        return divide(item)

    for items, end in (([1, 2], nullcontext()), ([1, 0], pytest.raises(ZeroDivisionError))):
        log.clear()
        run = Run(loop, function, items, resources={"handle": Handle})
        assert log == []
        next(run.results)
        assert log == ["opened"]
        with end:
            list(run.results)
        assert log == ["opened", "closed"]


class TestTimeout:
    """Nothing here can end an item: its result is refused once it has one."""

    @pytest.fixture(params=["timed", "watched"])
    def loop(self, request) -> str:
        return request.param

    def test_a_late_result_is_refused(self, loop):
        idle = threading.Event()
        run = Run(loop, lambda item: idle.wait(item) or item, [0, 0.1, 0], timeout=0.02, on_error="return")
        zero, failure, other = run.results
        assert (zero, other) == (0, 0)
        assert isinstance(failure.exception, ItemTimeout)
        assert "its result is refused" in str(failure.exception)
        assert run.figures.timeouts == 1

    def test_what_the_consumer_takes_is_not_the_items(self, loop):
        idle = threading.Event()
        for _ in (run := Run(loop, lambda item: item, range(3), timeout=0.02)).results:
            idle.wait(0.06)
        assert run.figures.timeouts == 0

    def test_a_late_attempt_is_followed_by_another(self, loop):
        idle, calls = threading.Event(), []

        def slow_at_first(item):
            calls.append(item)
            idle.wait(0.1 if len(calls) == 1 else 0)
            return item

        run = Run(loop, slow_at_first, [7], timeout=0.02, retry=Retry(1, backoff=0))
        assert list(run.results) == [7]
        assert (run.figures.timeouts, run.figures.retries) == (1, 1)

    def test_a_deadline_counts_the_attempts_before(self, loop):
        idle, calls = threading.Event(), []

        def function(item):
            calls.append(item)
            idle.wait(0.06)
            raise ConnectionError

        run = Run(loop, function, [7], deadline=0.1, retry=Retry(100, backoff=0), on_error="return")
        list(run.results)
        assert len(calls) <= 2

    def test_it_leaves_no_timer(self, nothing_left):
        list(Run("timed", divide, [1, 2]).results)


class TestEvents:
    def test_each_item_is_told_of_once(self):
        run = Run("watched", divide, [1, 0, 2], on_error="skip", retry=Retry(1, backoff=0))
        list(run.results)
        assert [event.index for event in run.heard if isinstance(event, ItemFinished)] == [0, 2]
        assert [event.index for event in run.heard if isinstance(event, ItemRetried)] == [1]
        assert [(event.index, event.attempts) for event in run.heard if isinstance(event, ItemFailed)] == [(1, 2)]
        chunks = [event for event in run.heard if isinstance(event, ChunkFinished)]
        assert (sum(chunk.items for chunk in chunks), sum(chunk.failed for chunk in chunks)) == (3, 1)


class TestWhatItTook:
    def test_its_cpu_time_is_counted_and_its_seconds(self, loop):
        run = Run(loop, lambda item: sum(range(20_000)), range(30))
        began, cpu = time.perf_counter(), time.thread_time()
        list(run.results)
        wall, cpu = time.perf_counter() - began, time.thread_time() - cpu
        assert 0.5 * cpu <= run.figures.cpu <= cpu
        assert run.figures.cpu <= run.figures.busy <= wall

    @pytest.mark.parametrize(("loop", "known"), [("plain", 0.015), ("watched", 0.0)])
    def test_the_consumers_part_is_left_out_where_it_is_known(self, loop, known):
        run = Run(loop, divide, [1, 2], outside=lambda: known)
        began = time.perf_counter()
        for _ in run.results:
            time.sleep(0.01)  # the consumer
        assert run.figures.busy <= time.perf_counter() - began - 0.015

    def test_another_threads_clock_says_nothing(self, loop):
        run = Run(loop, divide, range(1, 9))
        next(run.results)
        closing = threading.Thread(target=run.results.close)
        closing.start()
        closing.join()
        assert run.figures.cpu == 0
