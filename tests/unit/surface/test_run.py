"""A run: used once, ended once, and what it says of itself meanwhile."""

import asyncio
import gc
import threading

import pytest

from plait.errors import RunCancelled, RunUsedTwice
from plait.events import ItemFinished, RunFinished
from plait.surface.map import map

WAIT = 5.0


def double(x):
    return 2 * x


async def later(x):
    await asyncio.sleep(0)
    return 2 * x


def serial(function=double, items=(1, 2, 3), **options):
    return map(function, items, **{"model": "serial", **options})


class TestUse:
    def test_nothing_starts_before_it_is_used(self):
        calls: list[int] = []
        run = serial(calls.append)
        assert repr(run) == "<Run of append: not started, 0 items, 0 failures>"
        assert calls == []
        run.wait()
        assert calls == [1, 2, 3]
        assert repr(run) == "<Run of append: done, 3 items, 0 failures>"

    def test_it_is_used_once(self):
        run = serial()
        assert list(run) == [2, 4, 6]
        with pytest.raises(RunUsedTwice):
            list(run)
        with pytest.raises(RunUsedTwice):
            run.wait()
        with pytest.raises(RunUsedTwice):
            aiter(run)

    def test_entered_or_started_it_is_still_to_be_used(self):
        with serial() as run:
            assert list(run) == [2, 4, 6]
        run = serial(model="threads").start()
        assert list(run) == [2, 4, 6]

    def test_wait_gives_back_the_run(self):
        run = serial()
        assert run.wait() is run

    def test_one_that_is_never_used_warns(self):
        held = [serial()]
        with pytest.warns(RuntimeWarning, match=r"plait\.map\(double, \.\.\.\) was never used, so nothing ran"):
            held.clear()

    def test_one_that_was_cancelled_instead_does_not(self):
        run = serial()
        run.cancel()
        with pytest.raises(RunCancelled):
            list(run)

    def test_items_on_this_threads_loop_cannot_be_waited_for_by_blocking_it(self):
        async def test():
            async with map(later, [1, 2], model="async").start() as run:
                with pytest.raises(RuntimeError, match="use `async for` or `await` instead"):
                    iter(run)

        asyncio.run(test())

    def test_awaited_it_is_a_list(self):
        async def test():
            return await map(later, range(5), model="async")

        assert asyncio.run(test()) == [0, 2, 4, 6, 8]


class TestEnd:
    def test_cancelled_from_another_thread(self, nothing_left):
        began = threading.Event()
        run = map(lambda x: began.set(), iter(int, 1), model="threads", width=2)
        canceller = threading.Thread(target=lambda: began.wait(WAIT) and run.cancel())
        canceller.start()
        with pytest.raises(RunCancelled, match=r"run\.cancel\(\) was called"):
            run.wait()
        canceller.join()

    def test_left_early_it_is_closed_with_its_block(self, nothing_left):
        with map(double, iter(int, 1), model="threads", width=2) as run:
            assert next(iter(run)) == 0
        assert "done" in repr(run)

    def test_dropped_it_is_ended(self, nothing_left, until):
        run = map(double, iter(int, 1), model="threads", width=2).start()
        figures = run._drive.figures
        del run
        gc.collect()
        until(lambda: figures.ended, WAIT, "the end of the run")


class TestTold:
    def test_failures_are_listed(self):
        run = serial(lambda x: 10 // x, [0, 5, 0], on_error="skip").wait()
        assert [(failure.index, failure.item) for failure in run.failures] == [(0, 0), (2, 0)]
        assert run.report.failures == 2

    def test_observers_hear_of_what_they_asked_for_inside_their_block(self):
        heard = []
        run = serial()
        with run.observe(heard.append, [ItemFinished]):
            run.wait()
        assert [event.index for event in heard] == [0, 1, 2]

    def test_its_end_is_told_with_what_came_of_it(self):
        heard = []
        run = serial(lambda x: 10 // x, [5, 0, 2], on_error="skip")
        with run.observe(heard.append, [RunFinished]):
            run.wait()
        (event,) = heard
        assert (event.outcome, event.finished, event.failures) == ("done", 2, 1)


class TestFigures:
    """What tells source, function and consumer apart, whoever reads the source and takes the results."""

    @staticmethod
    def source(go):
        yield 0
        go.wait(0.05)
        yield 1

    def test_a_consumer_on_a_loop_waits_too(self):
        async def test():
            run = map(double, self.source(threading.Event()), model="threads", width=1)
            assert await run == [0, 2]
            return run.report.to_dict()["consumer_waited_seconds"]

        assert asyncio.run(test()) >= 0.04

    def test_an_async_source_is_held_back_too(self):
        async def numbers():
            for number in range(3):
                yield number

        async def test():
            run = map(double, numbers(), model="threads", width=1, buffer=1)
            async for _ in run:
                await asyncio.sleep(0.02)
            return run.report.to_dict()["source_held_seconds"]

        assert asyncio.run(test()) >= 0.02
