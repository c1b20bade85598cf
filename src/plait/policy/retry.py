"""When to try an item again, and after how long."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from numbers import Real
from typing import Literal, TypeAlias

from plait.errors import OptionError

__all__ = ["On", "Retry"]

_TOPS = {"backoff": " (seconds)", "longest": " (seconds)", "jitter": ' to 1, or "decorrelated"'}
_SECONDS = re.compile(r"\s*\d+(\.\d*)?\s*", re.ASCII)

On: TypeAlias = "type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, when and for which errors an item is tried again.

    Parameters:
        times: further attempts after the first.
        backoff: seconds before the first retry; doubles with each further one, up to `longest`.
        jitter: share of each wait that is drawn at random, 0 to 1, so that failed items do not come back together;
            `"decorrelated"`: each wait is drawn between `backoff` and three times the wait before it.
        on: the exception types (or a predicate) worth another attempt.
        until: seconds after an item's first attempt began, after which it is not tried again; `None`: no such bound.
        longest: seconds that no wait exceeds.

    An exception that says in `retry_after` how long to stay away is waited for at least that long: seconds, as a number
    or as text (as in an HTTP header), or a `timedelta`. A date there is not understood; infinity means never again.

    Source: exponential backoff with jitter, Brooker, "Exponential Backoff And Jitter" (AWS, 2015), where a share of 1
    is "full", 0.5 is "equal" jitter.
    """

    times: int = 0
    backoff: float = 0.05
    jitter: float | Literal["decorrelated"] = 0.5
    on: On = Exception
    until: float | None = None
    longest: float = 60.0

    def __post_init__(self) -> None:
        if isinstance(self.times, bool) or not isinstance(self.times, int) or self.times < 0:
            raise OptionError("times", self.times, "it takes a whole number from 0")
        for name, top in (("backoff", float("inf")), ("jitter", 1.0), ("longest", float("inf"))):
            value = getattr(self, name)
            if name == "jitter" and value == "decorrelated":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top:
                raise OptionError(name, value, f"it takes a number from 0{_TOPS[name]}")
        if self.until is not None and (
            isinstance(self.until, bool) or not isinstance(self.until, int | float) or not self.until > 0
        ):
            raise OptionError("until", self.until, "it takes seconds above 0, or None")
        kinds = self.on if isinstance(self.on, tuple) else (self.on,) if isinstance(self.on, type) else ()
        if not kinds and (isinstance(self.on, tuple) or not callable(self.on)):
            raise OptionError(
                "on", self.on, "it takes an exception type, a tuple of them, or a function of the exception"
            )
        if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
            raise OptionError(
                "on", self.on, "it takes an exception type, a tuple of them, or a function of the exception"
            )

    def wait(
        self,
        attempt: int,
        error: BaseException,
        elapsed: float,
        draw: float,
        previous: float | None = None,
        worth: bool | None = None,
    ) -> float | None:
        """Seconds to wait before the next attempt, or `None` where there is none.

        Parameters:
            attempt: the attempt that failed, from 1.
            error: what it raised.
            elapsed: seconds since the item's first attempt began.
            draw: a random number from 0 to 1.
            previous: the wait before this attempt; only `jitter="decorrelated"` asks for it. `None`: not known, so
                what is usual stands for it.
            worth: what `is_worth(error)` said, where it was asked before.
        """
        if attempt > self.times or not (self.is_worth(error) if worth is None else worth):
            return None
        usual = self.backoff * 2.0 ** min(attempt - 1, 60)
        if isinstance(self.jitter, str):
            top = 3.0 * (usual if previous is None else previous)
            wait = min(self.longest, self.backoff + draw * max(0.0, top - self.backoff))
        else:
            wait = min(self.longest, usual) * (1.0 - self.jitter * draw)
        wait = max(wait, _asked(error))
        if wait == float("inf") or (self.until is not None and elapsed + wait >= self.until):
            return None
        return wait

    @property
    def asks(self) -> bool:
        """Whether a function of the user's says what is worth another attempt."""
        return self.times > 0 and not isinstance(self.on, type | tuple)

    def is_worth(self, error: BaseException) -> bool:
        """Whether `on` says that the error is worth another attempt."""
        if isinstance(self.on, type | tuple):
            return isinstance(error, self.on)
        return bool(self.on(error))


def _asked(error: BaseException) -> float:
    """Seconds that an exception asks to be left alone; 0: it does not."""
    asked = getattr(error, "retry_after", None)
    if isinstance(asked, timedelta):
        return asked.total_seconds()
    if isinstance(asked, str):
        return float(asked) if _SECONDS.fullmatch(asked) else 0.0
    if isinstance(asked, Real) and not isinstance(asked, bool):
        return float(asked) if asked == asked else 0.0
    return 0.0
