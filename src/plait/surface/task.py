"""`plait.task`: a function with its policy."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from plait.surface.calls import is_async
from plait.surface.map import _run
from plait.surface.options import rules_from
from plait.surface.run import Run

__all__ = ["Task", "task"]

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function that brings its own options. It is called as it always was; `.map` runs it over items.

    Made by `plait.task`.
    """

    def __init__(self, function: Callable[P, R], options: dict[str, Any]) -> None:
        checked = {name: value for name, value in options.items() if name not in ("progress", "name", "journal")}
        rules_from(getattr(function, "__name__", "task"), checked, is_async=is_async(function))
        self._wrap(function, options)

    def _wrap(self, function: Callable[P, R], options: dict[str, Any]) -> None:
        self.__plait_function__ = function
        self.__plait_options__ = options
        functools.update_wrapper(self, function)
        if is_async(function):  # so that others see it, too
            _mark_async(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as if it were not decorated."""
        return self.__plait_function__(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """As a method: a task that is bound to its object, with the same options."""
        function: Any = self.__plait_function__
        bind = getattr(type(function), "__get__", None)
        bound = bind(function, instance, owner) if bind is not None else function
        return self if bound is function else _same(bound, self.__plait_options__)

    def map(self, items: Iterable[Any] | AsyncIterable[Any], /, **options: Any) -> Run[Any]:
        """`plait.map` with this task's options, and `options` over them."""
        return _run(self, self, items, options)

    def with_(self, **options: Any) -> Task[P, R]:
        """The same function with other options; those not given stay."""
        return Task(self.__plait_function__, {**self.__plait_options__, **options})

    def __reduce__(self) -> Any:
        # By name where its module holds this very object: whoever unpickles it imports it then.
        name = getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name
        return self.__plait_by_value__()

    def __plait_by_value__(self) -> Any:
        """How it is pickled where nobody would find it by its name: made first, since its function may name it."""
        return _empty, (), (self.__plait_function__, self.__plait_options__)

    def __setstate__(self, state: tuple[Callable[P, R], dict[str, Any]]) -> None:
        self._wrap(*state)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.__plait_options__.items())
        return f"<task {getattr(self, '__qualname__', '?')}({options})>"


def _empty() -> Task[..., Any]:
    return Task.__new__(Task)


def _same(function: Callable[..., Any], options: dict[str, Any]) -> Task[..., Any]:
    made = _empty()
    made.__setstate__((function, options))
    return made


def _mark_async(made: Any) -> None:
    """Have `inspect.iscoroutinefunction` say so; before Python 3.12 only asyncio's could be told."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(made)
    else:
        made._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**options: Any) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(function: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Give a function its policy: how its items may be treated wherever it is mapped.

        @plait.task(retries=3, timeout=20)
        async def fetch(url): ...

        await fetch("https://example.org")        # called as it was
        for page in fetch.map(urls): ...           # with its options

    Parameters:
        options: any of `plait.map`.

    Raises:
        UnknownOption, OptionError: at decoration, as `plait.map` would.
    """
    if function is not None:
        return Task(function, {})
    return lambda made: Task(made, options)
