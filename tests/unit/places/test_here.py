"""The one seat of this process."""

import asyncio
import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

import pytest

from plait.engine.loops import LoopThread
from plait.placement import Placement
from plait.places.crew import Work
from plait.places.here import HereCrew
from plait.styles.batch import Batch

WAIT = 5.0


class Listener:
    """Hears from the seats; `next(kind)` waits for what comes."""

    def __init__(self) -> None:
        self.seats: SimpleQueue[Any] = SimpleQueue()
        self.batches: SimpleQueue[tuple[Any, Batch]] = SimpleQueue()
        self.errors: SimpleQueue[tuple[BaseException, str]] = SimpleQueue()

    def seated(self, seat):
        self.seats.put(seat)

    def arrived(self, seat, batch, weight, cpu):
        self.batches.put((seat, batch))

    def broken(self, error, traceback):
        self.errors.put((error, traceback))


class Bench:
    def __init__(self, function: Callable[[Any], Any], style: str, width: int, loop=None, **resources: Any) -> None:
        self.heard = Listener()
        work = Work(function, resources, "fetch", copy_context(), loop, None, "timeout", None)
        self.crew = HereCrew(work, Placement("here", style, 1, width), self.heard)
        self.crew.open(1)

    def seat(self):
        return self.heard.seats.get(timeout=WAIT)

    def values(self, count: int) -> list[Any]:
        found: list[Any] = []
        while len(found) < count:
            found += self.heard.batches.get(timeout=WAIT)[1].values
        return sorted(found)


@pytest.fixture
def loop(nothing_left):
    made = LoopThread()
    yield made.loop
    assert made.stop(WAIT)


async def double(item):
    await asyncio.sleep(0)
    return item * 2


class TestThreads:
    def test_it_is_this_process_and_cannot_be_killed(self, nothing_left):
        one = Bench(lambda item: item, "threads", 3)
        seat = one.seat()
        assert (seat.style, seat.width, seat.pid, seat.can_kill) == ("threads", 3, os.getpid(), False)
        assert (seat.words(), seat.worn()) == ([0, 0, 0], "")
        seat.kill("timeout")
        assert one.crew.close(WAIT, prompt=False) == []

    def test_what_it_is_sent_is_run_and_told(self, nothing_left):
        one = Bench(lambda item: item * 2, "threads", 2)
        seat = one.seat()
        assert seat.send(10, [1, 2, 3], 1, float("inf"), by_value=False) == 0, "nothing travels"
        assert one.values(3) == [2, 4, 6]
        assert one.crew.close(WAIT, prompt=False) == []

    def test_there_is_one_seat_however_often_it_is_opened(self, nothing_left):
        one = Bench(lambda item: item, "threads", 2)
        one.crew.open(3)
        one.seat()
        assert one.heard.seats.empty()
        one.crew.retire(one.crew.seat, "never")
        assert one.crew.close(WAIT, prompt=False) == []

    def test_a_resource_that_cannot_be_opened_breaks_the_work_and_says_where(self, nothing_left):
        def refuse():
            raise ConnectionError("no database")

        one = Bench(lambda item, db: item, "threads", 1, db=refuse)
        one.seat().send(0, [1], 1, float("inf"), by_value=False)
        error, traceback = one.heard.errors.get(timeout=WAIT)
        assert str(error) == "no database"
        assert "in refuse" in traceback
        assert one.crew.close(WAIT, prompt=False) == []

    def test_a_thread_stuck_in_an_item_is_named_with_the_place(self, nothing_left):
        began, go = threading.Event(), threading.Event()
        one = Bench(lambda item: (began.set(), go.wait(WAIT)), "threads", 1)
        one.seat().send(0, [1], 1, float("inf"), by_value=False)
        assert began.wait(WAIT)
        (stuck,) = one.crew.close(0.0, prompt=True)
        go.set()
        assert stuck.startswith("thread plait-fetch-0 at ")
        assert "threading.py:" in stuck
        assert one.crew.close(WAIT, prompt=True) == []

    def test_what_was_never_opened_has_nothing_to_close(self):
        work = Work(print, {}, "fetch", copy_context(), None, None, "timeout", None)
        assert HereCrew(work, Placement("here", "threads", 1, 2), Listener()).close(1.0, prompt=False) == []


class TestLoop:
    def test_it_runs_on_the_loop_and_is_sent_to_from_any_thread(self, loop):
        one = Bench(double, "loop", 4, loop)
        seat = one.seat()
        assert (seat.style, seat.width, seat.can_kill) == ("loop", 4, False)
        seat.send(0, [1, 2], 1, float("inf"), by_value=False)
        loop.call_soon_threadsafe(lambda: seat.send(2, [3], 1, float("inf"), by_value=False))
        assert one.values(3) == [2, 4, 6]
        assert one.crew.close(WAIT, prompt=False) == []

    def test_closed_it_cancels_what_runs(self, loop):
        began = threading.Event()
        ended = threading.Event()

        async def endless(item):
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        one = Bench(endless, "loop", 1, loop)
        one.seat().send(0, [1], 1, float("inf"), by_value=False)
        assert began.wait(WAIT)
        assert one.crew.close(WAIT, prompt=True) == []
        assert ended.is_set()

    def test_a_loop_that_is_closed_harms_nobody(self):
        thread = LoopThread()
        one = Bench(double, "loop", 1, thread.loop)
        seat = one.seat()
        assert thread.stop(WAIT)
        seat.send(0, [1], 1, float("inf"), by_value=False)
        assert one.crew.close(WAIT, prompt=False) == []
