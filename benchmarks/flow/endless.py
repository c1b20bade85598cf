"""An endless source and a stage 100 times slower: does memory stay flat, and how far ahead is the source read?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from benchmarks.burn import MILLISECOND, burn
from benchmarks.flow.paired import CORES
from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import drain

ITEM_BYTES, FLAT_MB = 10_000, 10
SLOW = 2 * MILLISECOND
ROW = Row(
    name="flow.endless",
    work="an endless source of 10 KB items, 10 us each -> a no-op -> 2 ms of pure Python, until so many results",
    target="memory flat",
    figures=(
        Figure("peak", "MB peak PSS, all processes"),
        Figure("growth", "MB growth, 2nd half over 1st", compared=False),
        Figure("ahead", "items read ahead at most", compared=False),
        Figure("wall", "s"),
    ),
    size=1_500,
    quick=200,
    proportional=True,
    limit=60.0,
)


class Source:
    """Endless, and 100 times faster than all cores together; knows how far ahead of the consumer it was read."""

    def __init__(self) -> None:
        self.consumed = self.ahead = 0
        self.over = False

    def items(self) -> Iterator[bytes]:
        number = 0
        while not self.over:
            burn(SLOW // 100 // CORES)
            yield b"%010d" % number + bytes(ITEM_BYTES - 10)
            number += 1
            self.ahead = max(self.ahead, number - self.consumed)


def passed_on(item: bytes) -> bytes:
    return item


def slow(item: bytes) -> bytes:
    burn(SLOW)
    return item


def endless(meter: Meter, way: Callable[[Iterable[bytes]], Iterable[bytes]], leave: bool = True) -> None:
    """Take so many results, and count how far the source was ahead.

    Parameters:
        leave: leave it as it runs. For those that hang then, the source ends.
    """
    source, found = Source(), set()
    with meter.timed():
        results = iter(way(source.items()))
        for item in islice(results, meter.size):
            found.add(int(item[:10]))
            source.consumed += 1
    if len(found) != meter.size:
        raise RuntimeError(f"{meter.size - len(found)} results came twice")
    meter.record(ahead=source.ahead)
    if not leave:
        source.over = True
        drain(results)


@ROW.cell("plait", "flow(source).map(quick).map(slow): no options; in order")
def with_plait(meter: Meter) -> None:
    import plait

    runs: list[Any] = []

    def way(items: Iterable[bytes]) -> Any:
        runs.append(plait.flow(items).map(passed_on).map(slow).run())
        return runs[0]

    endless(meter, way)
    runs[0].cancel()


@ROW.cell("plait, kept apart", "map(quick, model='threads') -> map(slow, model='processes')", against="plait")
def plait_apart(meter: Meter) -> None:
    import plait

    runs: list[Any] = []

    def way(items: Iterable[bytes]) -> Any:
        runs.append(plait.flow(items).map(passed_on, model="threads").map(slow, model="processes").run())
        return runs[0]

    endless(meter, way)
    runs[0].cancel()


@ROW.cell(
    "pypeln",
    "thread.map(quick, maxsize=64) -> process.map(slow, workers=2, maxsize=64); leaving it hangs, so its source ends",
)
def with_pypeln(meter: Meter) -> None:
    import pypeln

    def way(items: Iterable[bytes]) -> Any:
        quick = pypeln.thread.map(passed_on, items, maxsize=64)
        return pypeln.process.map(slow, quick, workers=CORES, maxsize=64)

    endless(meter, way, leave=False)


@ROW.cell("streamable", "map(quick) -> buffer(64) -> map(slow, concurrency=a pool of 2), as_completed")
def with_streamable(meter: Meter) -> None:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from streamable import stream

    with ProcessPoolExecutor(CORES, mp_context=multiprocessing.get_context("fork")) as processes:
        endless(
            meter,
            lambda items: stream(items).map(passed_on).buffer(64).map(slow, concurrency=processes, as_completed=True),
        )


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    for cell in ("plait", "plait, kept apart"):
        growth, ahead = medians.of(cell, "growth"), medians.of(cell, "ahead")
        text = f"{cell}: the second half's peak is {growth:+.1f} MB over the first's, at most {ahead:,.0f} items ahead"
        yield Check(text, growth <= FLAT_MB)
