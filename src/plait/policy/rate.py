"""How often attempts may begin: `Rate` is what the user says, `Gcra` remembers per key when the next one may."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from plait.errors import OptionError

__all__ = ["GRANULARITY", "Gcra", "Rate"]

#: Seconds whose worth of attempts may begin at once by default. Timers wake late by up to some milliseconds; with no
#: burst each lateness would be lost: at 5,000/s and 1 ms late, five sixths of the rate.
GRANULARITY = 0.02

_SPANS = {"ms": 0.001, "s": 1.0, "min": 60.0, "hour": 3600.0, "day": 86400.0}
_SHORT = {"sec": "s", "second": "s", "m": "min", "minute": "min", "h": "hour", "hr": "hour", "d": "day"}
_WANTS = 'it takes a count and a span, like "50/s", "300/min", "1000/hour", "2/day" or "10/2s", or a number per second'
_SPAN = re.compile(r"\s*([\d.]*)\s*([a-z]+)\s*", re.IGNORECASE)


def _parsed(value: Any) -> tuple[float, float]:
    """Count and seconds."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value), 1.0
    if not isinstance(value, str):
        raise OptionError("rate", value, _WANTS)
    count, slash, span = value.partition("/")
    found = _SPAN.fullmatch(span)
    unit = found[2].lower() if found else ""
    unit = unit if unit in _SPANS or unit in _SHORT else unit.removesuffix("s")
    try:
        return float(count), float(found[1] or 1) * _SPANS[_SHORT.get(unit, unit)]  # type: ignore[index]
    except (TypeError, ValueError, KeyError):
        why = "there is no span" if not slash else f"the units are {', '.join(_SPANS)}"
        raise OptionError("rate", value, f"{_WANTS}; {why}") from None


@dataclass(frozen=True, slots=True, init=False)
class Rate:
    """How many attempts may begin in a span of time, all workers together.

    Never more than `burst + per_second * w` attempts begin within any `w` seconds.

    Parameters:
        rate: a count and a span, `"50/s"`, `"300/min"`, `"1000/hour"`, `"2/day"`, `"0.5/s"`, `"10/2s"` (units: ms, s,
            min, hour, day), or a number per second.
        burst: attempts that may begin at once after a pause, from 1. By default what the rate gives in 20 ms, and 1
            for rates up to 50/s: attempts are spaced evenly, and timers that wake late cost no throughput.
        key: a function of the item; each of its values has the rate for itself. `None`: one rate for the whole run.

    Raises:
        OptionError: a value makes no sense; the message says what to write.

    Caution: `"300/min"` is 5 a second, evenly spaced, not 300 at once each minute. `burst=300` begins 300 at once, and
    then 5 a second: up to 600 in the first minute.
    """

    rate: str | float = field(compare=False)
    burst: float
    key: Callable[[Any], Hashable] | None
    per_second: float = field(init=False, repr=False)
    interval: float = field(init=False, repr=False, compare=False)

    def __init__(
        self, rate: str | float, burst: float | None = None, key: Callable[[Any], Hashable] | None = None
    ) -> None:
        count, seconds = _parsed(rate)
        if not (count > 0 and seconds > 0 and 0 < count / seconds < float("inf") and seconds / count < float("inf")):
            raise OptionError("rate", rate, f"it must be above 0, and not infinite; {_WANTS}")
        if burst is None:
            burst = max(1.0, count / seconds * GRANULARITY)
        elif isinstance(burst, bool) or not isinstance(burst, Real) or not 1 <= burst < float("inf"):
            raise OptionError("burst", burst, "it takes a number from 1: attempts that may begin at once")
        if key is not None and not callable(key):
            raise OptionError("key", key, "it takes a function of the item, like key=host, or None for the whole run")
        made = {"rate": rate, "burst": float(burst), "key": key}
        for name, value in (made | {"per_second": count / seconds, "interval": seconds / count}).items():
            object.__setattr__(self, name, value)


class Gcra:
    """When the next attempt of each key may begin, by the generic cell rate algorithm.

    One number a key: the earliest time at which its next attempt may begin. Numbers that lie so far back that they say
    nothing any more are forgotten: no more keys are kept than had an attempt within the last `burst * interval`
    seconds.

    Cost: O(1) a call.

    Source: "virtual scheduling" of the ATM Forum's Traffic Management Specification 4.0 (1996); Brandur Leach, "Rate
    Limiting, Cells, and GCRA" (2015). Deviation: what is stored is the theoretical arrival time less the tolerance, so
    that the time told to a waiter and the time it is compared with are the same number.
    """

    __slots__ = ("_earliest", "_interval", "_tolerance")

    def __init__(self, rate: Rate) -> None:
        self._interval = rate.interval
        self._tolerance = (rate.burst - 1.0) * rate.interval
        self._earliest: OrderedDict[Hashable, float] = OrderedDict()  # by last use

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._earliest)

    def when(self, key: Hashable, now: float) -> float:
        """The earliest time, `now` or later, at which an attempt of `key` may begin."""
        earliest = self._earliest.get(key, now)
        return earliest if earliest > now else now  # noqa: FURB136 - max() takes three times as long

    def take(self, key: Hashable, now: float) -> None:
        """An attempt of `key` begins at `now`; one that begins before its time delays the following ones."""
        known = self._earliest
        idle = now - self._tolerance
        earliest = known.get(key, idle)
        known[key] = (earliest if earliest > idle else idle) + self._interval  # noqa: FURB136
        known.move_to_end(key)
        # Two at most, so that nothing stalls, and memory shrinks again. The first was used longest ago.
        for _ in range(2):
            first = next(iter(known))
            if known[first] > idle:
                break
            del known[first]
