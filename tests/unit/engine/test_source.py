"""Items from any iterable, read no further ahead than there is room."""

import asyncio
import sqlite3
import threading
from itertools import count

import pytest

from plait.engine.loops import LoopThread
from plait.engine.source import Bridge, feed, feed_async, length, source_failed
from plait.errors import RunCancelled
from tests.unit.engine.seats import Bench

WAIT = 5.0


class Sized:
    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __len__(self) -> int:
        raise self.error


@pytest.mark.parametrize(
    ("items", "known"),
    [([1, 2], 2), (range(0), 0), (iter([1]), None), (count(), None), (Sized(NotImplementedError), None)],
)
def test_its_length_where_it_knows(items, known):
    assert length(items) == known


def test_an_error_in_its_length_is_its_own():
    with pytest.raises(ZeroDivisionError):
        length(Sized(ZeroDivisionError))


def numbers(most: int, read: list[int], error: BaseException | None = None):
    for number in range(most):
        read.append(number)
        yield number
    if error is not None:
        raise error


def in_thread(source, bench: Bench) -> threading.Thread:
    thread = threading.Thread(target=feed, args=(source, bench.lane, bench.outlet))
    thread.start()
    return thread


class TestFeed:
    def test_every_item_is_offered_and_the_end_told(self):
        bench = Bench(buffer=100)
        feed(iter("abc"), bench.lane, bench.outlet)
        assert list(bench.lane.line.ready) == ["a", "b", "c"]
        assert bench.lane.read_all

    def test_a_source_that_fills_the_buffer_to_the_last_place_ends(self, until):
        bench = Bench(buffer=3)
        seat = bench.seat("loop", 8)
        thread = in_thread(iter(range(3)), bench)
        until(lambda: bench.figures.read == 3, WAIT, "the items read")
        bench.run()
        found = []
        while (taken := bench.outlet.take()) is not None:
            found += taken
        thread.join(WAIT)
        assert found == [0, 10, 20]
        assert sorted(seat.items) == [0, 1, 2]

    def test_it_reads_no_further_than_there_is_room(self, until):
        bench, read = Bench(buffer=4), []
        thread = in_thread(numbers(1000, read), bench)
        until(lambda: bench.outlet._sources, WAIT, "the source that waits for room")
        assert read == [0, 1, 2, 3]
        bench.lane.stop(RunCancelled())
        thread.join(WAIT)
        assert not thread.is_alive()
        assert read == [0, 1, 2, 3]
        assert bench.figures.held == 0  # nothing had come back: nobody was slow

    def test_nothing_is_read_once_the_run_is_over(self):
        bench, read = Bench(), []
        bench.lane.stop(RunCancelled())
        feed(numbers(1000, read), bench.lane, bench.outlet)
        assert read == []

    def test_its_error_comes_after_the_results_of_what_it_gave(self):
        bench = Bench()
        bench.seat("loop", 8)
        feed(numbers(2, [], OSError("disk")), bench.lane, bench.outlet)
        bench.run()
        assert bench.outlet.take() == [0, 10]
        with pytest.raises(OSError, match="disk") as caught:
            bench.outlet.take()
        assert caught.value.__notes__ == ["Raised by the source of the items after 2 items, whose results came first."]


class TestFailed:
    def test_at_once(self):
        assert source_failed(OSError(), 0).__notes__ == ["Raised by the source of the items."]

    def test_a_cursor_is_told_how_to_be_read(self):
        connection = sqlite3.connect(":memory:")
        cursor = connection.execute("select 1")
        caught: list[BaseException] = []

        def read():
            try:
                next(cursor)
            except sqlite3.ProgrammingError as error:
                caught.append(source_failed(error, 0))

        thread = threading.Thread(target=read)
        thread.start()
        thread.join(WAIT)
        connection.close()
        assert "pass list(cursor), or model='serial'" in caught[0].__notes__[1]

    def test_stop_iteration_cannot_be_raised_from_a_generator(self):
        error = StopIteration("odd")
        wrapped = source_failed(error, 0)
        assert isinstance(wrapped, RuntimeError)
        assert wrapped.__cause__ is error


async def a_few(most: int, error: BaseException | None = None):
    for number in range(most):
        yield number
    if error is not None:
        raise error


class TestAsync:
    def test_every_item_is_offered_and_the_end_told(self):
        bench = Bench()
        asyncio.run(feed_async(a_few(3), bench.lane, bench.outlet))
        assert list(bench.lane.line.ready) == [0, 1, 2]
        assert bench.lane.read_all

    def test_it_reads_no_further_than_there_is_room(self):
        async def test():
            bench = Bench(buffer=4)
            bench.seat("loop", 8)
            feeding = asyncio.create_task(feed_async(a_few(10), bench.lane, bench.outlet))

            async def answer():
                while not bench.lane.over:
                    bench.run()
                    await asyncio.sleep(0)

            answering, found = asyncio.create_task(answer()), []
            while (taken := await bench.outlet.take_async()) is not None:
                assert bench.figures.read - len(found) <= 4
                found += taken
            await asyncio.gather(feeding, answering)
            return found

        assert asyncio.run(test()) == [10 * number for number in range(10)]

    def test_its_error_comes_after_the_results_of_what_it_gave(self):
        bench = Bench()
        bench.seat("loop", 8)
        asyncio.run(feed_async(a_few(1, OSError("disk")), bench.lane, bench.outlet))
        bench.run()
        assert bench.outlet.take() == [0]
        with pytest.raises(OSError, match="disk"):
            bench.outlet.take()

    @pytest.mark.parametrize("over", [False, True])
    def test_cancelled_by_its_loops_owner_it_ends_the_run_and_by_us_it_was_over(self, over):
        async def test():
            bench = Bench(buffer=1)
            bench.seat("loop", 8)
            feeding = asyncio.create_task(feed_async(a_few(5), bench.lane, bench.outlet))
            while not bench.outlet._sources:
                await asyncio.sleep(0)
            if over:
                bench.lane.over = True  # as in the moment after the lane's end, before it wakes the source
            feeding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await feeding
            return bench

        bench = asyncio.run(test())
        assert bench.lane.read_all is not over
        if not over:
            bench.run()
            assert bench.outlet.take() == [0]
            with pytest.raises(RunCancelled, match="the source was cancelled"):
                bench.outlet.take()


class TestBridge:
    @pytest.fixture
    def loop(self, nothing_left):
        made = LoopThread()
        yield made.loop
        assert made.stop(WAIT)

    def test_an_async_source_is_read_from_another_thread(self, loop):
        assert list(Bridge(aiter(a_few(3)), loop)) == [0, 1, 2]

    def test_what_was_not_read_is_left_for_who_goes_on(self, loop):
        source = aiter(a_few(3))
        assert next(Bridge(source, loop)) == 0
        assert list(Bridge(source, loop)) == [1, 2]

    def test_its_error_is_raised_here(self, loop):
        with pytest.raises(OSError, match="disk"):
            list(Bridge(aiter(a_few(1, OSError("disk"))), loop))
