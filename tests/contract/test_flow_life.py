"""The life of a flow's run: consumed in every way, left early, cancelled, bounded, one inside another."""

import asyncio
import gc
import itertools
import os
import signal
import sys
import threading
import time

import pytest

import plait
from plait import RunCancelled, RunUsedTwice
from tests.contract.models import cases

MODELS = ["serial", "threads", "processes", "auto"]
every_model = pytest.mark.parametrize("model", MODELS)


def double(x):
    return x * 2


def nap(x):
    time.sleep(0.002)
    return x


async def nap_async(x):
    await asyncio.sleep(0.002)
    return x


def flow_of(items, model, fn=double):
    last = "threads" if model == "processes" else model
    return plait.flow(items).map(fn, model=model, workers=2).map(abs, model=model, workers=1).map(nap, model=last)


WAYS = {
    "for": list,
    "iter": lambda run: [*iter(run)],
    "with": lambda run: run.__enter__() and (list(run), run.__exit__(None, None, None))[0],
    "start": lambda run: list(run.start()),
    "await": lambda run: asyncio.run(awaiting(run)),
    "async for": lambda run: asyncio.run(iterating(run)),
    "async start": lambda run: asyncio.run(starting(run)),
}


async def awaiting(run):
    return await run


async def iterating(run):
    async with run:
        return [result async for result in run]


async def starting(run):
    run.start()
    await asyncio.sleep(0)
    return [result async for result in run]


@every_model
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["plain", "spread", "batched"])
def test_every_way_to_consume(way, model, kind):
    flow, want = flow_of(range(40), model), [x * 2 for x in range(40)]
    if kind == "spread":
        flow, want = flow.flat_map(lambda x: [x, 1]), [y for x in want for y in (x, 1)]
    if kind == "batched":
        flow, want = flow.batch(7), [want[at : at + 7] for at in range(0, 40, 7)]
    assert WAYS[way](flow.run()) == want


@every_model
def test_wait_runs_to_the_end(model, calls):
    run = plait.flow(range(30)).map(double, model=model).tap(calls.note, model=model).run()
    assert run.wait() is run
    assert sum(calls.counts().values()) == 30


@every_model
def test_nothing_runs_before_it_is_asked_for(model, calls):
    read = []
    source = (read.append(x) or x for x in range(5))
    run = plait.flow(source).map(calls.note, model=model).map(str, model=model).run()
    assert (read, calls.noted()) == ([], [])
    run.wait()
    assert len(read) == len(calls.noted()) == 5


def test_a_run_never_used_warns():
    def forget():
        plait.flow(range(3)).map(double).map(abs).run()
        gc.collect()

    with pytest.warns(RuntimeWarning, match="was never used, so nothing ran"):
        forget()


@every_model
def test_a_run_is_single_use(model):
    run = flow_of(range(5), model).run()
    assert len(list(run)) == 5
    with pytest.raises(RunUsedTwice, match="single use"):
        list(run)
    with pytest.raises(RunUsedTwice, match="single use"):
        run.wait()


# --- left early ---------------------------------------------------------------------------------------------------


@every_model
def test_a_consumer_may_stop_midway(model, nothing_running):
    for result in flow_of(itertools.count(), model):
        if result == 40:
            break
    nothing_running()


@every_model
def test_an_async_consumer_may_stop_midway(model, nothing_running):
    async def consume():
        async with flow_of(itertools.count(), model).map(nap_async).batch(3).run() as run:
            async for batch in run:
                if 40 in batch:
                    return
        pytest.fail("an infinite run ended by itself")

    asyncio.run(consume())
    nothing_running()


@every_model
def test_leaving_the_with_ends_the_run(model, nothing_running):
    with flow_of(itertools.count(), model).run() as run:
        assert next(iter(run)) == 0
    nothing_running()


@every_model
def test_a_run_left_before_it_began_gives_nothing(model):
    run = flow_of(range(5), model).run()
    with run:
        pass
    with pytest.raises(plait.PlaitError):
        list(run)


@every_model
def test_a_run_that_is_left_while_its_stages_start(model, nothing_running):
    """The last stage starts first, and the others when it reads: it must not wait for one that never will."""
    for _ in range(30):
        with flow_of(itertools.count(), model).run() as run:
            run.start()
    nothing_running()


@every_model
def test_a_consumer_that_raises_gets_its_own_error(model, nothing_running):
    with pytest.raises(ZeroDivisionError), flow_of(itertools.count(), model).run() as run:
        sum(1 / (result - 20) for result in run)
    nothing_running()


@pytest.fixture
def nothing_running(until):
    """A look whether threads that read or run items for a flow are gone."""

    def look():
        names = ("plait-drive", "plait-pump", "plait-close", "plait-loop")
        until(
            lambda: not [t.name for t in threading.enumerate() if t.name.startswith(names)],
            what=f"the end of {[t.name for t in threading.enumerate()]}",
        )

    return look


def test_the_source_is_closed_when_the_run_is_left(until):
    closed = threading.Event()

    def source():
        try:
            yield from itertools.count()
        finally:
            closed.set()

    for result in flow_of(source(), "threads"):
        if result == 10:
            break
    until(closed.is_set, what="the source is closed")


# --- cancelled ----------------------------------------------------------------------------------------------------


@every_model
def test_cancel_from_another_thread(model, nothing_running):
    run = flow_of(itertools.count(), model).run()
    seen, began = [], time.monotonic()

    def consume():
        for result in run:
            seen.append(result)
            if result == 20:
                canceller = threading.Thread(target=run.cancel)
                canceller.start()
                canceller.join()
            assert result < 20_000, "it goes on for ever"

    with pytest.raises(RunCancelled, match="was called"):
        consume()
    assert seen == [x * 2 for x in range(len(seen))]
    assert time.monotonic() - began < 5
    nothing_running()


@every_model
def test_cancel_wakes_a_consumer_that_waits(model):
    release = threading.Event()

    def source():
        yield 1
        release.wait(10)
        yield 2

    run = flow_of(source(), model).run()
    canceller = threading.Timer(0.2, run.cancel)
    canceller.start()
    if model in ("serial", "auto"):  # the consumer itself may be in the source
        threading.Timer(0.4, release.set).start()
    began = time.monotonic()
    with pytest.raises(RunCancelled):
        run.wait()
    assert time.monotonic() - began < 3
    release.set()


@every_model
def test_cancelled_before_it_began(model, calls):
    run = plait.flow(range(10)).map(calls.note, model=model).map(str, model=model).run()
    run.cancel()
    with pytest.raises(plait.PlaitError):
        list(run)
    assert calls.noted() == []


@every_model
def test_cancelled_after_it_ended(model):
    run = flow_of(range(5), model).run()
    assert len(list(run)) == 5
    run.cancel()
    assert run.report.failures == 0


@every_model
def test_cancel_of_a_run_that_was_only_started(model, nothing_running):
    run = flow_of(itertools.count(), model).run()
    run.start()
    run.cancel()
    nothing_running()


@every_model
def test_an_async_consumer_that_is_cancelled(model, nothing_running):
    async def consume():
        task = asyncio.current_task()
        async for _ in flow_of(itertools.count(), model).map(nap_async):
            task.cancel()
        pytest.fail("an infinite run ended by itself")

    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(consume())
    assert time.monotonic() - began < 5
    nothing_running()


# --- bounded ------------------------------------------------------------------------------------------------------


@cases()
def test_a_slow_consumer_stops_the_source(case):
    """What is read ahead is bounded by the buffers of all stages."""
    pulled = 0

    def source():
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    flow, options = plait.flow(source()), {"model": case.model, "workers": 2, "buffer": 20}
    flow = flow.map(case.function(double), **options).map(case.function(abs), **options)
    with flow.run() as run:
        for at, result in enumerate(run):
            assert result == (at + 1) * 2
            assert pulled <= at + 1 + 45
            if at == 300:
                break


@every_model
def test_two_flows_in_turns(model):
    with flow_of(range(60), model).run() as first, flow_of(range(60), model).run() as second:
        assert list(zip(first, second, strict=True)) == [(x * 2, x * 2) for x in range(60)]


def test_several_flows_in_threads():
    outcomes = {}

    def run(n):
        outcomes[n] = list(plait.flow(range(100)).map(lambda x: x + n, model="threads").map(double).batch(9).unbatch())

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {n: [(x + n) * 2 for x in range(100)] for n in range(4)}


def test_several_flows_on_one_event_loop():
    async def consume():
        return await asyncio.gather(
            *(plait.flow(range(60)).map(nap_async).map(lambda x, n=n: x + n, model="threads").run() for n in range(4))
        )

    assert asyncio.run(consume()) == [[x + n for x in range(60)] for n in range(4)]


@pytest.mark.parametrize("model", ["async", "auto"])
def test_iterating_with_for_on_the_loop_that_runs_items_is_refused(model):
    async def consume():
        run = (
            plait.flow(range(5))
            .map(double, model="threads")
            .map(nap_async, model=model)
            .map(abs, model="threads")
            .run()
        )
        run.start()
        try:
            with pytest.raises(RuntimeError, match="use `async for` or `await`"):
                iter(run)
        finally:
            async with run:
                pass

    asyncio.run(consume())


def left_after_one(run):
    with run:
        results = iter(run)
        next(results)


class TestTroubleAtTheEnd:
    def test_ctrl_c_while_it_closes_still_ends_it(self, tmp_path, nothing_running):
        class Interrupting:
            def close(self):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.3)

        def first(x, it):
            return x

        resources = {"it": Interrupting}
        run = plait.flow(range(5)).map(first, model="threads", width=1, resources=resources).run(journal=tmp_path / "j")
        seen = []
        with run.observe(seen.append), pytest.raises(KeyboardInterrupt):
            left_after_one(run)
        assert type(seen[-1]).__name__ == "RunFinished"
        assert list(plait.flow(range(3)).map(abs, model="threads").run(journal=tmp_path / "j")) == [0, 1, 2]

    def test_a_resource_that_cannot_be_closed_is_told(self):
        class Stubborn:
            def close(self):
                raise RuntimeError("cannot close")

        def first(x, it):
            return x

        run = plait.flow(range(100)).map(first, model="serial", resources={"it": Stubborn}).run()
        with pytest.raises(RuntimeError, match="cannot close"):
            left_after_one(run)

    def test_an_async_run_with_a_sink_leaves_no_thread(self, tmp_path):
        async def consume():
            results = await plait.flow(range(5)).map(abs, model="threads").to(plait.write.jsonl(tmp_path / "o")).run()
            return results, [thread.name for thread in threading.enumerate() if thread.name.startswith("asyncio")]

        assert asyncio.run(consume()) == ([0, 1, 2, 3, 4], [])

    def test_a_signal_is_handled_while_a_batch_waits_for_its_items(self, until):
        """Caught by another thread, it does not end the wait by itself."""

        class Caught(Exception):
            pass

        def handler(number, frame):
            raise Caught

        give_up, main = threading.Event(), threading.get_ident()

        def source():
            yield from (1, 2)
            give_up.wait(10)

        def waits_for_the_third():
            frame = sys._current_frames()[main]
            return (frame.f_code.co_name, frame.f_back.f_code.co_name) == ("wait", "get")

        def signal_own_thread():
            until(waits_for_the_third, 10, "the wait for the third item")
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            threading.Thread(target=signal_own_thread, daemon=True).start()
            began = time.monotonic()
            with pytest.raises(Caught):
                for _ in plait.flow(source()).map(abs, model="threads").batch(2, within=0.1):
                    pass
            assert time.monotonic() - began < 5
        finally:
            give_up.set()
            signal.signal(signal.SIGUSR1, before)


def _is_cancelled_under(lock, run, asked, who):
    """Cancel a run while holding a lock that `who`, which has been asked by then, waits for."""

    def cancels():
        with lock:
            run.start()
            asked.wait(10)
            run.cancel()

    canceller = threading.Thread(target=cancels, daemon=True)
    canceller.start()
    canceller.join(10)
    assert not canceller.is_alive(), f"{who} and cancel() wait for each other"
    with pytest.raises(RunCancelled):
        list(run)


def test_a_predicate_may_take_a_lock_that_is_held_while_the_run_is_cancelled():
    lock, asked = threading.Lock(), threading.Event()

    def worth(error):
        asked.set()
        with lock:
            return True

    def fails(x):
        raise ValueError(x)

    retry = plait.Retry(3, backoff=0.01, on=worth)
    run = plait.map(fails, range(1000), model="threads", retries=retry, on_error="skip")
    _is_cancelled_under(lock, run, asked, "the predicate")


def test_a_key_function_may_take_a_lock_that_is_held_while_the_run_is_cancelled():
    lock, asked = threading.Lock(), threading.Event()

    def key(x):
        asked.set()
        with lock:
            return x % 3

    run = plait.map(abs, range(1000), model="threads", limit=plait.Limit(2, key=key))
    _is_cancelled_under(lock, run, asked, "the key function")
