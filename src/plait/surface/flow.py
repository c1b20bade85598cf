"""`plait.flow`: an immutable chain of source, stages and sink."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Unpack, cast, overload

from plait.engine.chain import Chain, Stage
from plait.engine.regroup import Batched, Regroup, Window, Windowed, Written, unbatch
from plait.errors import OptionError, UnknownOption
from plait.events import Hub
from plait.failure import Failure
from plait.surface.calls import Spread, items_of, name_of
from plait.surface.map import Options, checked_progress, stage_of
from plait.surface.observers import attach
from plait.surface.options import KNOWN, journal_from
from plait.surface.run import Run
from plait.surface.shapes import filtering, flattening, tapping

if TYPE_CHECKING:
    from plait.surface.write import Writer

__all__ = ["Flow", "flow"]

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")

#: Options of a whole run, which a stage cannot have.
OF_RUNS = ("journal", "progress")


@dataclass(frozen=True, slots=True)
class _Step:
    """A stage to be: the user's function, what is called with each item, and its options."""

    fn: Any
    call: Any
    options: dict[str, Any]
    spread: bool = False
    after: tuple[Regroup, ...] = ()


class Flow(Generic[T]):
    """Items and the stages that they go through; made by `plait.flow`.

    Every method gives a new flow and leaves this one as it is. Nothing runs before the flow is iterated, awaited by
    `async for`, or `run`; each of that runs it anew (if its source can be read anew). Stages run side by side, each
    under its own model, with bounded queues between them; results come in the order of the source unless a stage says
    `ordered=False`.

    Every stage takes the options of `plait.map`.
    """

    def __init__(
        self,
        items: Iterable[T] | AsyncIterable[T],
        before: tuple[Regroup, ...] = (),
        steps: tuple[_Step, ...] = (),
    ) -> None:
        self._items, self._before, self._steps = items, before, steps

    # --- stages -----------------------------------------------------------------------------------------------------

    @overload
    def map(
        self, fn: Callable[..., Awaitable[R]], /, *, on_error: Literal["return"], **options: Unpack[Options]
    ) -> Flow[R | Failure]: ...
    @overload
    def map(
        self,
        fn: Callable[..., Awaitable[R]],
        /,
        *,
        on_error: Literal["raise", "skip"] = ...,
        **options: Unpack[Options],
    ) -> Flow[R]: ...
    @overload
    def map(
        self, fn: Callable[..., R], /, *, on_error: Literal["return"], **options: Unpack[Options]
    ) -> Flow[R | Failure]: ...
    @overload
    def map(
        self, fn: Callable[..., R], /, *, on_error: Literal["raise", "skip"] = ..., **options: Unpack[Options]
    ) -> Flow[R]: ...
    def map(self, fn: Callable[..., Any], /, **options: Any) -> Flow[Any]:
        """Call `fn`, sync or async, with each item.

        Parameters:
            options: those of `plait.map`.

        Raises:
            UnknownOption, OptionError: as `plait.map`.
        """
        return self._stage("map", fn, fn, options)

    def starmap(self, fn: Callable[..., Any], /, **options: Any) -> Flow[Any]:
        """`map` for a function of several arguments: each item is unpacked into them."""
        return self._stage("starmap", fn, Spread(fn), options)

    def filter(self, fn: Callable[..., Any], /, **options: Any) -> Flow[T]:
        """Keep the items for which `fn`, sync or async, is true."""
        return self._stage("filter", fn, filtering(_bare(fn)), options, spread=True)

    def flat_map(self, fn: Callable[..., Any], /, **options: Any) -> Flow[Any]:
        """Call `fn` with each item; each member of the iterable that it returns is a result.

        An item's members are gathered before the first of them goes on: return ranges or paths where they are many.
        """
        return self._stage("flat_map", fn, flattening(_bare(fn)), options, spread=True)

    def tap(self, fn: Callable[..., Any], /, **options: Any) -> Flow[T]:
        """Call `fn` with each item for its effect, and pass the item on."""
        return self._stage("tap", fn, tapping(_bare(fn)), options)

    def batch(self, n: int, /, *, within: float | None = None) -> Flow[list[T]]:
        """Gather `n` items into a list (the last may be shorter).

        Parameters:
            within: seconds after its first item when a list is passed on although it is not full.
        """
        _checked("n", n, whole=True)
        _checked("within", within)
        return cast("Flow[list[T]]", self._between(Batched(n, within)))

    def unbatch(self: Flow[list[S]]) -> Flow[S]:
        """Take lists (or other iterables) apart."""
        return cast("Flow[S]", self._between(unbatch))

    def window(self, *, seconds: float | None = None, items: int | None = None) -> Flow[Window]:
        """Gather what comes within a span of time into a `Window`: a list with `start` and `end`.

        Windows follow each other without overlap. With `seconds` their bounds are multiples of it since the epoch,
        and a span in which nothing came has no window; with `items` a window is full then.
        """
        if seconds is None and items is None:
            raise OptionError("window", None, "it takes seconds=, items= or both")
        _checked("seconds", seconds)
        _checked("items", items, whole=True)
        return cast("Flow[Window]", self._between(Windowed(seconds, items)))

    def to(self, sink: Writer | Callable[..., Any], /, **options: Any) -> Flow[T]:
        """Write each item to a sink, and pass it on.

        Parameters:
            sink: a writer (`plait.write.jsonl("out.jsonl")`, ...), whose file is there once the run is complete and
                not before; or a function, which is called with each item like that of `tap` (with `resources=` for
                what it writes to).
        """
        if hasattr(sink, "write") and hasattr(sink, "__enter__"):
            if options:
                raise OptionError("to", next(iter(options)), "a writer takes no options; give it a function for that")
            return self._between(Written(cast("Writer", sink)))
        return self.tap(sink, **options)

    def _stage(self, how: str, fn: Any, call: Any, options: dict[str, Any], *, spread: bool = False) -> Flow[Any]:
        if not callable(fn):
            raise TypeError(f".{how}() takes a function; got {type(fn).__name__!r}.")
        for name, value in options.items():
            if name in OF_RUNS:
                raise OptionError(name, value, f"it is an option of the whole run: .run({name}=...)")
        options = {**_own(fn), **options}
        stage_of(fn, call, options)  # what is wrong is said here
        return Flow(self._items, self._before, (*self._steps, _Step(fn, call, options, spread)))

    def _between(self, regroup: Regroup) -> Flow[Any]:
        if not self._steps:
            return Flow(self._items, (*self._before, regroup))
        last = self._steps[-1]
        return Flow(self._items, self._before, (*self._steps[:-1], replace(last, after=(*last.after, regroup))))

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self, **options: Any) -> Run[T]:
        """The flow as a run, which can be iterated or awaited once, waited for and cancelled, and owns a report.

        Parameters:
            options: `journal` (a path: what is finished is remembered, and a rerun goes on from there), `progress`,
                and any other of `plait.map` but `name` as the default of every stage.

        Raises:
            UnknownOption, OptionError: as `plait.map`.
        """
        for name, value in options.items():
            if name not in (*KNOWN, "on_error"):
                raise UnknownOption("option", name, [*KNOWN, "on_error"])
            if name == "name":
                raise OptionError(name, value, "it is an option of a stage: .map(fn, name=...)")
        progress, journal = checked_progress(options.pop("progress", None)), journal_from(options.pop("journal", None))
        names: set[str] = set()
        stages = []
        for step in self._steps:
            given = {**options, **step.options}
            given["name"] = _unique(given.pop("name", None) or name_of(step.fn), names)
            stage = stage_of(step.fn, step.call, given)
            stages.append(Stage(stage.function, stage.rules, stage.is_async, step.spread, step.after))
        hub = Hub()
        run: Run[T] = Run(Chain(self._items, self._before, stages, hub, journal))
        attach(hub, progress, run.report)
        return run

    def __iter__(self) -> Iterator[T]:
        return iter(self.run())

    def __aiter__(self) -> AsyncIterator[T]:
        return aiter(self.run())

    def __repr__(self) -> str:
        stages = "".join(f" -> {name_of(step.fn)}" for step in self._steps)
        return f"<Flow {type(self._items).__name__}{stages}>"


def flow(items: Iterable[T] | AsyncIterable[T], /) -> Flow[T]:
    """Begin a flow with its source.

        pages = plait.flow(urls).map(fetch, limit=100).map(parse).filter(is_new).to(plait.write.jsonl("pages.jsonl"))
        pages.run(journal="pages.db").wait()

    Parameters:
        items: any iterable or async iterable, finite or not; a file (`plait.read.lines`, ...); a pandas, Polars or
            Arrow table, whose rows are the items.

    Raises:
        TypeError: it cannot be iterated.
    """
    return Flow(items_of(items, "plait.flow"))


def _own(fn: Any) -> dict[str, Any]:
    """The options that a task brings."""
    return {name: value for name, value in getattr(fn, "__plait_options__", {}).items() if name not in OF_RUNS}


def _bare(fn: Any) -> Any:
    return getattr(fn, "__plait_function__", fn)


def _unique(name: str, taken: set[str]) -> str:
    """`name`, or `name-2`, `name-3`, ... where that is taken; it is, from now on."""
    names = itertools.chain((name,), (f"{name}-{number}" for number in itertools.count(2)))
    unique = next(one for one in names if one not in taken)
    taken.add(unique)
    return unique


def _checked(name: str, value: Any, *, whole: bool = False) -> None:
    number = isinstance(value, int) or (not whole and isinstance(value, float))
    if value is not None and (isinstance(value, bool) or not number or not 0 < value < float("inf")):
        raise OptionError(name, value, "it takes a whole number from 1" if whole else "it takes seconds above 0")
    if whole and name == "n" and value is None:
        raise OptionError(name, value, "it takes a whole number from 1")
