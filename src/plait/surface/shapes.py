"""Functions of a flow's stages that are not plain maps: what keeps, multiplies or only looks at items.

Each is an object that worker processes can import, around the user's function. Results are lists where a stage may give
any number of them for an item; the flow takes those apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from plait.surface.calls import is_async

__all__ = ["filtering", "flattening", "tapping"]


class _Around:
    """Calls a function."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.__wrapped__ = fn


class _Keeps(_Around):
    """What gives back the item itself, so that what the function does to it is seen."""

    __plait_returns_item__ = True


class Filter(_Keeps):
    """The item in a list, or nothing in it."""

    def __call__(self, item: Any, **resources: Any) -> list[Any]:
        return [item] if self.fn(item, **resources) else []


class FilterAsync(_Keeps):
    """The same for an async function."""

    async def __call__(self, item: Any, **resources: Any) -> list[Any]:
        return [item] if await self.fn(item, **resources) else []


class FlatMap(_Around):
    """Everything that the function's result holds."""

    def __call__(self, item: Any, **resources: Any) -> list[Any]:
        results = self.fn(item, **resources)
        if isinstance(results, str | bytes) or not hasattr(results, "__iter__"):
            raise TypeError(_not_many(results))
        return list(results)


class FlatMapAsync(_Around):
    """The same for a function that is async, or an async generator."""

    async def __call__(self, item: Any, **resources: Any) -> list[Any]:
        results = self.fn(item, **resources)
        if hasattr(results, "__await__"):
            results = await results
        if hasattr(results, "__aiter__"):
            return [result async for result in results]
        if isinstance(results, str | bytes) or not hasattr(results, "__iter__"):
            raise TypeError(_not_many(results))
        return list(results)


class Tap(_Keeps):
    """The item, once the function was called with it."""

    def __call__(self, item: Any, **resources: Any) -> Any:
        self.fn(item, **resources)
        return item


class TapAsync(_Keeps):
    """The same for an async function."""

    async def __call__(self, item: Any, **resources: Any) -> Any:
        await self.fn(item, **resources)
        return item


def _not_many(results: Any) -> str:
    kind = type(results).__name__
    return f".flat_map() takes a function that returns a list or another iterable; it returned {kind!r}."


def _of(fn: Callable[..., Any], here: type, there: type) -> Any:
    return (there if is_async(fn) else here)(fn)


def flattening(fn: Callable[..., Any]) -> FlatMap | FlatMapAsync:
    """What `.flat_map(fn)` calls; `fn` may be an async generator, too."""
    bare = fn
    while isinstance(bare, partial):
        bare = bare.func
    generates = inspect.isasyncgenfunction(bare) or inspect.isasyncgenfunction(getattr(type(bare), "__call__", None))  # noqa: B004
    return FlatMapAsync(fn) if generates or is_async(fn) else FlatMap(fn)


filtering = partial(_of, here=Filter, there=FilterAsync)
tapping = partial(_of, here=Tap, there=TapAsync)
