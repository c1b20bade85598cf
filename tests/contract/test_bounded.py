"""Contract 4: what was read and not yet consumed never exceeds the buffer; sources that never end, or raise."""

import asyncio
import itertools
import threading

import pytest

import plait
from tests.contract.models import cases
from tests.contract.sources import SourceFailed, failing, failing_async


def double(x):
    return x * 2


class Watched:
    """A source that sees, each time that an item is pulled, how many are ahead of the consumer."""

    def __init__(self, count):
        self.count = count
        self.pulled = self.consumed = self.worst = 0
        self.idle = threading.Event()

    def __iter__(self):
        for x in itertools.count() if self.count is None else range(self.count):
            self.pulled += 1
            self.worst = max(self.worst, self.pulled - self.consumed)
            yield x

    async def __aiter__(self):
        for x in self:
            yield x


@cases()
@pytest.mark.parametrize("buffer", [1, 3, 50])
def test_no_more_is_read_ahead_than_the_buffer(case, buffer):
    source = Watched(200)
    for result in case.map(double, source, buffer=buffer):
        assert result == source.consumed * 2
        source.consumed += 1
    assert source.consumed == 200
    # An item that the consumer has asked for, but not got yet, is one more than those that it has consumed.
    assert source.worst <= buffer + (case.model in ("serial", "auto") and not case.is_async)


@cases()
@pytest.mark.parametrize("buffer", [1, 50])
def test_nor_of_an_async_source_for_an_async_consumer(case, buffer):
    async def consume():
        source = Watched(200)
        async for _ in case.map(double, aiter(source), buffer=buffer):
            source.consumed += 1
        return source

    source = asyncio.run(consume())
    assert source.consumed == 200
    assert source.worst <= buffer + (case.model in ("serial", "auto") and not case.is_async)


@cases(lambda case: case.model not in ("serial", "auto"))
def test_a_stalled_consumer_stops_the_source_and_goes_on_later(case, until):
    source = Watched(None)
    with case.map(double, source, buffer=40, width=4) as run:
        results = iter(run)
        assert next(results) == 0
        source.consumed = 1
        until(lambda: source.pulled > 30, what="the source is read ahead")
        for _ in range(200):
            source.consumed += 1
            next(results)
        assert source.worst <= 41


@cases()
def test_an_infinite_source_is_read_as_far_as_it_is_consumed(case):
    source = Watched(None)
    with case.map(double, source) as run:
        assert list(itertools.islice(run, 500)) == [x * 2 for x in range(500)]
    assert source.pulled < 70_000


@cases()
@pytest.mark.parametrize("after", [0, 1, 100])
def test_results_come_first_when_the_source_raises(case, after):
    seen = []

    def consume():
        for result in case.map(double, failing(after)):
            seen.append(result)  # noqa: PERF402  what came before the error counts

    with pytest.raises(SourceFailed, match="no more"):
        consume()
    assert seen == [x * 2 for x in range(after)]


@cases()
def test_results_come_first_when_an_async_source_raises(case):
    seen = []

    async def consume():
        async for result in case.map(double, failing_async(100)):
            seen.append(result)  # noqa: PERF401  what came before the error counts

    with pytest.raises(SourceFailed):
        asyncio.run(consume())
    assert seen == [x * 2 for x in range(100)]


@cases()
def test_items_that_cannot_be_iterated_say_so_at_the_call(case):
    with pytest.raises(TypeError, match="iterable of items; got 'int'"):
        case.map(double, 3)


@cases()
def test_a_consumer_may_stop_midway(case):
    source = Watched(None)
    closed = threading.Event()

    def noticing():
        try:
            yield from source
        finally:
            closed.set()

    for result in case.map(double, noticing()):
        if result == 20:
            break
    run = case.map(double, Watched(None))
    with run:
        for result in run:
            if result == 20:
                break
    assert run.report.items >= 11


@cases()
def test_an_async_consumer_may_stop_midway(case):
    async def consume():
        async with case.map(double, itertools.count()) as run:
            async for result in run:
                if result == 20:
                    break
        return result

    assert asyncio.run(consume()) == 20


@cases()
def test_a_consumer_that_raises_gets_its_own_error(case):
    with pytest.raises(ZeroDivisionError), case.map(double, itertools.count()) as run:
        sum(1 / (result - 20) for result in run)


def test_a_slow_item_at_the_head_does_not_let_the_others_pile_up(until):
    """Ordered results held back by a slow one count against the buffer."""
    release, source = threading.Event(), Watched(None)

    def first_waits(x):
        if x == 0:
            release.wait(10)
        return x

    with plait.map(first_waits, source, model="threads", width=4, buffer=20) as run:
        run.start()
        until(lambda: source.pulled == 20, what="the buffer is full")
        release.set()
        assert next(iter(run)) == 0
    assert source.worst <= 21
