"""The peers, with their defaults: two workers (one a core) only where they must be told, a chunk size only in the grid.

Each function here imports its peer, and returns what opens it: a context manager that yields the results. What is
imported and what is closed stays outside of the timed part; what is started does not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

from benchmarks.fit.grid import cores

__all__ = ["PEERS", "Retrying"]

Opener: TypeAlias = "Callable[[Callable[[Any], Any], Iterable[Any]], AbstractContextManager[Iterable[Any]]]"


class Retrying:
    """A function that is tried again as a `plait.Retry` would: what peers have no word for."""

    def __init__(self, fn: Callable[[Any], Any], times: int, backoff: float, longest: float) -> None:
        self.fn, self.times, self.backoff, self.longest = fn, times, backoff, longest

    def __call__(self, item: Any) -> Any:
        for attempt in range(self.times):
            try:
                return self.fn(item)
            except Exception:
                # The middle of plait's default jitter.
                time.sleep(0.75 * min(self.longest, self.backoff * 2.0**attempt))
        return self.fn(item)


def thread_executor(chunk: int | None) -> Opener:
    from concurrent.futures import ThreadPoolExecutor

    @contextmanager
    def opened(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Iterable[Any]]:
        with ThreadPoolExecutor() as executor:
            yield executor.map(fn, items)

    return opened


def process_executor(chunk: int | None) -> Opener:
    from concurrent.futures import ProcessPoolExecutor

    @contextmanager
    def opened(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Iterable[Any]]:
        with ProcessPoolExecutor() as executor:
            yield executor.map(fn, items, chunksize=chunk or 1)

    return opened


def pool(chunk: int | None) -> Opener:
    import multiprocessing.pool

    @contextmanager
    def opened(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Iterable[Any]]:
        with multiprocessing.pool.Pool() as workers:
            yield workers.map(fn, items, chunksize=chunk)

    return opened


def pool_imap(chunk: int | None) -> Opener:
    import multiprocessing.pool

    @contextmanager
    def opened(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Iterable[Any]]:
        with multiprocessing.pool.Pool() as workers:
            yield workers.imap(fn, items, chunksize=chunk or 1)

    return opened


def joblib(chunk: int | None) -> Opener:
    from joblib import Parallel, delayed
    from joblib.externals import loky  # noqa: F401 - imported when first used, otherwise

    @contextmanager
    def opened(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Iterable[Any]]:
        yield Parallel(n_jobs=cores())(delayed(fn)(item) for item in items)

    return opened


def mpire(chunk: int | None) -> Opener:
    from mpire import WorkerPool

    @contextmanager
    def opened(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Iterable[Any]]:
        with WorkerPool() as workers:
            # A tuple would be spread over the function's parameters: each item is made an argument list of its own.
            wrapped = [(item,) for item in items]
            yield workers.map(fn, wrapped)

    return opened


def dask_bag(chunk: int | None) -> Opener:
    import dask.bag

    @contextmanager
    def opened(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Iterable[Any]]:
        yield dask.bag.from_sequence(items).map(fn).compute()

    return opened


def gather(chunk: int | None) -> Opener:
    async def gathered(fn: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return await asyncio.gather(*(fn(item) for item in items))

    @contextmanager
    def opened(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Iterable[Any]]:
        with asyncio.Runner() as runner:
            yield runner.run(gathered(fn, items))

    return opened


PEERS: dict[str, Callable[[int | None], Opener]] = {
    "ThreadPoolExecutor.map": thread_executor,
    "ProcessPoolExecutor.map": process_executor,
    "Pool.map": pool,
    "Pool.imap": pool_imap,
    "joblib": joblib,
    "mpire": mpire,
    "dask.bag": dask_bag,
    "asyncio.gather": gather,
}
