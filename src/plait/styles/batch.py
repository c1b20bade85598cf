"""`Batch`: results on their way back; `Raised`: an attempt that failed.

Items are known by their *sequence number*: each attempt of each item has its own within its lane, so a word in shared
memory, a late result and a lost worker can all say exactly which attempt they speak of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from plait.errors import FunctionStopped

__all__ = ["Batch", "Emit", "Raised", "raised"]


class Raised(NamedTuple):
    """A failed attempt: the exception, its traceback as text, the seconds it took."""

    error: BaseException
    traceback: str
    seconds: float


class Batch(NamedTuple):
    """Results of consecutive sequence numbers, or of those in `seqs`.

    Parameters:
        first: the sequence number of `values[0]`.
        values: one result each; `None` where the attempt failed.
        errors: position in `values` and what was raised there.
        seqs: the sequence number of each value where they are not consecutive.
        seconds: time spent in the function, summed.
        back: first sequence number and count of items handed back unbegun.
        cpu: CPU seconds that the thread spent on them, as far as it has counted.
    """

    first: int
    values: list[Any]
    errors: list[tuple[int, Raised]]
    seqs: list[int] | None
    seconds: float
    back: tuple[int, int] | None = None
    cpu: float = 0.0


Emit: TypeAlias = Callable[[Batch], None]


def raised(error: BaseException, seconds: float, *, below: int = 1) -> Raised:
    """A `Raised` whose traceback text starts where the function does.

    Parameters:
        below: how many of the innermost caller's frames (Plait's own) to leave out.
    """
    import traceback as tracebacks  # 10 ms, and only a failure needs it

    trace = error.__traceback__
    for _ in range(below):
        if trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
    text = "".join(tracebacks.format_exception(type(error), error, trace))
    if isinstance(error, StopIteration):
        cause, error = error, FunctionStopped()
        error.__cause__ = cause
    return Raised(error, text, seconds)
