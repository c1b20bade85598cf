"""`Measuring`: runs the first items of a source in this process, each once, and measures them on the way.

As soon as they look like work for other processes, workers are started in the background: nothing waits for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import replace
from types import CoroutineType
from typing import Any

from plait import machine
from plait.engine.earlier import Earlier
from plait.engine.lane import Lane
from plait.engine.rules import Rules
from plait.engine.source import source_failed
from plait.fit.evidence import Evidence
from plait.fit.meaning import pin
from plait.fit.probe import Probe
from plait.fit.sizes import size_of
from plait.places.processes.pool import default_pool
from plait.places.processes.travel import cost, why_not
from plait.styles.batch import raised
from plait.styles.resources import open_sync
from plait.styles.threads import inside

__all__ = ["Measuring", "ReturnedCoroutine"]

#: First items whose pickling is timed; bytes above which one of them is enough.
LOOKED_AT, HEAVY = 8, 256 << 10
#: Seconds of work for which workers are started before it is known whether they are needed.
MUCH = 0.25


class ReturnedCoroutine(Exception):
    """A function that is not async, as far as could be seen, returned a coroutine for `item`."""

    def __init__(self, item: Any) -> None:
        self.item = item


class Measuring:
    """Runs the first items here, each once, and measures them."""

    def __init__(
        self, function: Callable[[Any], Any], source: Iterator[Any], rules: Rules, lane: Lane, earlier: Earlier
    ) -> None:
        self.function, self.source, self.rules, self.lane, self.earlier = function, source, rules, lane, earlier
        self.evidence: Evidence | None = None
        self.ended = False  # the source has
        self.travel: str | None = None  # why items cannot travel
        self._ran = 0
        self._seen: list[tuple[Any, Any]] = []
        self._starting = not may_leave(function, rules)

    def run(self) -> Measuring:
        """Until it is enough."""
        if self.earlier.leaves and not self._starting:
            self._start()
        call, close = open_sync(self.function, self.rules.resources)
        context = copy_context()  # each item runs in a copy: what one sets must not reach the next
        lane, source = self.lane, self.source
        try:
            with Probe() as probe:
                while lane.outlet.wait_for_room(lane.figures.read):
                    began = time.perf_counter()
                    try:
                        item = next(source)
                    except StopIteration:
                        self.ended = True
                        break
                    except BaseException as error:
                        lane.end(source_failed(error, lane.figures.read))
                        self.ended = True
                        break
                    probe.came(time.perf_counter() - began)
                    self._call(probe, lambda one: context.copy().run(call, one), item)
                    if probe.enough() or self.earlier.confirms(*probe.so_far):
                        break
                if self._ran:
                    self.evidence = replace(probe.evidence(), pickling=self._pickling())
                    if self.earlier.confirmed and self.earlier.recalled is not None:
                        self.evidence = self.earlier.recalled.evidence  # of more items than these few
                self.ended = self.ended or lane.over
                return self
        finally:
            close()

    def _call(self, probe: Probe, call: Callable[[Any], Any], item: Any) -> None:
        value, problem = None, None
        try:
            value = probe.call(call, item)
        except BaseException as error:
            problem = raised(error, 0.0)
        if type(value) is CoroutineType and not self._ran and not isinstance(self.rules.model, tuple):
            value.close()  # not begun: as if it had not been called
            raise ReturnedCoroutine(item)
        self._ran += 1
        if self._ran <= LOOKED_AT:
            if self._ran <= 2 and self.travel is None:
                self.travel = why_not((item, value))
            self._seen.append((item, value))
        self.lane.probed(item, value, problem)
        if not self._starting and probe.computes and self._much_left(probe):
            self._start()

    def _start(self) -> None:
        """Workers start in the background, while items run here."""
        self._starting = True
        default_pool().start(min(self.rules.workers or machine.cores(), machine.cores()))

    def _much_left(self, probe: Probe) -> bool:
        total = self.lane.figures.total
        return total is None or (total - self._ran) * self._each(probe) > MUCH

    def _each(self, probe: Probe) -> float:
        items, seconds, _ = probe.so_far
        return seconds / items if items else MUCH

    def _pickling(self) -> float | None:
        """Seconds to pickle and unpickle an item and its result, as far as they can be."""
        seen, self._seen = self._seen, []
        if self.travel is not None or not seen:
            return None
        heavy = size_of(seen[0]) > HEAVY
        try:
            return cost([item for pair in (seen[:1] if heavy else seen) for item in pair]) / (1 if heavy else len(seen))
        except Exception:
            return None


def may_leave(function: Any, rules: Rules) -> bool:
    """Whether worker processes are among what may be chosen."""
    allowed = not isinstance(rules.model, tuple) or any(name.startswith("processes") for name in rules.model)
    return allowed and not inside.get() and pin(function) is None and machine.cores() > 1
