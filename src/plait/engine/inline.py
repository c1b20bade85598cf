"""`here x serial`: the function is called in the consumer's own thread, one item at a time, as `map` does.

Three loops, since the cheapest is what a million tiny items need: a plain one; one whose items are looked at from the
process's ticker, when there is a timeout; one that reads the clock around each item, when somebody observes.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from types import CoroutineType, TracebackType
from typing import Any, TypeAlias

from plait.engine.drift import Drifted
from plait.engine.figures import Figures
from plait.engine.outcome import Outcomes
from plait.engine.pieces import Piece
from plait.engine.rules import Rules
from plait.errors import ItemTimeout
from plait.events import ChunkFinished, Hub, ItemFinished
from plait.failure import Failure
from plait.policy.overdue import Overdue, tick_for
from plait.styles.batch import Raised, raised
from plait.styles.resources import open_sync
from plait.styles.serial import refuse_coroutine
from plait.sync.ticker import ticker

__all__ = ["run_inline"]

#: Seconds after which observers are told of what has finished since.
TOLD = 0.05
_LEFT_OUT = object()


def run_inline(
    function: Callable[[Any], Any],
    source: Iterator[Any],
    first: int,
    rules: Rules,
    figures: Figures,
    hub: Hub,
    cancelled: Sequence[BaseException] = (),
    ended: Callable[[], None] = lambda: None,
    outside: Callable[[], float] = lambda: 0.0,
) -> Generator[Any, None, None]:
    """Results one by one, each computed when it is asked for; nothing is read ahead.

    Parameters:
        source: the items, or pairs of `enumerate`, whose progress others can look at. first: index of its next item.
        cancelled: an error in it is raised instead of the next result; `Drifted`: others go on with the rest.
        ended: called when the last result was taken, or no more are wanted.
        outside: seconds that the consumer took for results, as far as that is known.

    Cost: some 10 ns an item beyond the builtin `map`; 30 with a timeout; 200 with observers.
    """
    run = _Inline(function, first, rules, figures, hub, cancelled, ended, outside)
    pairs = source if isinstance(source, enumerate) else enumerate(source, first)
    if any(map(hub.wants, (ChunkFinished, ItemFinished))) or not rules.timeless:
        return _watched(run, pairs, cancelled)
    return _plain(run, pairs, cancelled) if rules.patience is None else _timed(run, pairs, cancelled)


class _Inline:
    """What the three loops share: opened before the first item, settled and closed after the last."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        first: int,
        rules: Rules,
        figures: Figures,
        hub: Hub,
        cancelled: Sequence[BaseException],
        ended: Callable[[], None],
        outside: Callable[[], float],
    ) -> None:
        self.cancelled = cancelled
        self.function, self.first, self.rules, self.figures, self.hub = function, first, rules, figures, hub
        self.outcomes = Outcomes(rules, figures, hub, random.random)
        self._before, self._ended, self._outside = figures.finished + figures.failures, ended, outside
        self.busy: float | None = None  # seconds that the items took, where each of them is timed

    def __enter__(self) -> _Inline:
        self._thread, self._cpu, self._began = threading.get_ident(), time.thread_time(), time.perf_counter()
        self.call, self._close = open_sync(self.function, self.rules.resources)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._count_time()
        if kind is None and self.drifted:
            self._close()
            return
        try:
            self._close()
            if kind is None and (fatal := self.outcomes.fatal(ended=True)) is not None:
                kind = type(fatal)
                raise fatal
        finally:
            self.figures.outcome = "done" if kind is None else "" if kind is GeneratorExit else "failed"
            self._ended()

    drifted = False

    def _count_time(self) -> None:
        """Without a clock around each item, the source's time is in it, and the consumer's unless that is known."""
        wall, cpu = time.perf_counter() - self._began, time.thread_time() - self._cpu
        busy = self.busy if self.busy is not None else max(0.0, wall - self._outside())
        self.figures.busy += busy
        if threading.get_ident() == self._thread:  # else the garbage collector ends it
            self.figures.cpu += min(cpu, busy)

    def halt(self, item: Any) -> None:
        """End before `item`: with an error, or because the run goes on otherwise.

        Raises:
            BaseException: the run was cancelled.
        """
        if self.error is not None:
            raise self.error
        for why in self.cancelled:
            if isinstance(why, Drifted):
                why.unread.append(item)
        self.drifted = True

    @property
    def error(self) -> BaseException | None:
        """What ends the run as a failure, if anything does."""
        return next((why for why in list(self.cancelled) if not isinstance(why, Drifted)), None)

    def first_call(self, item: Any) -> Any:
        """Call the function, and look whether it gives results at all."""
        value = self.call(item)
        if type(value) is CoroutineType:
            refuse_coroutine(value)
        return value

    def count(self, index: int) -> None:
        """The item `index` was the last: what has finished is what did not fail."""
        figures = self.figures
        figures.read = index + 1
        figures.finished = self._before + index + 1 - self.first - figures.failures

    def recover(self, item: Any, index: int, failed: Raised) -> Any:
        """Try a failed item again while its rules allow; its result, its `Failure`, or nothing."""
        piece, outcomes, patience = Piece(index, [item]), self.outcomes, self.rules.patience
        while (wait := outcomes.again(piece, failed, time.monotonic())) is not None:
            until = time.monotonic() + wait
            while (left := until - time.monotonic()) > 0 and self.error is None:
                time.sleep(min(left, 0.05))
            if self.error is not None:
                raise self.error
            began = time.perf_counter()
            try:
                value = self.call(item)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                failed = raised(error, time.perf_counter() - began)
            else:
                took = time.perf_counter() - began
                if patience is None or took < patience:
                    self._tell()
                    return value
                failed = self.late(took)
        segment = outcomes.failure(piece, failed)
        self._tell()
        if (fatal := outcomes.fatal(ended=False)) is not None:
            raise fatal
        return segment[2][0] if segment is not None and segment[2] else _LEFT_OUT

    def late(self, took: float) -> Raised:
        """The attempt took too long: its result is refused."""
        self.figures.timeouts += 1
        fate = f"it took {took:.3g} s or more, and its result is refused"
        error = ItemTimeout(self.rules.patience or 0.0, self.rules.impatience, fate)
        return Raised(error, f"{type(error).__name__}: {error}\n", took)

    def _tell(self) -> None:
        events, self.outcomes.events = self.outcomes.events, []
        for event in events:
            self.hub.emit(event)


Pairs: TypeAlias = "Iterator[tuple[int, Any]]"


def _plain(run: _Inline, pairs: Pairs, cancelled: Sequence[BaseException]) -> Generator[Any, None, None]:
    index = run.first - 1
    with run:
        call: Callable[[Any], Any] = run.first_call
        further = run.call
        try:
            for index, item in pairs:
                if cancelled:
                    index -= 1  # it was not run
                    run.halt(item)
                    return
                try:
                    value = call(item)
                except KeyboardInterrupt:
                    index -= 1  # it has no result
                    raise
                except BaseException as error:
                    run.count(index)
                    value = run.recover(item, index, raised(error, 0.0))
                    if value is _LEFT_OUT:
                        continue
                yield value
                call = further
        finally:
            run.count(index)


def _timed(run: _Inline, pairs: Pairs, cancelled: Sequence[BaseException]) -> Generator[Any, None, None]:
    """As `_plain`. The ticker sees which item is in hand, and leaves word when that is the same for too long."""
    number, patience = run.first, run.rules.patience or 0.0
    hand, late = [0], set[int]()
    overdue = Overdue(patience)
    with run:
        off = ticker().every(tick_for(patience), lambda: late.update(overdue.sample(0, hand, time.monotonic())))
        call: Callable[[Any], Any] = run.first_call
        further = run.call
        try:
            for index, item in pairs:
                if cancelled:
                    run.halt(item)
                    return
                number = index + 1
                hand[0] = number  # from 1: 0 is an empty hand
                try:
                    value = call(item)
                    if late:  # it may also speak of an item before, whose consumer took its time
                        mine = number in late
                        late.clear()
                        if mine:
                            raise _Late
                except KeyboardInterrupt:
                    number -= 1  # it has no result
                    raise
                except BaseException as error:
                    run.count(number - 1)
                    failed = run.late(patience) if isinstance(error, _Late) else raised(error, 0.0)
                    value = run.recover(item, number - 1, failed)
                    if value is _LEFT_OUT:
                        continue
                yield value
                call = further
        finally:
            off()
            run.count(number - 1)


class _Late(Exception):
    """The result came after its time."""


def _watched(run: _Inline, pairs: Pairs, cancelled: Sequence[BaseException]) -> Generator[Any, None, None]:
    """The same with the clock read around each item, and observers told."""
    clock, hub, figures, stage = time.perf_counter, run.hub, run.figures, run.rules.name
    patience = run.rules.patience if run.rules.patience is not None else float("inf")
    told, count, lost, busy, run.busy = clock(), 0, 0, 0.0, 0.0
    each = hub.wants(ItemFinished)
    with run:
        for index, item in pairs:
            if cancelled:
                run.halt(item)
                break
            figures.read = index + 1
            value, failed, began = _attempt(run, item, clock)
            now = clock()
            if now - began >= patience:
                failed = run.late(now - began)
            if failed is not None:
                value = run.recover(item, index, failed)
            gone = value is _LEFT_OUT or isinstance(value, Failure)
            figures.finished += not gone
            count, lost, busy, run.busy = count + 1, lost + gone, busy + now - began, run.busy + now - began
            if each and not gone:
                hub.emit(ItemFinished(stage=stage, index=index, attempt=1))
            if now - told > TOLD:
                hub.emit(ChunkFinished(stage=stage, items=count, failed=lost, seconds=busy))
                told, count, lost, busy = now, 0, 0, 0.0
            if value is not _LEFT_OUT:
                yield value
        if count:
            hub.emit(ChunkFinished(stage=stage, items=count, failed=lost, seconds=busy))


def _attempt(run: _Inline, item: Any, clock: Callable[[], float]) -> tuple[Any, Raised | None, float]:
    began = clock()
    try:
        return run.first_call(item), None, began
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return None, raised(error, clock() - began), began
