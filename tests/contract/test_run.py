"""A run's life: lazy, single use, cancelled from anywhere, many at once, one inside another."""

import asyncio
import gc
import itertools
import re
import threading
import time
import warnings

import pytest

import plait
from plait import RunCancelled, RunUsedTwice
from tests.contract.models import cases


def double(x):
    return x * 2


def nap(x):
    time.sleep(0.005)
    return x


@cases()
def test_nothing_runs_before_it_is_asked_for(case, calls):
    run = case.map(calls.note, range(10))
    assert calls.noted() == []
    assert repr(run) == "<Run of note: not started, 0 items, 0 failures>"
    run.wait()
    assert sum(calls.counts().values()) == 10
    assert repr(run) == "<Run of note: done, 10 items, 0 failures>"


@cases()
def test_a_run_never_used_warns(case):
    def forget():
        case.map(double, range(10))
        gc.collect()

    with pytest.warns(RuntimeWarning, match=re.escape("plait.map(double, ...) was never used, so nothing ran")):
        forget()


@cases()
def test_a_run_that_was_used_does_not_warn(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = case.map(double, range(10))
        assert len(list(run)) == 10
        del run
        gc.collect()


@cases()
def test_a_run_is_single_use(case):
    run = case.map(double, range(10))
    assert len(list(run)) == 10
    with pytest.raises(RunUsedTwice, match="single use"):
        list(run)
    with pytest.raises(RunUsedTwice, match="now by async for"):
        aiter(run)


@cases()
def test_wait_runs_to_the_end_and_returns_the_run(case, calls):
    run = case.map(calls.note, range(30))
    assert run.wait() is run
    assert sum(calls.counts().values()) == 30


@cases()
def test_start_begins_in_the_background(case, calls, until):
    with case.map(calls.note, range(30)) as run:
        assert run.start() is run
        until(lambda: calls.noted(), what="a call")
        assert list(run) == [None] * 30


@cases()
def test_cancel_from_another_thread_ends_the_run(case):
    run = case.map(nap, itertools.count())
    seen = []
    began = time.monotonic()

    def cancel():
        run.cancel()
        assert time.monotonic() - began < 5

    def consume():
        for result in run:
            seen.append(result)
            if result == 20:
                thread = threading.Thread(target=cancel)
                thread.start()
                thread.join()
            assert result < 20_000, "it goes on for ever"

    with pytest.raises(RunCancelled, match=re.escape("run.cancel() was called")):
        consume()
    assert seen == list(range(len(seen)))
    assert time.monotonic() - began < 5


@cases()
def test_cancel_ends_a_run_of_tiny_items(case):
    run = case.map(double, itertools.count())
    threading.Timer(0.3, run.cancel).start()
    began = time.monotonic()
    with pytest.raises(RunCancelled):
        run.wait()
    assert time.monotonic() - began < 4


@cases()
def test_cancel_wakes_a_consumer_that_waits(case):
    """The only item takes long; in this thread and in serial models, cancelling takes effect after it."""

    def long(x):
        time.sleep(1.0)
        return x

    async def long_async(x):
        await asyncio.sleep(30)

    fn = long_async if case.is_async else long
    run = plait.map(fn, itertools.count(), model=case.model, workers=1)
    threading.Timer(0.3, run.cancel).start()
    began = time.monotonic()
    with pytest.raises(RunCancelled):
        run.wait()
    assert time.monotonic() - began < 4


@cases()
def test_a_run_cancelled_before_it_began_gives_nothing(case, calls):
    run = case.map(calls.note, range(10))
    run.cancel()
    with pytest.raises(plait.PlaitError):
        list(run)
    assert calls.noted() == []


@cases()
def test_leaving_the_with_ends_the_run(case, calls):
    def noting(x):
        calls.note(x)
        time.sleep(0.002)
        return x

    with case.map(noting, itertools.count()) as run:
        for result in run:
            if result == 5:
                break
    done = len(calls.noted())
    again = case.map(double, range(50))  # as good a wait as any: another run, from start to end
    assert len(list(again)) == 50
    assert len(calls.noted()) == done, "items ran after the `with` was left"


@cases()
def test_several_runs_at_once_in_threads(case):
    outcomes = {}

    def run(n):
        outcomes[n] = list(case.map(lambda x, n=n: x + n, range(200)))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {n: [x + n for x in range(200)] for n in range(4)}


@cases()
def test_several_runs_at_once_on_one_event_loop(case):
    async def consume():
        return await asyncio.gather(*(case.map(lambda x, n=n: x + n, range(100)) for n in range(4)))

    assert asyncio.run(consume()) == [[x + n for x in range(100)] for n in range(4)]


@cases()
def test_two_runs_consumed_in_turns(case):
    with case.map(double, range(300)) as first, case.map(nap, range(300)) as second:
        assert list(zip(first, second, strict=True)) == [(x * 2, x) for x in range(300)]


def nested(x):
    return sum(plait.map(double, range(x)))


@cases(lambda case: not case.is_async)
def test_a_map_inside_an_item_is_serial(case):
    def inner(x):
        run = plait.map(double, range(20))
        total = sum(run)
        return total, run.report.model

    outcomes = list(case.map(inner, range(6)))
    assert [total for total, _ in outcomes] == [380] * 6
    if case.model not in ("serial", "auto"):
        assert {model for _, model in outcomes} == {"serial"}


@cases(lambda case: case.model in ("threads", "serial", "processes", "processes+threads"))
def test_a_map_inside_an_item_under_a_model_of_its_own(case):
    def inner(x):
        return sum(plait.map(double, range(20), model="threads", width=2))

    assert list(case.map(inner, range(6))) == [380] * 6


@cases(lambda case: case.is_async and case.model != "serial")
def test_an_async_map_inside_a_coroutine(case):
    async def inner_item(x):
        return x * 2

    async def inner(x):
        return sum(await plait.map(inner_item, range(20)))

    assert list(plait.map(inner, range(6), model=case.model, workers=2)) == [380] * 6


@cases(lambda case: case.model == "async")
def test_a_coroutine_runs_on_the_loop_of_an_async_caller(case):
    async def which(x):
        return id(asyncio.get_running_loop())

    async def consume():
        return set(await plait.map(which, range(5))) == {id(asyncio.get_running_loop())}

    assert asyncio.run(consume())


@cases(lambda case: case.model in ("async", "auto") and case.is_async)
def test_iterating_with_for_on_the_loop_that_runs_the_items_is_refused(case):
    async def consume():
        run = plait.map(case.function(double), range(5), model=case.model)
        run.start()
        try:
            with pytest.raises(RuntimeError, match="use `async for` or `await`"):
                iter(run)
        finally:
            async with run:
                pass

    asyncio.run(consume())


@cases()
def test_a_task_that_is_cancelled_while_it_awaits_a_run_ends_the_run(case):
    async def consume():
        run = case.map(nap, itertools.count())
        task = asyncio.current_task()
        async for _ in run:
            task.cancel()
        pytest.fail("an infinite run ended by itself")

    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(consume())
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("model", ["threads", "processes"])
def test_threads_that_share_an_iterator_cannot_crash_the_interpreter(model):
    """A run has one consumer. Another thread is told so, or gets results as well; nothing is lost on the way."""
    results = iter(plait.map(nap, range(300), model=model, workers=2))
    taken, refused = [], []

    def take():
        try:
            while True:
                taken.append(next(results))
        except StopIteration:
            pass
        except ValueError as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("already executing" in str(error) for error in refused)
    assert sorted(taken) == list(range(300))
