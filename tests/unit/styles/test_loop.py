"""Several items at once on an event loop, by slots."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from time import perf_counter
from typing import Any

import pytest

from plait.errors import FunctionStopped, ItemTimeout, RunCancelled
from plait.styles.batch import Batch
from plait.styles.loop import LoopRunner
from plait.styles.threads import inside

WAIT = 5.0
colour: ContextVar[Any] = ContextVar("colour", default="none")


class Bench:
    """A runner on the running loop, with what it emits."""

    def __init__(
        self, function: Callable[[Any], Any], width: int = 4, timeout: float | None = None, **resources: Any
    ) -> None:
        self.words = [0] * width
        self.batches: list[Batch] = []
        self.broken: list[BaseException] = []
        self.emitted = asyncio.Event()
        self.runner = LoopRunner(
            function, resources, width, self.words, self._emit, self._broken, copy_context(), timeout
        )

    def _emit(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.emitted.set()

    def _broken(self, error: BaseException) -> None:
        self.broken.append(error)
        self.emitted.set()

    @property
    def outcomes(self) -> dict[int, Any]:
        """Sequence number -> value or exception."""
        found: dict[int, Any] = {}
        for batch in self.batches:
            seqs = batch.seqs or range(batch.first, batch.first + len(batch.values))
            failed = {at: one.error for at, one in batch.errors}
            for at, (seq, value) in enumerate(zip(seqs, batch.values, strict=True)):
                assert seq not in found, f"{seq} came twice"
                found[seq] = failed.get(at, value)
        return found

    async def until(self, count: int) -> dict[int, Any]:
        """Wait for so many outcomes."""
        async with asyncio.timeout(WAIT):
            while len(self.outcomes) < count and not self.broken:
                self.emitted.clear()
                await self.emitted.wait()
        return self.outcomes


def on_a_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__ = test.__name__
    return run


async def double(item):
    await asyncio.sleep(0)
    return item * 2


@on_a_loop
async def test_every_item_has_its_result():
    one = Bench(double)
    one.runner.put(10, range(100))
    assert await one.until(100) == {10 + i: i * 2 for i in range(100)}
    assert await one.runner.close(WAIT) == []


@on_a_loop
async def test_what_finishes_together_travels_together_straight_where_it_can():
    one = Bench(double, width=100)
    one.runner.put(0, range(100))
    await one.until(100)
    assert len(one.batches) < 10
    assert all(batch.seqs is None for batch in one.batches)
    await one.runner.close(WAIT)


@on_a_loop
async def test_what_finishes_out_of_order_says_so():
    first = asyncio.Event()

    async def function(item):
        if item == 0:
            await first.wait()
        else:
            first.set()
        return item

    one = Bench(function, width=2)
    one.runner.put(0, [0, 1, 2])
    assert await one.until(3) == {0: 0, 1: 1, 2: 2}
    await one.runner.close(WAIT)


@on_a_loop
async def test_so_many_at_once_as_it_is_wide():
    now, most = 0, 0

    async def function(item):
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(3):
            await asyncio.sleep(0)
        now -= 1

    one = Bench(function, width=3)
    one.runner.put(0, range(20))
    await one.until(20)
    assert most == 3
    await one.runner.close(WAIT)


@on_a_loop
async def test_words_tell_what_each_slot_has_in_hand():
    go, both = asyncio.Event(), asyncio.Barrier(3)

    async def function(item):
        await both.wait()
        await go.wait()

    one = Bench(function, width=3)
    one.runner.put(40, ["a", "b"])
    await both.wait()
    assert sorted(one.words) == [0, 41, 42]
    go.set()
    await one.until(2)
    assert one.words == [0, 0, 0]
    await one.runner.close(WAIT)


@on_a_loop
async def test_an_error_is_the_items_alone():
    async def function(item):
        return 1 // item

    one = Bench(function, width=1)
    one.runner.put(0, [1, 0, 1])
    found = await one.until(3)
    assert (found[0], found[2]) == (1, 1)
    assert isinstance(found[1], ZeroDivisionError)
    texts = [failed.traceback for batch in one.batches for _, failed in batch.errors]
    assert "in function" in texts[0]
    assert "_serve" not in texts[0]
    await one.runner.close(WAIT)


@on_a_loop
async def test_a_function_that_is_not_async_is_told_so():
    one = Bench(lambda item: item)
    one.runner.put(0, [1])
    error = (await one.until(1))[0]
    assert isinstance(error, TypeError)
    assert "not an awaitable: make it `async def`" in str(error)
    await one.runner.close(WAIT)


@on_a_loop
async def test_any_awaitable_will_do():
    loop = asyncio.get_running_loop()

    def function(item):
        future = loop.create_future()
        loop.call_soon(future.set_result, item)
        return future

    one = Bench(function)
    one.runner.put(0, [5])
    assert await one.until(1) == {0: 5}
    await one.runner.close(WAIT)


@pytest.mark.parametrize(
    "error", [SystemExit(3), asyncio.CancelledError("mine")], ids=lambda error: type(error).__name__
)
def test_what_is_no_exception_is_the_items_failure_and_the_slot_goes_on(error):
    async def test():
        async def function(item):
            if item:
                raise error
            return "fine"

        one = Bench(function, width=1)
        one.runner.put(0, [1, 0])
        assert await one.until(2) == {0: error, 1: "fine"}
        assert not one.broken
        await one.runner.close(WAIT)

    asyncio.run(test())


@on_a_loop
async def test_stop_iteration_becomes_an_error_that_can_be_raised():
    def function(item):
        return next(iter(()))

    one = Bench(function)
    one.runner.put(0, [1])
    assert isinstance((await one.until(1))[0], FunctionStopped)
    await one.runner.close(WAIT)


@on_a_loop
async def test_an_item_awaiting_something_cancelled_fails_and_the_others_go_on():
    async def function(item):
        if item:
            other = asyncio.ensure_future(asyncio.sleep(3600))
            asyncio.get_running_loop().call_soon(other.cancel)
            await other
        return "fine"

    one = Bench(function, width=2)
    one.runner.put(0, [1, 0, 1, 0])
    found = await one.until(4)
    assert [type(found[at]) for at in range(4)] == [asyncio.CancelledError, str, asyncio.CancelledError, str]
    assert not one.broken
    await one.runner.close(WAIT)


@on_a_loop
async def test_who_cancels_all_tasks_of_the_loop_ends_the_run():
    began = asyncio.Event()

    async def function(item):
        began.set()
        await asyncio.sleep(3600)

    one = Bench(function, width=1)
    one.runner.put(0, [1, 2])
    await began.wait()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await one.until(1)
    assert [type(error) for error in one.broken] == [RunCancelled]
    assert not one.outcomes
    await one.runner.close(WAIT)


class TestTimeout:
    @staticmethod
    async def slow(item):
        await asyncio.sleep(3600 if item == "slow" else 0)
        return item

    def test_an_attempt_that_takes_too_long_is_cancelled_and_the_others_are_not(self):
        async def test():
            one = Bench(self.slow, width=2, timeout=0.02)
            one.runner.put(0, ["slow", "a", "b", "slow", "c"])
            found = await one.until(5)
            assert {at: value for at, value in found.items() if isinstance(value, str)} == {1: "a", 2: "b", 4: "c"}
            for at in (0, 3):
                assert isinstance(found[at], ItemTimeout)
                assert "timeout=0.02 s; its coroutine was cancelled" in str(found[at])
            await one.runner.close(WAIT)

        asyncio.run(test())

    def test_it_is_never_early(self):
        async def test():
            one = Bench(self.slow, width=1, timeout=0.05)
            began = perf_counter()
            one.runner.put(0, ["slow"])
            await one.until(1)
            assert perf_counter() - began >= 0.05
            await one.runner.close(WAIT)

        asyncio.run(test())

    @pytest.mark.parametrize("how", ["returns", "raises"])
    def test_what_a_late_attempt_makes_of_its_cancellation_is_refused(self, how):
        async def test():
            async def function(item):
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    if how == "raises":
                        raise ValueError("mine") from None
                return "too late"

            one = Bench(function, width=1, timeout=0.01)
            one.runner.put(0, [1, 2])
            found = await one.until(2)
            assert [type(error) for error in found.values()] == [ItemTimeout, ItemTimeout]
            await one.runner.close(WAIT)

        asyncio.run(test())

    def test_what_is_left_of_an_items_deadline_may_be_shorter(self):
        async def test():
            one = Bench(self.slow, width=3, timeout=3600.0)
            one.runner.put(0, ["slow"], 0.02)
            one.runner.put(1, ["fast"])
            found = await one.until(2)
            assert isinstance(found[0], ItemTimeout)
            assert found[1] == "fast"
            await one.runner.close(WAIT)

        asyncio.run(test())

    def test_that_is_forgotten_with_its_item(self):
        """A run of millions of retries must not keep a number for each."""

        async def test():
            one = Bench(self.slow, width=2, timeout=3600.0)
            one.runner.put(0, ["a", "slow", "b"], 0.02)
            await one.until(3)
            assert one.runner._shorter == {}
            await one.runner.close(WAIT)

        asyncio.run(test())

    def test_a_deadline_that_has_passed_before_it_began_ends_it_at_once(self):
        async def test():
            one = Bench(self.slow, width=1, timeout=3600.0)
            one.runner.put(0, ["slow"], -1.0)
            assert isinstance((await one.until(1))[0], ItemTimeout)
            await one.runner.close(WAIT)

        asyncio.run(test())

    def test_more_time_than_the_timeout_is_not_given(self):
        async def test():
            one = Bench(self.slow, width=1, timeout=0.02)
            one.runner.put(0, ["slow"], 3600.0)
            assert isinstance((await one.until(1))[0], ItemTimeout)
            await one.runner.close(WAIT)

        asyncio.run(test())

    def test_an_item_that_blocks_the_loop_beyond_its_timeout_costs_no_slot(self):
        """Nothing could cancel it while it blocked; what follows it in its slot must still run."""

        async def test():
            async def function(item):
                until = perf_counter() + 0.03
                while perf_counter() < until:
                    pass
                return item

            one = Bench(function, width=1, timeout=0.01)
            one.runner.put(0, [1, 2, 3])
            found = await one.until(3)
            assert sorted(found) == [0, 1, 2]
            await one.runner.close(WAIT)

        asyncio.run(test())


@on_a_loop
async def test_each_item_has_a_fresh_context_of_the_callers():
    async def function(item):
        before = colour.get()
        colour.set(item)
        return before, inside.get()

    colour.set("callers")
    one = Bench(function, width=1)
    colour.set("later")
    one.runner.put(0, range(5))
    assert set((await one.until(5)).values()) == {("callers", True)}
    await one.runner.close(WAIT)


@on_a_loop
async def test_a_value_in_the_context_that_cannot_be_compared_costs_no_slot():
    class Array:
        def __eq__(self, other):
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None

    async def function(item):
        colour.set(Array())
        return item

    colour.set(Array())
    one = Bench(function, width=1)
    one.runner.put(0, range(3))
    assert await one.until(3) == {0: 0, 1: 1, 2: 2}
    await one.runner.close(WAIT)


@on_a_loop
async def test_items_that_never_wait_let_others_on_the_loop_have_their_turn():
    turns = 0

    async def function(item):
        until = perf_counter() + 0.001
        while perf_counter() < until:
            pass

    async def bystander():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    one = Bench(function, width=1)
    beside = asyncio.ensure_future(bystander())
    one.runner.put(0, range(50))
    await one.until(50)
    beside.cancel()
    assert turns >= 8
    await one.runner.close(WAIT)


@on_a_loop
async def test_items_put_later_are_taken_by_slots_that_were_free():
    one = Bench(double, width=2)
    for at in range(5):
        one.runner.put(at, [at])
        await one.until(at + 1)
    assert one.outcomes == {at: at * 2 for at in range(5)}
    await one.runner.close(WAIT)


class TestResources:
    class Session:
        def __init__(self, log):
            self.log = log

        async def __aenter__(self):
            self.log.append("open")
            return self

        async def __aexit__(self, *_):
            self.log.append("close")

    def test_it_is_opened_once_before_and_closed_after(self):
        async def test():
            log = []

            async def function(item, session):
                log.append(item)
                return session.log is log

            one = Bench(function, width=1, session=self.Session(log))
            one.runner.put(0, ["a"])
            one.runner.put(1, ["b"])
            assert set((await one.until(2)).values()) == {True}
            assert await one.runner.close(WAIT) == []
            assert log == ["open", "a", "b", "close"]

        asyncio.run(test())

    def test_one_that_cannot_be_opened_breaks_the_work(self):
        async def test():
            def refuse():
                raise ConnectionError("no database")

            one = Bench(double, db=refuse)
            one.runner.put(0, [1])
            await one.until(1)
            assert [str(error) for error in one.broken] == ["no database"]
            await one.runner.close(WAIT)

        asyncio.run(test())


class TestClose:
    def test_it_cancels_what_runs_and_begins_nothing_more(self):
        async def test():
            began, ran, ended = asyncio.Event(), [], []

            async def function(item):
                ran.append(item)
                began.set()
                try:
                    await asyncio.sleep(3600)
                finally:
                    ended.append(item)

            one = Bench(function, width=1)
            one.runner.put(0, [0, 1])
            await began.wait()
            assert await one.runner.close(WAIT) == []
            one.runner.put(2, [2])
            await asyncio.sleep(0)
            assert (ran, ended) == ([0], [0])
            assert not one.outcomes
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(test())

    def test_what_has_finished_is_emitted(self):
        async def test():
            began = asyncio.Event()

            async def function(item):
                if item == "slow":
                    began.set()
                    await asyncio.sleep(3600)
                return item

            one = Bench(function, width=1)
            one.runner.put(0, ["done", "slow"])
            await began.wait()
            await one.runner.close(WAIT)
            assert one.outcomes == {0: "done"}

        asyncio.run(test())

    def test_what_will_not_end_is_named(self):
        async def test():
            go = asyncio.Event()

            async def stubborn(item):
                while not go.is_set():
                    try:
                        await go.wait()
                    except asyncio.CancelledError:
                        continue

            one = Bench(stubborn, width=1)
            one.runner.put(0, [0])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            (stuck,) = await one.runner.close(0.01)
            assert "_serve" in stuck
            go.set()
            await asyncio.sleep(0.001)

        asyncio.run(test())


class TestResize:
    """Its width changes while it runs."""

    def test_it_grows(self):
        @on_a_loop
        async def test():
            together = asyncio.Barrier(6)

            async def meet(item):
                await together.wait()
                return item

            one = Bench(meet, 2)
            one.runner.put(0, list(range(6)))
            await asyncio.sleep(0)
            one.runner.resize(6)
            assert await one.until(6) == dict(enumerate(range(6)))
            await one.runner.close(WAIT)

        test()

    def test_it_shrinks_once_items_are_done(self):
        @on_a_loop
        async def test():
            active, most = [], []

            async def counted(item):
                active.append(item)
                most.append(len(active))
                await asyncio.sleep(0.001)
                active.remove(item)
                return item

            one = Bench(counted, 8)
            one.runner.put(0, list(range(16)))
            await one.until(8)
            one.runner.resize(2)
            await one.until(16)
            most.clear()
            one.runner.put(16, list(range(16, 40)))
            assert len(await one.until(40)) == 40
            assert max(most) == 2
            await one.runner.close(WAIT)

        test()

    def test_up_and_down_again_loses_nothing(self):
        @on_a_loop
        async def test():
            one = Bench(double, 3)
            for at, width in enumerate([1, 3, 1, 4, 2, 8, 1, 8] * 5):
                one.runner.resize(width)
                one.runner.put(20 * at, list(range(20)))
                await asyncio.sleep(0)
            assert len(await one.until(800)) == 800
            assert not one.broken
            await one.runner.close(WAIT)

        test()
