"""`Tries`: every candidate in its turn, as long as there are time and items."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from plait import machine
from plait.engine.rules import Rules
from plait.errors import StartFailed
from plait.fit.evidence import Evidence
from plait.placement import Placement
from plait.surface.advising.candidates import Candidate, widths
from plait.surface.advising.supply import Supply
from plait.surface.advising.tryout import Item, Tried, try_out, warm
from plait.surface.advising.verdict import Row, narrowest

__all__ = ["Tries"]

#: What a wider try must bring for the next one to be wider still.
GROWS = 1.15
#: The part of its time that a model without widths gets; those with widths share theirs among these.
NO_WIDTH = 0.4
#: The part for learning what an item takes, where it could not be sampled.
LEARNING = 0.05
#: Of a model's time: items that take more of it than this leave time for few widths.
SLOW = 0.1
#: Models that are this many times slower than the best, at most, are looked at again, so often, if each look can be
#: this many seconds long.
CLOSE, AGAIN, SHORTEST = 1.6, 2, 0.1
#: Widths that a model is expected to need, when items are few.
EXPECTED = 3
#: A loop is measured anew where so many items fit into its time: the sample had 60 ms only.
LOOPED = 20
#: What a loop gets of items that are few.
LOOP_SHARE = 0.1


class Tries:
    """Runs the candidates, the most promising first, and keeps count.

    Parameters:
        options: of `plait.map`, for every try.
        seconds: for all of them together.
        tell: is told what is being tried.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        supply: Supply,
        rules: Rules,
        options: Mapping[str, Any],
        evidence: Evidence | None,
        seconds: float,
        tell: Callable[[str], object],
    ) -> None:
        self.function, self.supply, self.rules, self.evidence = function, supply, rules, evidence
        self.seconds, self.tell = seconds, tell
        # What concerns one item is kept; how many run at once is what is being tried.
        self.options = {k: v for k, v in options.items() if k not in ("model", "workers", "width", "max_failures")}
        #: Model, width, items a second.
        self.points: list[tuple[str, int, float]] = []
        #: Models that still gained when they ran out of "items" or "time".
        self.growing: list[tuple[str, str]] = []
        self.items = self.failures = 0
        self.error = ""
        #: Seconds that all the tries took.
        self.taken = 0.0
        self._item = Item(evidence.seconds_mean, evidence.seconds_mean * evidence.cpu_share) if evidence else None
        self._loop: float | None = None

    def rows(self, found: Sequence[Candidate]) -> list[Row]:
        """A row for each candidate, in the order given."""
        todo = [one for one in found if not one.barred]
        self._share = self.seconds / max(1, len(todo))
        self._deadline = time.perf_counter() + self.seconds
        self._expected = sum(1 if one.placement.style == "serial" else EXPECTED for one in todo)
        done = {
            one.model: self._row(one)
            for one in sorted(todo, key=lambda one: (one.model != "serial", -(one.predicted or 0.0)))
        }
        self._look_again(done)
        return [done.get(one.model) or _untried(one, one.barred or "") for one in found]

    def _row(self, one: Candidate) -> Row:
        if one.model == "serial" and self.evidence is not None:
            row = self._loop_row(one)
            self._loop = row.measured
            return row
        if self.supply.ended or self.supply.left == 0:
            return _untried(one, "the items ran out")
        if time.perf_counter() >= self._deadline:
            return _untried(one, f"the {self.seconds:g} s were over")
        try:
            began = time.perf_counter()
            warm(one.placement, one.placement.workers or 1)
            self._deadline += time.perf_counter() - began  # starting is not trying
            if self._item is None:
                self._learn(one.placement)
            tried = self._narrow(one) if one.placement.style == "serial" else self._widths(one)
        except StartFailed as error:
            return _untried(one, str(error))
        return _untried(one, "too few items were left") if tried is None else _row(one, tried)

    def _look_again(self, done: dict[str, Row]) -> None:
        """The contenders twice more, in turns, if there is time left: one mood of the machine must not decide."""
        top = max((row.measured or 0.0 for row in done.values()), default=0.0)
        close = [row for row in done.values() if row.measured and CLOSE * row.measured >= top]
        turns = AGAIN * len(close)
        room = min(NO_WIDTH / 2 * self._share, (self._deadline - time.perf_counter()) / max(1, turns))
        widest = max(((row.placement.workers or 1) * (row.placement.width or 1) for row in close), default=0)
        left = self.supply.left
        if len(close) < 2 or self._item is None or room < SHORTEST + 4 * self._item.seconds:
            return
        if left is not None and left < 4 * turns * widest:
            return
        most = None if left is None else left // turns
        paces = {row.model: [row.measured or 0.0] for row in close}
        for row in AGAIN * close:
            if not self.supply.ended:
                paces[row.model].append(self._try(row.placement, room, most).rate or 0.0)
        if not self.supply.ended:
            done.update({row.model: replace(row, measured=median(paces[row.model])) for row in close})

    def _loop_row(self, one: Candidate) -> Row:
        """A plain loop: as the sample measured it, or longer where that costs little."""
        evidence, left = self.evidence, self.supply.left
        assert evidence is not None
        room = NO_WIDTH * self._share
        most = None if left is None else int(LOOP_SHARE * left)
        if evidence.seconds_mean * LOOPED <= room and (most is None or most >= LOOPED):
            tried = self._try(one.placement, room, most)
            if tried.rate is not None:
                return _row(one, tried)
        rate = (1 - evidence.raised / evidence.items) / max(evidence.seconds_mean, 1e-9)
        return _row(one, Tried(one.placement, rate, evidence.cpu_share, None, 0))

    def _learn(self, at: Placement) -> None:
        """What an item takes, where it was not sampled: by that the tries that count are sized."""
        left = self.supply.left
        most = None if left is None else max(1, int(LOOP_SHARE * left))
        tried = self._try(replace(at, width=1), LEARNING * self._share, most)
        self._expected += 1
        if tried.rate:
            self._item = Item((at.workers or 1) / tried.rate, (tried.cpu or 0.0) / tried.rate)

    def _narrow(self, one: Candidate) -> Tried | None:
        tried = self._try(one.placement, NO_WIDTH * self._share, self._ration(1))
        return tried if tried.rate is not None else None

    def _widths(self, one: Candidate) -> Tried | None:
        """Ever wider, as long as that helps and there are time and items; the narrowest of the best."""
        at, until = one.placement, time.perf_counter() + self._share
        before, found = self._loop if at.place == "here" else None, list[Tried]()
        planned = self._widths_of(at)
        room = self._share / (len(planned) + 2)  # what is in progress at the end of each takes its time, too
        for width in planned:
            slots, left = width * (at.workers or 1), self.supply.left
            scarce = self.supply.ended or (left is not None and left < (2 * slots if found else slots))
            if scarce or (found and time.perf_counter() > until):
                if found:
                    self.growing.append((one.model, "items" if scarce else "time"))
                break
            tried = self._try(replace(at, width=width), room, self._ration(2 * slots))
            if tried.rate is None:
                break
            found.append(tried)
            self.points.append((one.model, width, tried.rate))
            if before is not None and tried.rate <= GROWS * before:
                break
            before = max(tried.rate, before or 0.0)
        return found[narrowest([tried.rate or 0.0 for tried in found])] if found else None

    def _widths_of(self, at: Placement) -> list[int]:
        asked = self.rules.model
        waits = self._item is not None and self._item.seconds > SLOW * self._share
        if isinstance(asked, Placement) and asked.width is not None:
            return [asked.width]
        return widths(at, machine.cores(), self.rules.width, waits)

    def _ration(self, least: int) -> int | None:
        """Items for the next try, so that those after it have some left; `None`: there are more than enough."""
        left = self.supply.left
        return None if left is None else max(least, left // max(1, self._expected))

    def _try(self, at: Placement, seconds: float, most: int | None) -> Tried:
        wide = "" if at.style == "serial" else f", {at.width:,} at a time" + (" in each worker" if at.workers else "")
        self.tell(f"{self.rules.name}: trying {at.model}{wide}")
        began = time.perf_counter()
        tried = try_out(self.function, self.supply, at, seconds, self.options, most=most, item=self._item)
        self.taken += time.perf_counter() - began
        self._expected -= 1
        self.items += tried.items
        self.failures += tried.failures
        self.error = tried.error or self.error
        if self.supply.error is not None:
            raise self.supply.error
        return tried


def _row(one: Candidate, tried: Tried) -> Row:
    return Row(one.model, tried.placement, one.predicted, tried.rate, tried.cpu, tried.memory)


def _untried(one: Candidate, reason: str) -> Row:
    return Row(one.model, one.placement, one.predicted, verdict=f"not tried: {reason}")
