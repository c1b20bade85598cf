"""What a task needs and a worker makes once: opened before the first item, closed after the last."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any

from plait.errors import OptionError

__all__ = ["open_async", "open_sync"]

Call = Callable[[Any], Any]


def _make(name: str, source: Any) -> Any:
    if isinstance(source, type):  # a class that makes context managers is none itself
        return source()
    if callable(source) and not hasattr(source, "__enter__") and not hasattr(source, "__aenter__"):
        return source()
    if hasattr(source, "__enter__") or hasattr(source, "__aenter__"):
        return source
    raise OptionError(f"resources[{name!r}]", source, "it takes a function that makes it, or a context manager")


def _close_after(thing: Any) -> Callable[[], Any] | None:
    close = getattr(thing, "close", None) or getattr(thing, "aclose", None)
    return close if callable(close) else None


def open_sync(function: Call, resources: Mapping[str, Any]) -> tuple[Call, Callable[[], None]]:
    """`function` with its resources bound by keyword, and what closes them.

    A resource that is a context manager is entered and left; one with only `close()` is closed.

    Raises:
        OptionError: a resource is asynchronous and this style has no event loop.
    """
    if not resources:
        return function, lambda: None
    stack = ExitStack()
    made: dict[str, Any] = {}
    try:
        for name, source in resources.items():
            thing = _make(name, source)
            if inspect.isawaitable(thing) or (hasattr(thing, "__aenter__") and not hasattr(thing, "__enter__")):
                if inspect.iscoroutine(thing):
                    thing.close()
                raise OptionError(
                    f"resources[{name!r}]",
                    source,
                    "it is asynchronous, so its function must be async too (model='async')",
                )
            if hasattr(thing, "__enter__"):
                if (close := _close_after(thing)) is not None:
                    stack.callback(close)
                made[name] = stack.enter_context(thing)
            else:
                if (close := _close_after(thing)) is not None:
                    stack.callback(close)
                made[name] = thing
    except BaseException:
        stack.close()
        raise
    return partial(function, **made), stack.close


async def open_async(function: Call, resources: Mapping[str, Any]) -> tuple[Call, AsyncExitStack]:
    """The same on an event loop: async context managers and async functions are awaited."""
    stack = AsyncExitStack()
    made: dict[str, Any] = {}
    try:
        for name, source in resources.items():
            thing = _make(name, source)
            if inspect.isawaitable(thing):
                thing = await thing
            if hasattr(thing, "__aenter__"):
                made[name] = await stack.enter_async_context(thing)
            else:
                if (close := _close_after(thing)) is not None:
                    stack.push_async_callback(_closed, close)
                made[name] = stack.enter_context(thing) if hasattr(thing, "__enter__") else thing
    except BaseException:
        await stack.aclose()
        raise
    return (partial(function, **made) if made else function), stack


async def _closed(close: Callable[[], Any]) -> None:
    outcome = close()
    if inspect.isawaitable(outcome):
        await outcome
