"""`plait.map` and `plait.starmap`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

from plait.engine.chain import Chain, Stage
from plait.engine.drive import Drive
from plait.errors import OptionError
from plait.events import Hub
from plait.failure import Failure
from plait.journal.journal import Journal
from plait.placement import Placement
from plait.policy.hedge import Hedge
from plait.policy.limit import Limit
from plait.policy.rate import Rate
from plait.policy.retry import Retry
from plait.surface.calls import Spread, is_async, items_of, name_of
from plait.surface.observers import attach
from plait.surface.options import journal_from, meant, pinned_model, rules_from
from plait.surface.run import Run

__all__ = ["Options", "checked_progress", "map", "stage_of", "starmap"]

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
    rate: str | float | Rate | Sequence[str | float | Rate] | None
    limit: int | Limit | Sequence[int | Limit] | None
    hedge: bool | float | Hedge | None
    journal: str | os.PathLike[str] | Journal | None
    journal_key: Callable[[Any], Any] | None
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
        items: any iterable or async iterable, finite or not; of a pandas, Polars or Arrow table, its rows. It is read
            in a thread of Plait's own (not with `model="serial"`), no further ahead than `buffer`.
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
        rate: attempts that may begin: `"50/s"`, a `plait.Rate`, or several, `[Rate("500/s"), Rate("5/s", key=host)]`;
            over all workers together.
        limit: items in progress: a number, a `plait.Limit`, or several, `[Limit(100), Limit(2, key=host)]`.
        hedge: an idempotent function's stragglers are issued a second time, and the first answer counts: `True`, a
            percentile (`0.95`) of what items take from which on one is a straggler, or a `plait.Hedge`.
        journal: a path (or a `plait.Journal`): results are remembered there, and a rerun replays them.
        journal_key: what an item is known by in the journal; by default its content.
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


def _run(fn: Any, call: Any, items: Any, options: dict[str, Any]) -> Run[Any]:
    if not callable(fn):
        raise TypeError(
            f"plait.map takes a function first, then the items; got {type(fn).__name__!r} for the function."
        )
    items = items_of(items, "plait.map")
    options = {**getattr(fn, "__plait_options__", {}), **options}
    progress, journal = checked_progress(options.pop("progress", None)), journal_from(options.pop("journal", None))
    stage = stage_of(fn, call, options)
    hub = Hub()
    drive: Drive | Chain
    if journal is None:
        drive = Drive(stage.function, items, stage.rules, hub, is_async=stage.is_async)
    else:
        drive = Chain(items, (), [stage], hub, journal)
    run: Run[Any] = Run(drive)
    attach(hub, progress, run.report)
    return run


def checked_progress(progress: Any) -> bool | None:
    """What `progress=` says.

    Raises:
        OptionError: it says nothing that it can.
    """
    if progress not in (None, True, False):
        raise OptionError("progress", progress, "it takes True, False or None (in notebooks only)")
    return progress  # type: ignore[no-any-return]


def stage_of(fn: Any, call: Any, options: dict[str, Any]) -> Stage:
    """The stage of a function with its options.

    Parameters:
        fn: the user's function, which names the stage. call: what is called with each item.

    Raises:
        UnknownOption, OptionError: as `plait.map`.
    """
    options = dict(options)
    name = options.pop("name", None)
    if name is not None and not isinstance(name, str):
        raise OptionError("name", name, "it takes a string")
    function_is_async = is_async(call)
    function = getattr(call, "__plait_function__", call)
    wanted = pinned_model(function_is_async) if options.get("model", "auto") == "auto" else None
    if wanted is None:
        return Stage(function, rules_from(name or name_of(fn), options, is_async=function_is_async), function_is_async)
    allowed, note = meant(function, options.get("resources"), wanted)
    rules = rules_from(name or name_of(fn), {**options, "model": allowed}, is_async=function_is_async)
    return Stage(function, replace(rules, asked_by="PLAIT_MODEL", note=note), function_is_async)
