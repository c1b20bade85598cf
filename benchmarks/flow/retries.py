"""20,000 items that all wait for their second attempt: what they take of memory, and how many threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import numbers

BACKOFF, MOST_MB, FEW_THREADS = 3.0, 50, 64
PLAIT = ("plait, threads", "plait, async")
ROW = Row(
    name="flow.retries",
    work="20,000 items that raise once and are tried again after 3 s, as they finish (ordered=False)",
    target="all of them wait at once, under 50 MB, no thread each",
    figures=(
        Figure("own_growth", "MB peak growth"),
        Figure("threads", "threads at most", compared=False),
        Figure("waiting", "items waiting at once", compared=False),
        Figure("wall", "s", compared=False),
    ),
    size=20_000,
    quick=1_000,
    interval=0.2,
    limit=60.0,
)


class Flaky:
    """Raises at an item's first attempt. Knows how many waited at once: first attempts made, second ones not yet."""

    def __init__(self, count: int) -> None:
        self.tried = bytearray(count)
        self.waiting = self.most = 0
        self.lock = threading.Lock()

    def attempt(self, x: int) -> int:
        with self.lock:
            if self.tried[x]:
                self.waiting -= 1
                return x
            self.tried[x] = 1
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        raise OSError("not yet")

    async def attempt_async(self, x: int) -> int:
        return self.attempt(x)


@contextmanager
def thread_count(meter: Meter) -> Iterator[None]:
    """Record the most threads that this process had within the block, its own watcher left out."""
    over, most = threading.Event(), 0

    def watch() -> None:
        nonlocal most
        while not over.wait(0.02):
            status = Path("/proc/self/status").read_text()
            most = max(most, int(status.partition("Threads:")[2].split()[0]) - 1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    over.set()
    watcher.join()
    meter.record(threads=most)


def retried(meter: Meter, way: Any) -> None:
    """`way(flaky, count)` gives the results."""
    if sorted(way(Flaky(50), 50)) != list(range(50)):
        raise RuntimeError("the warm-up's results are not its items")
    flaky, seen = Flaky(meter.size), bytearray(meter.size)
    with thread_count(meter), meter.timed():
        for x in way(flaky, meter.size):
            seen[x] += 1
    if seen != b"\1" * meter.size:
        raise RuntimeError("the results are not the items")
    meter.record(waiting=flaky.most)


def with_plait(meter: Meter, model: str) -> None:
    import plait

    retry = plait.Retry(times=1, backoff=BACKOFF, jitter=0)

    def way(flaky: Flaky, count: int) -> Any:
        fn = flaky.attempt_async if model == "async" else flaky.attempt
        return plait.flow(numbers(count)).map(fn, model=model, ordered=False, retries=retry)

    retried(meter, way)


@ROW.cell("plait, threads", "map(fn, model='threads', ordered=False, retries=Retry(times=1, backoff=3, jitter=0))")
def plait_threads(meter: Meter) -> None:
    with_plait(meter, "threads")


@ROW.cell("plait, async", "the same, an async function, model='async'")
def plait_async(meter: Meter) -> None:
    with_plait(meter, "async")


@ROW.cell("asyncio by hand", "a task an item: try, sleep 3 s, try again; gather", against="plait, async")
def by_hand(meter: Meter) -> None:
    async def main(flaky: Flaky, count: int) -> list[int]:
        async def one(x: int) -> int:
            try:
                return await flaky.attempt_async(x)
            except OSError:
                await asyncio.sleep(BACKOFF)
                return await flaky.attempt_async(x)

        return await asyncio.gather(*map(one, numbers(count)))

    retried(meter, lambda flaky, count: asyncio.run(main(flaky, count)))


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    for cell in PLAIT:
        waiting, growth, threads = (medians.of(cell, key) for key in ("waiting", "own_growth", "threads"))
        text = f"{cell.removeprefix('plait, ')}: {waiting:,.0f} waited at once, {growth:.0f} MB, {threads:.0f} threads"
        yield Check(text, waiting >= medians.size and growth < MOST_MB and threads < FEW_THREADS)
