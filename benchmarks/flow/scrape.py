"""The flow that everybody writes: fetch (async, 20 ms) -> parse (3 ms of Python) -> store (blocks 2 ms).

The bound is physical: what the items need of the busiest resource, the cores. Each run has its own: the CPU seconds
that its pages took to be parsed (`parse` tells), and those of fetching (client and server) and storing, which are
measured in the same process right after it, with nothing around them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from typing import Any

from benchmarks.coroutines import on_best_loop
from benchmarks.flow.byhand import parse_chunk, scraper, store_chunk
from benchmarks.flow.paired import CORES, ratio
from benchmarks.flow.server import serving
from benchmarks.flow.work import Record, fetch, page_of, parse, store, urls, wrong_pages
from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter, tree_cpu_seconds

WARM, SAMPLE, WIDTH = 60, 400, 64
BOUND, BY_HAND = "the bound, measured apart", "by hand"
ROW = Row(
    name="flow.scrape",
    work="fetch (async, 20 ms, local server) -> parse (3 ms of pure Python) -> store (blocks 2 ms)",
    target="at least 0.9 of the physical bound; faster than by hand, pypeln and streamable",
    figures=(
        Figure("wall", "s"),
        Figure("share", "of the run's own bound", compared=False),
        Figure("useful", "of the CPU useful", compared=False),
        Figure("cpu", "s CPU, server included"),
    ),
    size=3000,
    quick=200,
    interval=0.5,
    limit=60.0,
)
Way = Callable[[Iterable[str]], Iterable[Record]]


# --- the bound ------------------------------------------------------------------------------------------------------


async def only_fetched(source: Iterator[str]) -> None:
    async def worker() -> None:
        for url in source:
            await fetch(url)

    await asyncio.gather(*(worker() for _ in range(WIDTH)))


def cpu_to_fetch(port: int) -> float:
    """CPU seconds of one request, client and server, once the connections are there."""
    samples = []
    for count in (WIDTH, WIDTH + SAMPLE):
        before = tree_cpu_seconds()
        on_best_loop(only_fetched(urls(port, count)))
        samples.append(tree_cpu_seconds() - before)
    return max(0.0, samples[1] - samples[0]) / SAMPLE


def cpu_to_store() -> float:
    """CPU seconds of one call, by eight threads."""
    record = (0, 0, 0.0)
    with ThreadPoolExecutor(8) as threads:
        before = tree_cpu_seconds()
        for _ in threads.map(store_chunk, [[record] * 10] * (SAMPLE // 10)):
            pass
        return (tree_cpu_seconds() - before) / SAMPLE


def parsed_alone(count: int) -> float:
    """CPU seconds of one page, in one of as many processes as there are cores, all of them parsing."""
    return sum(parse(page_of(number))[2] for number in range(count)) / count


# --- the engines ----------------------------------------------------------------------------------------------------


def scraped(meter: Meter, port: int, way: Way, ordered: bool) -> None:
    """Warm up, run, check every result, and tell what share of its bound the run had."""
    for count, timed in ((WARM, False), (meter.size, True)):
        if timed:
            with meter.timed():
                results = list(way(urls(port, count)))
        else:
            results = list(way(urls(port, count)))
        wrong = wrong_pages(results, count, ordered)
        if wrong:
            raise RuntimeError(wrong)
    others = meter.size * (cpu_to_fetch(port) + cpu_to_store())
    bound = (sum(seconds for _, _, seconds in results) + others) / CORES
    # On a busy machine the share says little, and what part of its CPU time an engine spends on the items still much.
    meter.record(share=bound / meter.figures["wall"], useful=bound * CORES / meter.figures["cpu"])


@ROW.cell("plait", "flow(urls).map(fetch).map(parse).map(store): no options; results in order")
def with_plait(meter: Meter) -> None:
    import plait

    with serving() as port:
        scraped(meter, port, lambda source: plait.flow(source).map(fetch).map(parse).map(store), ordered=True)


@ROW.cell("plait, models named", "model='async', 'processes', 'threads'; ordered=False, as by hand", against="plait")
def with_plait_pinned(meter: Meter) -> None:
    import plait

    def way(source: Iterable[str]) -> Any:
        fetched = plait.flow(source).map(fetch, model="async", ordered=False)
        parsed = fetched.map(parse, model="processes", ordered=False)
        return parsed.map(store, model="threads", ordered=False)

    with serving() as port:
        scraped(meter, port, way, ordered=False)


@ROW.cell(BY_HAND, "benchmarks/flow/byhand.py: asyncio, bounded queues, processes in chunks of 16, threads; unordered")
def by_hand(meter: Meter) -> None:
    with serving() as port, scraper() as glued:
        scraped(meter, port, glued.run, ordered=False)


@ROW.cell(
    "pypeln",
    "task(4) -> process(2) -> thread(4) over lists of 16 made by hand (an item at a time takes longer); unordered; "
    "no maxsize: a bounded process stage behind a task stage hangs",
)
def with_pypeln(meter: Meter) -> None:
    import pypeln

    async def fetch_chunk(chunk: list[str]) -> list[bytes]:
        return await asyncio.gather(*map(fetch, chunk))

    def way(source: Iterable[str]) -> Iterator[Record]:
        source = iter(source)
        chunks = iter(lambda: list(islice(source, 16)), [])
        pages = pypeln.task.map(fetch_chunk, chunks, workers=WIDTH // 16)
        records = pypeln.process.map(parse_chunk, pages, workers=CORES)
        for chunk in pypeln.thread.map(store_chunk, records, workers=4):
            yield from chunk

    with serving() as port:
        scraped(meter, port, way, ordered=False)


@ROW.cell(
    "streamable",
    "map(concurrency=64) -> buffer -> group(16) -> map(a process pool) -> map(8 threads) -> flatten; as_completed",
)
def with_streamable(meter: Meter) -> None:
    from streamable import stream

    def way(source: Iterable[str]) -> Any:
        pages = stream(source).map(fetch, concurrency=WIDTH, as_completed=True).buffer(128).group(16)
        records = pages.map(parse_chunk, concurrency=processes, as_completed=True)
        return records.map(store_chunk, concurrency=8, as_completed=True).flatten()

    context = multiprocessing.get_context("fork")
    with serving() as port, ProcessPoolExecutor(CORES, mp_context=context) as processes:
        scraped(meter, port, way, ordered=False)


@ROW.cell(BOUND, "CPU seconds of single items, by the cores: parsing with all cores at it, fetching and storing alone")
def bound_apart(meter: Meter) -> None:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(CORES, mp_context=context) as processes:
        each = sum(processes.map(parsed_alone, [SAMPLE] * CORES)) / CORES
    with serving() as port:
        fetching, storing = cpu_to_fetch(port), cpu_to_store()
    meter.record(wall=meter.size * (each + fetching + storing) / CORES)
    meter.record(**{"to parse": each, "to fetch": fetching, "to store": storing})


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    share, apart = medians.of("plait", "share"), ratio(medians, BOUND, "plait")
    each = ", ".join(f"{medians.of(BOUND, part) * 1e6:,.0f} us {part}" for part in ("to parse", "to fetch", "to store"))
    text = f"{share:.3f} of the run's own bound; {apart:.3f} of the bound measured apart (a page: {each})"
    yield Check(text, share >= 0.9)
    for peer in (BY_HAND, "pypeln", "streamable"):
        times = ratio(medians, peer, "plait")
        yield Check(f"{peer} takes {times:.2f}x", times > 1)
