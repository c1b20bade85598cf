"""`here x serial`: the function is called in the consumer's own thread, one item at a time, as `map` does."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from plait.engine.figures import Figures
from plait.engine.outcome import Outcomes
from plait.engine.pieces import Piece
from plait.engine.rules import Rules
from plait.errors import ItemTimeout
from plait.events import ChunkFinished, Hub, ItemFinished
from plait.failure import Failure
from plait.styles.batch import Raised, raised
from plait.styles.resources import open_sync

__all__ = ["run_inline"]

#: Seconds after which observers are told of what has finished since.
TOLD = 0.05


def run_inline(
    function: Callable[[Any], Any],
    source: Iterator[Any],
    first: int,
    rules: Rules,
    figures: Figures,
    hub: Hub,
    cancelled: Sequence[BaseException] = (),
) -> Iterator[Any]:
    """Results one by one, each computed when it is asked for; nothing is read ahead.

    Parameters:
        first: index of the source's next item.
        cancelled: once there is an error in it, that is raised instead of the next result.

    Cost: some 20 ns an item beyond the builtin `map`; with a timeout or observers, some 100 ns.
    """
    call, close = open_sync(function, rules.resources)
    outcomes = Outcomes(rules, figures, hub, random.random)
    before, cpu, index = figures.finished + figures.failures, time.thread_time(), first - 1

    def count() -> None:
        figures.read = index + 1
        figures.finished = before + index + 1 - first - figures.failures

    watched = rules.patience is not None or hub.wanted
    try:
        if watched:
            yield from _watched(call, source, first, outcomes, figures, cancelled)
        else:
            for item in source:
                if cancelled:
                    raise cancelled[0]
                index += 1
                try:
                    value = call(item)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    count()
                    value = _recover(call, item, index, raised(error, 0.0), outcomes, figures)
                    if value is _LEFT_OUT:
                        continue
                yield value
            count()
        if (fatal := outcomes.fatal(ended=True)) is not None:
            raise fatal
        figures.outcome = "done"
    except BaseException as error:
        figures.outcome = "" if isinstance(error, GeneratorExit) else "failed"
        raise
    finally:
        if not watched:
            count()
        figures.cpu += time.thread_time() - cpu
        close()


_LEFT_OUT = object()


def _watched(
    call: Callable[[Any], Any],
    source: Iterator[Any],
    first: int,
    outcomes: Outcomes,
    figures: Figures,
    cancelled: Sequence[BaseException],
) -> Iterator[Any]:
    """The same with the clock read around each item."""
    clock, hub, rules = time.perf_counter, outcomes.hub, outcomes.rules
    patience = rules.patience if rules.patience is not None else float("inf")
    told, count, lost, busy = clock(), 0, 0, 0.0
    each = hub.wants(ItemFinished)
    for index, item in enumerate(source, first):
        if cancelled:
            raise cancelled[0]
        figures.read = index + 1
        began = clock()
        failed = None
        value: Any = None
        try:
            value = call(item)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            failed = raised(error, clock() - began)
        now = clock()
        if now - began >= patience:
            failed = _late(rules, now - began)
            figures.timeouts += 1
        count += 1
        busy += now - began
        if failed is not None:
            value = _recover(call, item, index, failed, outcomes, figures)
            gone = value is _LEFT_OUT or isinstance(value, Failure)
            figures.finished += not gone
            lost += gone
        else:
            figures.finished += 1
            if each:
                hub.emit(ItemFinished(stage=rules.name, index=index, attempt=1))
        if hub.wanted and now - told > TOLD:
            hub.emit(ChunkFinished(stage=rules.name, items=count, failed=lost, seconds=busy))
            told, count, lost, busy = now, 0, 0, 0.0
        if value is not _LEFT_OUT:
            yield value
    if count and hub.wanted:
        hub.emit(ChunkFinished(stage=rules.name, items=count, failed=lost, seconds=busy))


def _late(rules: Rules, took: float) -> Raised:
    error = ItemTimeout(rules.patience or 0.0, rules.impatience, f"it took {took:.3g} s, and its result is refused")
    return Raised(error, f"{type(error).__name__}: {error}\n", took)


def _recover(
    call: Callable[[Any], Any], item: Any, index: int, failed: Raised, outcomes: Outcomes, figures: Figures
) -> Any:
    """Try a failed item again while its rules allow; its result, its `Failure`, or nothing."""
    piece = Piece(index, [item])
    rules = outcomes.rules
    while (wait := outcomes.again(piece, failed, time.monotonic())) is not None:
        time.sleep(wait)
        began = time.perf_counter()
        try:
            value = call(item)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            failed = raised(error, time.perf_counter() - began)
        else:
            took = time.perf_counter() - began
            if rules.patience is None or took < rules.patience:
                _tell(outcomes)
                return value
            failed = _late(rules, took)
            figures.timeouts += 1
    segment = outcomes.failure(piece, failed)
    _tell(outcomes)
    if (fatal := outcomes.fatal(ended=False)) is not None:
        raise fatal
    return segment[2][0] if segment is not None and segment[2] else _LEFT_OUT


def _tell(outcomes: Outcomes) -> None:
    events, outcomes.events = outcomes.events, []
    for event in events:
        outcomes.hub.emit(event)
