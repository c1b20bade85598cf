"""Style `serial`: one item after the other; also what one thread of style `threads` does with its share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from time import perf_counter, thread_time
from types import CoroutineType
from typing import Any

from plait.styles.batch import Batch, Emit, Raised, raised
from plait.sync.ticker import ticker

__all__ = ["FLUSH", "Streaming", "changed", "refuse_coroutine", "run_items"]

#: Seconds after which finished results are sent although more are to come: slow items stream, fast ones share a batch.
FLUSH = 0.01


class Streaming:
    """Sends what is finished of chunks in hand while a later item of theirs is still running.

    From the process's ticker, `FLUSH` seconds apart, between `open` and `close`.
    """

    def __init__(self) -> None:
        self._in_hand: set[_InHand] = set()
        self.add, self.discard = self._in_hand.add, self._in_hand.discard
        self.close = ticker().every(FLUSH, self._look)

    def _look(self) -> None:
        now = perf_counter()
        for run in tuple(self._in_hand):
            if len(run.values) > run.sent and now - run.since > FLUSH:
                run.flush(mine=False)


class _InHand:
    """Results of one chunk: appended by who runs it, sent on by that or by `Streaming`."""

    __slots__ = ("cpu", "emit", "errors", "first", "last", "lock", "sent", "since", "values")

    def __init__(self, first: int, emit: Emit, now: float) -> None:
        self.first, self.emit = first, emit
        self.values: list[Any] = []
        self.errors: list[tuple[int, Raised]] = []
        self.sent = 0
        self.since = self.last = now
        self.cpu = thread_time()
        self.lock = threading.Lock()

    def flush(self, back: tuple[int, int] | None = None, *, final: bool = False, mine: bool = True) -> None:
        """Send what was not sent yet; at the end also if that is nothing, unless something was.

        Parameters:
            mine: called in the thread that runs the items, whose CPU time is counted.
        """
        with self.lock:
            sent, count = self.sent, len(self.values)
            values = self.values[sent:count]
            self.values[sent:count] = [None] * (count - sent)  # they may be large, and the chunk goes on
            errors = [(at - sent, failed) for at, failed in self.errors if sent <= at < count]
            seconds, self.since, self.sent = self.last - self.since, self.last, count
            cpu = 0.0
            if mine:
                now = thread_time()
                cpu, self.cpu = now - self.cpu, now
        if values or back or (final and not sent):
            self.emit(Batch(self.first + sent, values, errors, None, seconds, back, cpu))


def run_items(
    call: Callable[[Any], Any],
    items: Sequence[Any],
    first: int,
    words: Any,
    slot: int,
    emit: Emit,
    budget: float,
    clock: Callable[[], float] = perf_counter,
    streaming: Streaming | None = None,
) -> None:
    """Call `call` with each item and emit what comes out.

    Parameters:
        first: the sequence number of `items[0]`.
        words: where `words[slot]` says which attempt is in hand (its sequence number + 1), before it begins.
        budget: seconds after which the items not yet begun are handed back, so that items which turned slow do not
            queue behind each other while others have nothing to do.

    Each item finds the caller's contextvars, whatever the one before it has set.

    Cost: some 250 ns an item.
    """
    run = _InHand(first, emit, clock())
    clean = copy_context()
    shared = streaming if len(items) > 1 else None
    if shared is not None:
        shared.add(run)
    pairs, end, begun = enumerate(items, first), first + len(items), run.since
    try:
        # Each time an item sets a contextvar, the rest goes on in a fresh context.
        while clean.copy().run(_run_some, call, pairs, end, run, words, slot, begun + budget, clock, clean):
            pass
    finally:
        if shared is not None:
            shared.discard(run)


def _run_some(
    call: Callable[[Any], Any],
    pairs: Iterator[tuple[int, Any]],
    end: int,
    run: _InHand,
    words: Any,
    slot: int,
    until: float,
    clock: Callable[[], float],
    clean: Context,
) -> bool:
    """Run items until they are done (false) or one has changed the context (true)."""
    values = run.values
    for seq, item in pairs:
        words[slot] = seq + 1
        try:
            value = call(item)
            if type(value) is CoroutineType:
                refuse_coroutine(value)
            values.append(value)
            del value
        except BaseException as error:
            # The error first: whoever sees the value's place must find what belongs there.
            run.errors.append((len(values), raised(error, clock() - run.last)))
            values.append(None)
            del error
        run.last = now = clock()
        if now - run.since > FLUSH and (left := end - seq - 1):
            back = (seq + 1, left) if now > until else None
            run.flush(back)
            if back:
                return False
            run.since = run.last = clock()  # the time that sending took is not the function's
        if changed(clean):
            return True
    run.flush(final=True)
    return False


def refuse_coroutine(value: CoroutineType[Any, Any, Any]) -> None:
    """A coroutine that nobody awaits is no result.

    Raises:
        TypeError: always.
    """
    value.close()
    wants = "map the async function itself, or say model='async'"
    raise TypeError(f"the function returned a coroutine ({value.__qualname__}) instead of a result: {wants}")


def changed(clean: Context) -> bool:
    """Whether a contextvar was set in the current context since it was `clean`: one pointer compared if not."""
    try:
        return copy_context() != clean
    except Exception:  # values that cannot be compared: they differ
        return True
