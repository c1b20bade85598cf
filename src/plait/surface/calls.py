"""What can be told of a function without calling it, and how items become its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

__all__ = ["Spread", "is_async", "is_table", "name_of"]


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
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(type(fn), "__call__", None))  # noqa: B004


def name_of(fn: Any) -> str:
    """What a stage that calls `fn` is called."""
    while isinstance(fn, partial):
        fn = fn.func
    return str(getattr(fn, "__name__", None) or type(fn).__name__)


def is_table(items: Any) -> bool:
    """Whether it is a pandas, Polars or Arrow table (or a stream of record batches), whose rows are meant."""
    kind = type(items)  # of a class itself, its attributes would say so
    return hasattr(kind, "__arrow_c_stream__") and (hasattr(kind, "columns") or hasattr(kind, "schema"))
