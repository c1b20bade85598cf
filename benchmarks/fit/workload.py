"""`Workload`: a function and its items, how the results are used, and the placements that keep its meaning.

It imports next to nothing: worker processes import the workload's module to find its function, and would pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from benchmarks.fit.grid import Spec

__all__ = ["EVERY", "GATHER", "THREADS_ONLY", "Unavailable", "Workload"]

#: The peers that can run a function that is not async, with their defaults.
EVERY = (
    "ThreadPoolExecutor.map",
    "ProcessPoolExecutor.map",
    "Pool.map",
    "joblib",
    "mpire",
    "dask.bag",
)
#: Where the work must stay in this process, and for async functions.
THREADS_ONLY = ("ThreadPoolExecutor.map",)
GATHER = ("asyncio.gather",)


class Unavailable(Exception):
    """This machine lacks what the workload needs; the message says what."""


class Workload:
    """One line of the tables. A subclass sets what differs.

    Parameters:
        size: how many items.

    Attributes:
        name: for `--only`.
        full, quick: how many items, in full and with `--quick`.
        each: about how many seconds an item takes.
        drifts: its items change on the way, so that a late change of model is right.
        grid: the placements picked by hand; those that are likely to be good first, since they bound the others' time.
        retries: parameters of a `plait.Retry` that every cell gets; peers get the same by a wrapper.
    """

    name: ClassVar[str]
    what: ClassVar[str]
    full: ClassVar[int]
    quick: ClassVar[int]
    each: ClassVar[float]
    grid: ClassVar[tuple[Spec, ...]]
    peers: ClassVar[tuple[str, ...]] = EVERY
    drifts: ClassVar[bool] = False
    retries: ClassVar[dict[str, Any] | None] = None
    fn: Callable[[Any], Any]

    def __init__(self, size: int) -> None:
        self.size = size
        #: Processes of the setting, like servers: their CPU is not the run's.
        self.aside: list[int] = []

    @contextmanager
    def setting(self) -> Iterator[None]:
        """Servers, files, compiled code: made before the timed part, gone after it.

        Raises:
            Unavailable: it cannot be made on this machine.
        """
        yield

    def items(self) -> Iterable[Any]:
        """The source, made anew for each run."""
        return range(self.size)

    def consume(self, results: Iterable[Any]) -> list[Any]:
        """Use the results, and return what is needed to tell whether they are right."""
        return list(results)

    def expected(self) -> Iterable[Any]:
        """What `consume` should have returned."""
        raise NotImplementedError

    def wrong(self, results: list[Any]) -> str | None:
        """What is wrong with what `consume` returned (one missing, doubled, out of order, not right), or `None`."""
        wanted = list(self.expected())
        if results == wanted:
            return None
        if len(results) != len(wanted):
            return f"{len(results)} results for {len(wanted)} items"
        at = next(at for at, (one, other) in enumerate(zip(results, wanted, strict=True)) if one != other)
        return f"result {at} is {str(results[at])[:60]}, not {str(wanted[at])[:60]}"
