"""Two stages that compute, one dearer than the other: are all cores busy with whichever is behind?

Neighbours may be fused into one; a batch between them, or retries of one of them only, keeps them apart. The ideal is
the CPU seconds that the two stages took (the functions tell), by the cores.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from benchmarks.burn import MILLISECOND, burn
from benchmarks.flow.paired import CORES
from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter

Spent = tuple[int, float]


def spent(item: int, before: float, milliseconds: int) -> Spent:
    """Compute for so long; the item, and the CPU seconds that it has taken in both stages."""
    start = time.thread_time()
    burn(milliseconds * MILLISECOND)
    return item, before + time.thread_time() - start


def first_of_two(item: int) -> Spent:
    return spent(item, 0.0, 2)


def second_of_two(half: Spent) -> Spent:
    return spent(*half, 2)


def light_first(item: int) -> Spent:
    return spent(item, 0.0, 1)


def heavy_second(half: Spent) -> Spent:
    return spent(*half, 4)


def heavy_first(item: int) -> Spent:
    return spent(item, 0.0, 4)


def light_second(half: Spent) -> Spent:
    return spent(*half, 1)


def chained(first: Callable[[int], Spent], second: Callable[[Spent], Spent], item: int) -> Spent:
    return second(first(item))


Stages = tuple[Callable[[int], Spent], Callable[[Spent], Spent]]
SHAPES: dict[str, Stages] = {
    "1:1": (first_of_two, second_of_two),
    "1:4": (light_first, heavy_second),
    "4:1": (heavy_first, light_second),
}
PLAIT = {"plait, neighbours": "neighbours", "plait, a batch between": "a batch", "plait, retries of one": "retries"}
WARM = 40
ROW = Row(
    name="flow.split",
    work="two stages of pure Python costing 2 + 2, 1 + 4 and 4 + 1 ms",
    target="within 5 % of the ideal split (CPU seconds by cores), as neighbours and kept apart",
    figures=(
        *(Figure(f"over {shape}", f"of the ideal, {shape}") for shape in SHAPES),
        Figure("useful", "of the CPU useful", compared=False),
    ),
    size=400,
    quick=60,
    interval=0.5,
    limit=60.0,
)


def split(meter: Meter, way: Callable[[Stages, Iterable[int]], Iterable[Spent]]) -> None:
    """Run each shape, check its results, and record its wall seconds by the ideal's."""
    for stages in SHAPES.values():
        if sorted(item for item, _ in way(stages, range(WARM))) != list(range(WARM)):
            raise RuntimeError("the warm-up's results are not its items")
    needed = 0.0
    with meter.timed():
        for shape, stages in SHAPES.items():
            start = time.perf_counter()
            results = list(way(stages, iter(range(meter.size))))
            wall = time.perf_counter() - start
            if sorted(item for item, _ in results) != list(range(meter.size)):
                raise RuntimeError(f"{shape}: the results are not the items")
            spent_on_items = sum(seconds for _, seconds in results)
            needed += spent_on_items
            meter.record(**{f"over {shape}": wall / (spent_on_items / CORES), f"wall {shape}": wall})
    meter.record(useful=needed / meter.figures["cpu"])


@ROW.cell("plait, neighbours", "flow(items).map(first).map(second): no options; in order")
def plait_neighbours(meter: Meter) -> None:
    import plait

    split(meter, lambda stages, items: plait.flow(items).map(stages[0]).map(stages[1]))


@ROW.cell("plait, a batch between", "flow(items).map(first).batch(4).unbatch().map(second); in order")
def plait_batch(meter: Meter) -> None:
    import plait

    split(meter, lambda stages, items: plait.flow(items).map(stages[0]).batch(4).unbatch().map(stages[1]))


@ROW.cell("plait, retries of one", "flow(items).map(first).map(second, retries=2); in order")
def plait_retries(meter: Meter) -> None:
    import plait

    split(meter, lambda stages, items: plait.flow(items).map(stages[0]).map(stages[1], retries=2))


@ROW.cell("by hand", "one function that calls both; Pool(2), fork, imap_unordered(chunksize=4)")
def by_hand(meter: Meter) -> None:
    with multiprocessing.get_context("fork").Pool(CORES) as pool:
        split(meter, lambda stages, items: pool.imap_unordered(partial(chained, *stages), items, chunksize=4))


@ROW.cell("pypeln", "process.map(first, workers=2) -> process.map(second, workers=2), maxsize=64; unordered")
def with_pypeln(meter: Meter) -> None:
    from pypeln import process

    def way(stages: Stages, items: Iterable[int]) -> Any:
        first = process.map(stages[0], items, workers=CORES, maxsize=64)
        return process.map(stages[1], first, workers=CORES, maxsize=64)

    split(meter, way)


@ROW.cell("streamable", "map(first, concurrency=a pool of 2) -> map(second, concurrency=another); as_completed")
def with_streamable(meter: Meter) -> None:
    from streamable import stream

    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(CORES, mp_context=context) as ones,
        ProcessPoolExecutor(CORES, mp_context=context) as others,
    ):
        split(
            meter,
            lambda stages, items: (
                stream(items)
                .map(stages[0], concurrency=ones, as_completed=True)
                .map(stages[1], concurrency=others, as_completed=True)
            ),
        )


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    for cell, words in PLAIT.items():
        overs = {shape: medians.of(cell, f"over {shape}") for shape in SHAPES}
        told = ", ".join(f"{over:.3f} ({shape})" for shape, over in overs.items())
        yield Check(f"{words}: {told} of the ideal", max(overs.values()) <= 1.05)
