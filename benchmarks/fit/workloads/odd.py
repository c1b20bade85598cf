"""What spoils a simple rule: items that change on the way, slow neighbours, functions that have effects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

from benchmarks.burn import MILLISECOND, burn, burnt
from benchmarks.fit.grid import SERIAL, chunked, process_threads, processes, threads
from benchmarks.fit.workload import THREADS_ONLY, Workload

#: What `counted` counts.
COUNT = 0


def wait_or_compute(item: tuple[int, str]) -> int:
    x, kind = item
    if kind == "wait":
        time.sleep(0.01)
    else:
        burn(3 * MILLISECOND)
    return x


def mostly_quick(item: tuple[int, bool]) -> int:
    x, slow = item
    return x + burn(100 * MILLISECOND if slow else MILLISECOND // 5)


def five_milliseconds(x: int) -> int:
    return x + burn(5 * MILLISECOND)


def counted(x: int) -> int:
    """Count the calls in a global: only here, and one after the other, is the count what it says."""
    global COUNT
    COUNT += 1
    return x + burn(MILLISECOND // 10)


class Drift(Workload):
    name = "drift"
    what = "first sleeps of 10 ms; from the middle on, pure Python of 3 ms"
    full, quick, each = 2_000, 60, 6e-3
    drifts = True
    grid = (*process_threads(2, 4, 8, 16, 32, 64), *threads(8, 32, 128), *processes(), *processes(8), SERIAL)
    fn = staticmethod(wait_or_compute)

    def items(self) -> Iterable[Any]:
        return [(x, "wait" if x < 0.6 * self.size else "compute") for x in range(self.size)]

    def expected(self) -> Iterable[Any]:
        return range(self.size)


class Bursts(Workload):
    name = "bursts"
    what = "pure Python of 0.2 ms, but every 200th item takes 100 ms"
    full, quick, each = 4_000, 210, 7e-4
    grid = (*processes(), SERIAL, *processes(4), *threads(2, 8), *process_threads(2, 8), *chunked(1, 4, 16, 64, 256))
    fn = staticmethod(mostly_quick)

    def items(self) -> Iterable[Any]:
        return [(x, x % 200 == 199) for x in range(self.size)]

    def expected(self) -> Iterable[Any]:
        quick, slow = burnt(MILLISECOND // 5), burnt(100 * MILLISECOND)
        return [x + (slow if is_slow else quick) for x, is_slow in self.items()]


class SlowSource(Workload):
    name = "slow-source"
    what = "a generator that takes 3 ms for each item; pure Python of 5 ms"
    full, quick, each = 400, 20, 5e-3
    grid = (*processes(), *processes(4), SERIAL, *threads(1, 2, 8), *process_threads(2, 4), *chunked(1, 4))
    fn = staticmethod(five_milliseconds)

    def items(self) -> Iterator[int]:
        for x in range(self.size):
            time.sleep(0.003)
            yield x

    def expected(self) -> Iterable[Any]:
        return range(burnt(5 * MILLISECOND), burnt(5 * MILLISECOND) + self.size)


class SlowConsumer(Workload):
    name = "slow-consumer"
    what = "a consumer that takes 3 ms for each result; pure Python of 5 ms"
    full, quick, each = 400, 20, 5e-3
    grid = (*processes(), *processes(4), SERIAL, *threads(1, 2, 8), *process_threads(2, 4), *chunked(1, 4))
    fn = staticmethod(five_milliseconds)

    def consume(self, results: Iterable[Any]) -> list[Any]:
        kept = []
        for result in results:
            time.sleep(0.003)
            kept.append(result)
        return kept

    def expected(self) -> Iterable[Any]:
        return range(burnt(5 * MILLISECOND), burnt(5 * MILLISECOND) + self.size)


class Appends(Workload):
    name = "appends"
    what = "a sleep of 5 ms, then an append to a list of the caller's: it has to stay in this process"
    full, quick, each = 15_000, 60, 5e-3
    grid = (*threads(64, 128, 256, 512, 32, 16, 8, 4, 2), SERIAL)
    peers = THREADS_ONLY

    @cached_property
    def seen(self) -> list[int]:
        return []

    @cached_property
    def fn(self) -> Callable[[int], int]:  # type: ignore[override]
        seen = self.seen

        def noted(x: int) -> int:
            time.sleep(0.005)
            seen.append(x)
            return x

        return noted

    def expected(self) -> Iterable[Any]:
        return range(self.size)

    def wrong(self, results: list[Any]) -> str | None:
        if sorted(self.seen) != list(range(self.size)):
            return f"the caller's list has {len(self.seen)} entries for {self.size} items"
        return super().wrong(results)


class GlobalCounter(Workload):
    name = "global-counter"
    what = "pure Python of 0.1 ms that counts in a global: one after the other, in this process"
    full, quick, each = 10_000, 200, 1e-4
    grid = (SERIAL,)
    peers = ()
    fn = staticmethod(counted)

    def expected(self) -> Iterable[Any]:
        return range(burnt(MILLISECOND // 10), burnt(MILLISECOND // 10) + self.size)

    def wrong(self, results: list[Any]) -> str | None:
        return super().wrong(results) if self.size == COUNT else f"the counter says {COUNT}, not {self.size}"
