"""What can be told of a function without calling it, and how items become its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from plait.engine.source import length

__all__ = ["Spread", "is_async", "items_of", "name_of", "total_of"]


class Spread:
    """Calls a function with an item's parts."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.__name__ = name_of(fn)
        self.__wrapped__ = fn

    def __call__(self, item: Iterable[Any], **resources: Any) -> Any:
        """The function's result."""
        return self.fn(*item, **resources)


def is_async(fn: Any) -> bool:
    """Whether calling `fn` gives a coroutine, as far as can be told without calling it."""
    while isinstance(fn, partial | Spread):
        fn = fn.func if isinstance(fn, partial) else fn.fn
    fn = getattr(fn, "__plait_function__", fn)
    fn = fn.__func__ if isinstance(fn, staticmethod | classmethod) else fn
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(type(fn), "__call__", None))  # noqa: B004


def name_of(fn: Any) -> str:
    """What a stage that calls `fn` is called."""
    while isinstance(fn, partial):
        fn = fn.func
    return str(getattr(fn, "__name__", None) or type(fn).__name__)


def items_of(items: Any, who: str) -> Any:
    """What is iterated for `items`: themselves, or the rows of a table.

    Raises:
        TypeError: they cannot be iterated.
    """
    if hasattr(type(items), "__arrow_c_stream__") or hasattr(type(items), "__arrow_c_array__"):
        from plait.surface.arrow import is_table  # only who brings a table needs it

        if is_table(items):
            from plait.surface.read import table

            return table(items)
    if not hasattr(items, "__iter__") and not hasattr(items, "__aiter__") and not hasattr(items, "__getitem__"):
        raise TypeError(f"{who} takes an iterable of items; got {type(items).__name__!r}.")
    return items


def total_of(items: Any) -> int | None:
    """About how many items there are, where that is cheap to learn."""
    total, hint = length(items), getattr(items, "total_hint", None)
    return hint() if total is None and callable(hint) else total
