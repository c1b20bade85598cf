"""`plait.task`: a function with its policy."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

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
        self.__plait_function__ = function
        self.__plait_options__ = options
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as if it were not decorated."""
        return self.__plait_function__(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(cast(Any, self), instance)

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
        return _same, (self.__plait_function__, self.__plait_options__)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.__plait_options__.items())
        return f"<task {getattr(self, '__qualname__', '?')}({options})>"


def _same(function: Callable[..., Any], options: dict[str, Any]) -> Task[..., Any]:
    return Task(function, options)


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
