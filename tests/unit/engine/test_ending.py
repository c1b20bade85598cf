"""All that a run has started is ended, once, with the patience that fits."""

import asyncio
import threading

import pytest

from plait.engine.ending import GENTLE, PROMPT, THREADS, Ending
from plait.engine.loops import LoopThread
from plait.placement import Placement
from tests.unit.engine.seats import Bench

WAIT = 5.0
PROCESSES, HERE = Placement("processes", "serial", 2, 1), Placement("here", "threads", 1, 8)


class Crew:
    """Remembers how it was closed, and by which thread."""

    def __init__(self, stuck: list[str] | None = None) -> None:
        self.stuck = stuck or []
        self.closed: list[tuple[float, bool]] = []
        self.thread: threading.Thread | None = None

    def close(self, wait: float, *, prompt: bool) -> list[str]:
        self.closed.append((wait, prompt))
        self.thread = threading.current_thread()
        return list(self.stuck)


def ending(placement: Placement = PROCESSES, *, settled: bool = True, stuck: list[str] | None = None) -> Ending:
    bench = Bench()
    bench.figures.chose(placement, ())
    if not settled:
        bench.offer([1])
    made = Ending(bench.lane)
    made.crew = Crew(stuck)
    return made


@pytest.mark.parametrize(
    ("placement", "settled", "cancelled", "wait", "prompt"),
    [
        (PROCESSES, True, False, GENTLE, False),
        (PROCESSES, True, True, PROMPT, True),
        (PROCESSES, False, False, PROMPT, False),
        (HERE, True, False, THREADS, False),
        (HERE, False, True, THREADS, True),
    ],
)
def test_workers_get_the_time_that_fits(placement, settled, cancelled, wait, prompt):
    one = ending(placement, settled=settled)
    one.cancelled = cancelled
    one.close()
    assert one.crew.closed == [(wait, prompt)]


def test_a_run_without_a_crew_ends_too(nothing_left):
    one = ending()
    one.crew = None
    one.close()
    asyncio.run(one.close_async())


def test_timers_are_called_off_before_workers_are_ended():
    one = ending()
    closed_before: list[list] = []
    one.offs.append(lambda: closed_before.append(list(one.crew.closed)))
    one.close()
    assert closed_before == [[]]


def test_its_loop_is_stopped(nothing_left):
    one = ending()
    one.loop = LoopThread()
    one.close()
    assert one.loop.loop.is_closed()


def test_what_feeds_it_is_cancelled(nothing_left):
    one = ending()
    one.loop = LoopThread()
    one.feeding = asyncio.run_coroutine_threadsafe(asyncio.sleep(3600), one.loop.loop)
    one.close()
    assert one.feeding.cancelled()


def test_what_is_stuck_is_named(caplog):
    ending(stuck=["thread plait-fetch-0 at fetch.py:3"]).close()
    assert "still running (nothing can stop it): thread plait-fetch-0 at fetch.py:3." in caplog.text


def test_a_source_that_blocks_is_named(caplog):
    go = threading.Event()
    one = ending()
    one.thread = threading.Thread(target=go.wait, args=(WAIT,))
    one.thread.start()
    one.close()
    go.set()
    one.thread.join(WAIT)
    assert "thread plait-drive, which waits for the source's next item" in caplog.text


def test_nothing_is_said_where_nothing_is_stuck(caplog):
    ending().close()
    assert caplog.text == ""


def test_a_thread_that_never_began_is_no_error(caplog):
    one = ending()
    one.thread = threading.Thread(target=print)
    one.close()
    assert caplog.text == ""


def test_a_loop_goes_on_while_its_run_ends(nothing_left):
    async def test():
        one = ending()
        turns = 0

        async def others():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        go = threading.Event()
        close = one.crew.close
        one.crew.close = lambda wait, *, prompt: close(wait, prompt=prompt) if go.wait(WAIT) else ["never"]
        task = asyncio.create_task(others())
        closing = asyncio.create_task(one.close_async())
        while turns < 50:
            await asyncio.sleep(0)
        assert not closing.done()
        go.set()
        await closing
        task.cancel()
        assert one.crew.thread is not threading.current_thread()

    asyncio.run(test())
