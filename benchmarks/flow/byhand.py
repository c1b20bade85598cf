"""What an expert writes without a library for flows: asyncio, bounded queues, a process pool and a thread pool.

    urls -> [ 64 coroutines: fetch ] -> queue -> [ chunks of 16 to 2 processes: parse ] -> queue -> [ 8 threads: store ]

The settings were found by trying (benchmarks/README.md says what was tried): that is the work that plait saves.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.coroutines import on_best_loop
from benchmarks.flow.work import Record, fetch, parse, store

__all__ = ["Scraper", "Settings", "executors", "scraper"]

CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Settings:
    """Tuned by hand for the flow of `scrape`, on two cores.

    Parameters:
        fetching: requests at once. parsing: pages that travel to a worker together.
        feeders: chunks that are at the workers at once, in work or waiting. storing: threads.
        stored_together: records that a thread is given together.
        between: pages, and records, that may lie between two stages.
    """

    fetching: int = 64
    parsing: int = 16
    feeders: int = 2 * CORES
    workers: int = CORES
    storing: int = 8
    stored_together: int = 4
    between: int = 128


def parse_chunk(pages: list[bytes]) -> list[Record]:
    return [parse(page) for page in pages]


def store_chunk(records: list[Record]) -> list[Record]:
    return [store(record) for record in records]


async def taken(queue: asyncio.Queue[Any], most: int) -> list[Any]:
    """One entry, and what else is there at once; empty: the stage before has ended. `None` ends a queue, and stays."""
    chunk = [await queue.get()]
    while len(chunk) < most and chunk[-1] is not None and not queue.empty():
        chunk.append(queue.get_nowait())
    if chunk[-1] is None:
        chunk.pop()
        queue.put_nowait(None)
    return chunk


async def stage(width: int, work: Callable[[], Any], output: asyncio.Queue[Any] | None) -> None:
    """`width` coroutines that do the same; the first error ends them all."""
    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())
    if output is not None:
        await output.put(None)


@dataclass(frozen=True)
class Scraper:
    """fetch -> parse -> store on executors that are up. Results come as they finish."""

    processes: Executor
    threads: Executor
    settings: Settings

    def run(self, urls: Iterable[str]) -> list[Record]:
        return on_best_loop(self._main(iter(urls)))

    async def _main(self, source: Iterator[str]) -> list[Record]:
        settings, loop = self.settings, asyncio.get_running_loop()
        # One more than may lie there: for the end's mark, which those who take put back.
        pages: asyncio.Queue[Any] = asyncio.Queue(settings.between + 1)
        records: asyncio.Queue[Any] = asyncio.Queue(settings.between + 1)
        results: list[Record] = []

        async def fetching() -> None:
            for url in source:
                await pages.put(await fetch(url))

        async def parsing() -> None:
            while chunk := await taken(pages, settings.parsing):
                for record in await loop.run_in_executor(self.processes, parse_chunk, chunk):
                    await records.put(record)

        async def storing() -> None:
            while chunk := await taken(records, settings.stored_together):
                results.extend(await loop.run_in_executor(self.threads, store_chunk, chunk))

        async with asyncio.TaskGroup() as group:
            group.create_task(stage(settings.fetching, fetching, pages))
            group.create_task(stage(settings.feeders, parsing, records))
            group.create_task(stage(settings.storing, storing, None))
        return results


@contextmanager
def executors(workers: int, threads: int) -> Iterator[tuple[Executor, Executor]]:
    """Forked processes (the quickest; they are all up before the first thread is) and threads."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context) as processes, ThreadPoolExecutor(threads) as pool:
        yield processes, pool


@contextmanager
def scraper(settings: Settings | None = None) -> Iterator[Scraper]:
    settings = settings or Settings()
    with executors(settings.workers, settings.storing) as (processes, threads):
        yield Scraper(processes, threads, settings)
