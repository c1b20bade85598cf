"""`Run`: one execution. Iterable, awaitable, cancellable; owns a report."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

from plait.engine.chain import Chain
from plait.engine.drive import Drive
from plait.errors import RunUsedTwice
from plait.events import Event
from plait.failure import Failure
from plait.surface.flow_report import FlowReport
from plait.surface.report import Report

__all__ = ["Run"]

R = TypeVar("R")


class Run(Generic[R]):
    """The results of a function over items, as they come.

    Nothing starts before the first iteration, `await`, `with` or `start()`. A run is single use; one that is never
    used warns. `for r in run`, `async for r in run`, `await run` (a list), `run.wait()`.

    **Shape**: lazy; in input order unless `ordered=False`; the source is read no further ahead than `buffer`.
    **Concurrency**: consumed by one thread or one coroutine; `cancel`, `report` and `failures` from any.
    """

    def __init__(self, drive: Drive | Chain) -> None:
        self._drive = drive
        self._used = ""
        self._results: Any = None
        figures = drive.all_figures
        self.report = Report(figures[0]) if len(figures) == 1 else FlowReport(figures)

    # --- consuming --------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[R]:
        """Results one by one.

        Raises:
            RunUsedTwice: the run was consumed before.
            RuntimeError: its items run on this thread's own event loop, which iterating would block.
        """
        self._use("for")
        if self._drive.on_own_loop:
            raise RuntimeError("This run's items run on this thread's event loop: use `async for` or `await` instead.")
        results: Iterator[R] = self._drive.results()
        return results

    def __aiter__(self) -> AsyncIterator[R]:
        """Results one by one, on an event loop."""
        self._use("async for")
        self._results = self._drive.results_async()
        return self._results  # type: ignore[no-any-return]

    def __await__(self) -> Generator[Any, None, list[R]]:
        """All results as a list, on an event loop."""
        return self._gather().__await__()

    async def _gather(self) -> list[R]:
        results = aiter(self)
        try:
            return [result async for result in results]
        finally:
            await self._drive.close_async()

    def wait(self) -> Run[R]:
        """Run to the end and let go of the results, for a function called for its effects. Returns the run itself.

        Raises:
            BaseException: whatever iterating would raise.
        """
        for _ in self:
            pass
        return self

    def to_arrow(self, schema: Any = None) -> Any:
        """All results as a `pyarrow.Table`: rows (dicts, dataclasses, ...) or tables, put together.

        Parameters:
            schema: a `pyarrow.Schema`: these columns and types, and no others.

        Raises:
            MissingExtra: pyarrow is not installed.
            TypeError: results do not fit one table; it names the row and the column.
        """
        from plait.surface.tables import to_arrow  # of an extra

        return to_arrow(self, schema)

    def to_pandas(self) -> Any:
        """All results as a pandas DataFrame; see `to_arrow`."""
        from plait.surface.tables import to_pandas

        return to_pandas(self)

    def to_polars(self) -> Any:
        """All results as a Polars DataFrame; see `to_arrow`."""
        from plait.surface.tables import to_polars

        return to_polars(self)

    def start(self) -> Run[R]:
        """Begin now, in the background, as far as the buffer allows. Returns the run itself."""
        try:
            wanted = self._drive.is_async or hasattr(self._drive.items, "__aiter__")
            loop = asyncio.get_running_loop() if wanted else None
        except RuntimeError:
            loop = None
        self._used = self._used or "started"
        self._drive.start(loop)
        return self

    def _use(self, how: str) -> None:
        if self._used not in ("", "started", "entered", "cancelled"):
            raise RunUsedTwice(how)
        self._used = how

    # --- ending -----------------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """End the run from any thread; who consumes it gets `RunCancelled`. Does not wait."""
        self._used = self._used or "cancelled"
        self._drive.cancel("run.cancel() was called")

    def __enter__(self) -> Run[R]:
        self._used = self._used or "entered"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drive.close()

    async def __aenter__(self) -> Run[R]:
        self._used = self._used or "entered"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._drive.close_async()

    def __del__(self) -> None:
        drive = getattr(self, "_drive", None)
        if drive is None:
            return
        if not self._used:
            alone = len(drive.all_figures) == 1
            what = f"plait.map({drive.rules.name}, ...)" if alone else f"The run of the flow {self._names()}"
            warnings.warn(
                f"{what} was never used, so nothing ran: iterate it, or call its wait().",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )
        elif self._used in ("started", "entered"):
            drive.drop()

    # --- watching ---------------------------------------------------------------------------------------------------

    @property
    def failures(self) -> Sequence[Failure]:
        """The items that failed for good so far; of many, the last thousand (`report.failures` counts all)."""
        return [failure for figures in self._drive.all_figures for failure in tuple(figures.kept)]

    def observe(
        self, observer: Callable[[Any], object], types: Iterable[type[Event]] | None = None
    ) -> AbstractContextManager[None]:
        """Inside a `with`, call `observer` with each event of `types` (see `plait.events`).

        **Concurrency**: it is called in whichever thread the event happens. One that raises is dropped and reported.
        """
        return self._drive.hub.subscribe(observer, types)

    def _names(self) -> str:
        return " -> ".join(figures.stage for figures in self._drive.all_figures)

    def __repr__(self) -> str:
        figures = self._drive.figures
        state = "done" if figures.ended else "running" if figures.began else "not started"
        return f"<Run of {self._names()}: {state}, {figures.finished} items, {figures.failures} failures>"
