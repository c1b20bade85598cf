"""`Failure`: an item that has no attempts left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Failure", "shown"]


@dataclass(frozen=True, slots=True)
class Failure:
    """What is left of an item that failed for good.

    With `on_error="return"` it stands where the result would; with `"skip"` it is kept in `run.failures`.

    Parameters:
        item: the input as the function received it.
        index: its position in the source, from 0.
        stage: the name of the stage (the function's name unless given).
        attempts: how many times the function was called for it.
        exception: what it raised, or `WorkerLost`, `ItemTimeout`, `CannotTravel`.
        traceback: the traceback as text, from where it was raised, in whichever process that was.
    """

    item: Any
    index: int
    stage: str
    attempts: int
    exception: BaseException
    traceback: str

    def __str__(self) -> str:
        kind = type(self.exception).__name__
        try:
            said = str(self.exception)
        except Exception:
            said = "(it cannot say what)"
        return f"item {self.index} failed in {self.stage} after {self.attempts} attempt(s): {kind}: {said}"

    def __bool__(self) -> bool:
        """False, so that `[r for r in run if r]` and `filter(None, run)` drop failures."""
        return False


def shown(thing: Any, limit: int = 200) -> str:
    """`thing` as a reader may see it: its `repr`, cut, whatever that raises; of large bytes only the size."""
    if isinstance(thing, bytes | bytearray | memoryview | str) and len(thing) > 4 * limit:
        unit = "characters" if isinstance(thing, str) else "bytes"
        return (
            f"{thing[:limit]!r}... ({len(thing):,} {unit})"
            if not isinstance(thing, memoryview)
            else f"<{len(thing)} bytes>"
        )
    try:
        text = repr(thing)
    except Exception:
        return f"<{type(thing).__name__} that cannot be shown>"
    return text if len(text) <= limit else text[:limit] + "..."
