"""Where items come from: any iterable or async iterable, read no further ahead than the outlet has room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

from plait.engine.figures import Figures
from plait.engine.lane import Lane
from plait.engine.outlet import Outlet
from plait.errors import RunCancelled

__all__ = ["Bridge", "feed", "feed_async", "length", "source_broke", "source_failed"]


def length(items: Any) -> int | None:
    """How many items there are, where the source knows."""
    try:
        return len(items)
    except (TypeError, AttributeError, NotImplementedError):
        return None


def feed(source: Iterator[Any], lane: Lane, outlet: Outlet) -> None:
    """Offer every item of `source` to the lane, as fast as the outlet has room."""
    figures, offer = lane.figures, lane.offer
    while _room(outlet, figures):
        room, before = max(1, outlet.room(figures.read)), figures.read
        try:
            for item in islice(source, room):
                offer(item)
                if lane.over:
                    return
        except BaseException as error:
            source_broke(error, lane)
            return
        if figures.read - before < room:
            lane.end()
            return


def _room(outlet: Outlet, figures: Figures) -> bool:
    began, begun = time.perf_counter(), figures.flowing  # while workers start, nothing is held back by anybody
    try:
        return outlet.wait_for_room(figures.read)
    finally:
        figures.held += time.perf_counter() - began if begun else 0.0


async def feed_async(source: AsyncIterator[Any], lane: Lane, outlet: Outlet) -> None:
    """The same for an async source, on its event loop."""
    figures = lane.figures
    try:
        async for item in source:
            lane.offer(item)
            if lane.over:
                return
            if outlet.room(figures.read) <= 0:
                began = time.perf_counter()
                more = await outlet.wait_for_room_async(figures.read)
                figures.held += time.perf_counter() - began
                if not more:
                    return
    except asyncio.CancelledError as error:
        if not lane.over:  # not by us: the lane was over then
            cancelled = RunCancelled("the source was cancelled")
            cancelled.__cause__ = error
            lane.end(cancelled)
        raise
    except BaseException as error:
        source_broke(error, lane)
        return
    lane.end()


def source_broke(error: BaseException, lane: Lane) -> None:
    """The source raised: results of what was read come first. Where it is a stage before, the run ends at once."""
    if lane.figures.fed:
        lane.broken(error, "")
    else:
        lane.end(source_failed(error, lane.figures.read))


def source_failed(error: BaseException, read: int) -> BaseException:
    """`error` with a note that it came from the source."""
    first = f" after {read} items, whose results came first" if read else ""
    error.add_note(f"Raised by the source of the items{first}.")
    if type(error).__name__ == "ProgrammingError" and "same thread" in str(error):
        error.add_note("Plait reads its source in a thread of its own: pass list(cursor), or model='serial'.")
    if isinstance(error, StopIteration):  # raised out of a generator of ours it would become something else
        wrapped = RuntimeError("The source raised StopIteration.")
        wrapped.__cause__ = error
        return wrapped
    return error


class Bridge:
    """An async source as an iterator, for the few items that a probe reads from another thread."""

    def __init__(self, source: AsyncIterator[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.source, self.loop = source, loop

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        async def pull() -> Any:
            return await anext(self.source, _END)

        pulling = pull()
        try:
            item = asyncio.run_coroutine_threadsafe(pulling, self.loop).result()
        except RuntimeError:
            if self.loop.is_closed():  # the run was left meanwhile
                pulling.close()
                raise StopIteration from None
            raise
        if item is _END:
            raise StopIteration
        return item


_END = object()
