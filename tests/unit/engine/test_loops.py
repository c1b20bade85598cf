"""The engine's own event loop."""

import asyncio
import threading

from plait.engine.loops import LoopThread

WAIT = 5.0


def test_it_runs_coroutines_in_its_own_thread(nothing_left):
    one = LoopThread()

    async def name():
        return threading.current_thread().name

    assert asyncio.run_coroutine_threadsafe(name(), one.loop).result(WAIT) == "plait-loop"
    assert one.stop(WAIT)
    assert one.loop.is_closed()


def test_what_still_runs_is_cancelled_and_what_is_open_closed(nothing_left):
    began, ended = threading.Event(), []

    async def numbers():
        try:
            while True:
                yield 1
        finally:
            ended.append("generator")

    async def endless():
        source = numbers()
        await anext(source)
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    one = LoopThread()
    task = asyncio.run_coroutine_threadsafe(endless(), one.loop)
    assert began.wait(WAIT)
    assert one.stop(WAIT)
    assert sorted(ended) == ["generator", "task"]
    assert task.cancelled()


def test_one_that_is_blocked_is_told_and_ends_later(nothing_left):
    began, go = threading.Event(), threading.Event()
    one = LoopThread()
    one.loop.call_soon_threadsafe(lambda: (began.set(), go.wait(WAIT)))
    assert began.wait(WAIT)
    assert not one.stop(0.0)
    go.set()
    assert one.stop(WAIT)


def test_it_may_be_stopped_twice_and_from_itself(nothing_left):
    one, stopped = LoopThread(), threading.Event()
    one.loop.call_soon_threadsafe(lambda: (one.stop(WAIT), stopped.set()))
    assert stopped.wait(WAIT), "it waited for itself"
    assert one.stop(WAIT)
    assert one.stop(WAIT)
