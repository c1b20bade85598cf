"""Style `serial`: one item after the other; also what one thread of style `threads` does with its share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from plait.styles.batch import Batch, Emit, raised

__all__ = ["FLUSH", "run_items"]

#: Seconds after which finished results are sent although more are to come: slow items stream, fast ones share a batch.
FLUSH = 0.01


def run_items(
    call: Callable[[Any], Any],
    items: Sequence[Any],
    first: int,
    words: Any,
    slot: int,
    emit: Emit,
    budget: float,
    clock: Callable[[], float] = perf_counter,
) -> None:
    """Call `call` with each item and emit what comes out.

    Parameters:
        first: the sequence number of `items[0]`.
        words: where `words[slot]` says which attempt is in hand (its sequence number + 1), before it begins.
        budget: seconds after which the items not yet begun are handed back, so that items which turned slow do not
            queue behind each other while others have nothing to do.

    Cost: some 150 ns an item.
    """
    values: list[Any] = []
    errors: list[tuple[int, Any]] = []
    base = first
    begun = since = then = clock()
    for seq, item in enumerate(items, first):
        words[slot] = seq + 1
        try:
            values.append(call(item))
        except BaseException as error:
            errors.append((len(values), raised(error, clock() - then)))
            values.append(None)
            del error
        now = then = clock()
        if now - since > FLUSH:
            left = first + len(items) - seq - 1
            back = (seq + 1, left) if left and now - begun > budget else None
            if left:
                emit(Batch(base, values, errors, None, now - since, back))
                if back:
                    return
                values, errors, base = [], [], seq + 1
                since = then = clock()
    emit(Batch(base, values, errors, None, then - since, None))
