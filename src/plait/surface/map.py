"""`plait.map` and `plait.starmap`."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

from plait.engine.drive import Drive
from plait.errors import OptionError
from plait.events import Hub
from plait.failure import Failure
from plait.placement import Placement
from plait.policy.retry import Retry
from plait.surface.observers import attach
from plait.surface.options import pinned_model, rules_from
from plait.surface.run import Run

__all__ = ["Options", "is_async", "map", "starmap"]

T = TypeVar("T")
R = TypeVar("R")


class Options(TypedDict, total=False):
    """The options of `plait.map`, but for `on_error`, which its types depend on. See `plait.map`."""

    model: str | Placement | tuple[str, ...]
    workers: int | None
    width: int | None
    ordered: bool
    retries: int | Retry
    timeout: float | None
    deadline: float | None
    max_failures: float | None
    on_crash: Literal["rerun", "fail"]
    isolate: bool
    resources: Mapping[str, Any] | None
    buffer: int | None
    memory: int | str | None
    progress: bool | None
    name: str


@overload
def map(
    fn: Callable[..., Awaitable[R]],
    items: Iterable[Any] | AsyncIterable[Any],
    /,
    *,
    on_error: Literal["return"],
    **options: Unpack[Options],
) -> Run[R | Failure]: ...
@overload
def map(
    fn: Callable[..., Awaitable[R]],
    items: Iterable[Any] | AsyncIterable[Any],
    /,
    *,
    on_error: Literal["raise", "skip"] = ...,
    **options: Unpack[Options],
) -> Run[R]: ...
@overload
def map(
    fn: Callable[..., R],
    items: Iterable[Any] | AsyncIterable[Any],
    /,
    *,
    on_error: Literal["return"],
    **options: Unpack[Options],
) -> Run[R | Failure]: ...
@overload
def map(
    fn: Callable[..., R],
    items: Iterable[Any] | AsyncIterable[Any],
    /,
    *,
    on_error: Literal["raise", "skip"] = ...,
    **options: Unpack[Options],
) -> Run[R]: ...
def map(fn: Callable[..., Any], items: Any, /, **options: Any) -> Run[Any]:
    """Call `fn` with each item, under the concurrency model that fits, and get the results as they come.

        for page in plait.map(fetch, urls, retries=3, timeout=20):
            ...

    Parameters:
        fn: the function, sync or async; decorated by `plait.task` it brings options of its own.
        items: any iterable or async iterable, finite or not. It is read in a thread of Plait's own (not with
            `model="serial"`), no further ahead than `buffer`.
        model: `"auto"` measures real items and chooses (or the environment's `PLAIT_MODEL` does); or a model's name
            (`"serial"`, `"threads"`, `"async"`, `"processes"`, `"processes+threads"`, `"processes+async"`), a
            `Placement`, or a tuple of names for `auto` to choose among.
        workers: how many processes at most; `None`: one for each core.
        width: how many items one worker has in progress at once, at most; `None`: measured.
        ordered: results in the order of the items (default), or as they finish.
        retries: further attempts after a failed one: a count or a `plait.Retry`.
        timeout: seconds for one attempt. A coroutine is cancelled; a worker process is killed and replaced; a thread
            keeps its slot until the attempt ends, its late result is refused and a retry waits for it.
        deadline: seconds for one item with all its attempts.
        on_error: `"raise"`: the first failure ends the run and is raised; `"skip"`: left out, kept in `run.failures`;
            `"return"`: a `Failure` in the result's place.
        max_failures: with `"skip"` or `"return"`: a count, or a share below 1, above which the run ends.
        on_crash: an item in hand when its worker dies is run again alone (`"rerun"`), up to three crashes, or fails at
            once (`"fail"`).
        isolate: never run the function in this process, not even to measure it.
        resources: `{"session": open_session}`: made once for each worker (in style `threads` for each thread), passed
            by keyword, closed at the end.
        buffer: items that may have been read and not yet been consumed; `None`: a second's worth, measured.
        memory: bytes, or `"2GiB"`, that all workers may take together: one above its share is replaced.
        progress: `True` draws a progress bar; `None`: in notebooks only.
        name: what the stage is called in reports, events and errors; the function's name by default.

    Returns:
        A `Run`: iterable and awaitable once; nothing starts before that.

    Raises:
        UnknownOption: an option or model does not exist.
        OptionError: an option has a value that it cannot have.
    """
    return _run(fn, fn, items, options)


def starmap(
    fn: Callable[..., Any], items: Iterable[Iterable[Any]] | AsyncIterable[Iterable[Any]], /, **options: Any
) -> Run[Any]:
    """`map` for a function of several arguments: each item is unpacked into them, as in `itertools.starmap`."""
    return _run(fn, Spread(fn), items, options)


class Spread:
    """Calls a function with an item's parts."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.__name__ = _name(fn)
        self.__wrapped__ = fn

    def __call__(self, item: Iterable[Any], **resources: Any) -> Any:
        return self.fn(*item, **resources)


def is_async(fn: Any) -> bool:
    """Whether calling `fn` gives a coroutine, as far as can be told without calling it."""
    while isinstance(fn, partial | Spread):
        fn = fn.func if isinstance(fn, partial) else fn.fn
    fn = getattr(fn, "__plait_function__", fn)
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(type(fn), "__call__", None))  # noqa: B004


def _name(fn: Any) -> str:
    while isinstance(fn, partial):
        fn = fn.func
    return str(getattr(fn, "__name__", None) or type(fn).__name__)


def _run(fn: Any, call: Any, items: Any, options: dict[str, Any]) -> Run[Any]:
    if not callable(fn):
        raise TypeError(
            f"plait.map takes a function first, then the items; got {type(fn).__name__!r} for the function."
        )
    if not hasattr(items, "__iter__") and not hasattr(items, "__aiter__") and not hasattr(items, "__getitem__"):
        raise TypeError(f"plait.map takes an iterable of items; got {type(items).__name__!r}.")
    options = {**getattr(fn, "__plait_options__", {}), **options}
    progress, name = options.pop("progress", None), options.pop("name", None)
    if progress not in (None, True, False):
        raise OptionError("progress", progress, "it takes True, False or None (in notebooks only)")
    if name is not None and not isinstance(name, str):
        raise OptionError("name", name, "it takes a string")
    function_is_async = is_async(call)
    if options.get("model", "auto") == "auto" and (pinned := pinned_model(function_is_async)):
        options["model"] = pinned
    rules = rules_from(name or _name(fn), options, is_async=function_is_async)
    hub = Hub()
    call = getattr(call, "__plait_function__", call)
    run: Run[Any] = Run(Drive(call, items, rules, hub, is_async=function_is_async))
    attach(hub, progress)
    return run
