"""100,000 no-op coroutines, 200 at a time, each under a timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import async_noop, drain, numbers, warmed

WIDTH, TIMEOUT = 200, 30.0
WALL = Figure("wall", "us/item", 1e6, per_item=True)
ROW = Row(
    name="coroutines",
    work="100,000 no-op coroutines, width 200, with a timeout set",
    target="at most 3 us an item; `gather` with a semaphore takes about 23",
    figures=(WALL, Figure("peak", "MB peak RSS")),
    size=100_000,
    quick=10_000,
)


def on_best_loop(main: Coroutine[Any, Any, Any]) -> Any:
    """Peers get uvloop where it is installed, as plait does."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(main)
    return uvloop.run(main)


async def under_timeout(x: int) -> int:
    async with asyncio.timeout(TIMEOUT):
        return await async_noop(x)


async def gathered(call: Any, items: Iterable[int]) -> list[int]:
    gate = asyncio.Semaphore(WIDTH)

    async def one(x: int) -> int:
        async with gate:
            return await call(x)

    return await asyncio.gather(*(one(x) for x in items))


async def looped(call: Any, items: Iterable[int]) -> list[int]:
    source, results = iter(items), []

    async def worker() -> None:
        for x in source:
            results.append(await call(x))  # noqa: PERF401 (extend would buffer: 200 workers share the list)

    await asyncio.gather(*(worker() for _ in range(WIDTH)))
    return results


def with_asyncio(meter: Meter, way: Any, call: Any) -> None:
    warmed(lambda source: on_best_loop(way(call, source)))
    with meter.timed():
        on_best_loop(way(call, numbers(meter.size)))


@ROW.cell("plait", "model='async', width=200, timeout=30, ordered")
def with_plait(meter: Meter) -> None:
    import plait

    def run(source: Iterable[int]) -> Iterable[int]:
        return plait.map(async_noop, source, model="async", width=WIDTH, timeout=TIMEOUT)

    warmed(run)
    with meter.timed():
        drain(run(numbers(meter.size)))


@ROW.cell("gather + semaphore", "no timeout; uvloop if installed")
def gather(meter: Meter) -> None:
    with_asyncio(meter, gathered, async_noop)


@ROW.cell("gather + semaphore + timeout", "asyncio.timeout(30) around each; uvloop if installed")
def gather_timeout(meter: Meter) -> None:
    with_asyncio(meter, gathered, under_timeout)


@ROW.cell("hand-written loop", "200 coroutines pull from one iterator; no timeout, order, retries or limits; uvloop")
def loop(meter: Meter) -> None:
    with_asyncio(meter, looped, async_noop)


@ROW.cell("hand-written loop + timeout", "the same with asyncio.timeout(30) around each")
def loop_timeout(meter: Meter) -> None:
    with_asyncio(meter, looped, under_timeout)


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    each = medians.shown("plait", WALL)
    yield Check(f"{each:.2f} us an item", each <= 3)
