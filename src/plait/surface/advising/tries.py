"""`Tries`: every candidate in its turn, as long as there are time and items."""

from __future__ import annotations

import contextlib
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
from plait.surface.advising.candidates import Candidate, beginning, widths
from plait.surface.advising.supply import Supply
from plait.surface.advising.tryout import TINY, Item, Tried, try_out, warm
from plait.surface.advising.verdict import NEAR, Row, narrowest

__all__ = ["PACED", "Tries"]

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
#: A loop is measured anew where so many items fit into its time: the sample had 60 ms only.
LOOPED = 20
#: What a loop gets of items that are few.
LOOP_SHARE = 0.1
#: Tiny items in a first try, where nobody knows how many there are.
MANY_SCOUTS = 1000
#: A source that takes so many times as long as the function sets the pace under every model; and how that is said.
SLOW_SOURCE, PACED = 5.0, "the source sets the pace"


class Tries:
    """Runs the candidates, the most promising first, and keeps count.

    First each gets its share of the items, at the width that is predicted for it; then, with what items and time are
    left, each is tried wider while that helps, or narrower while that does as well.

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
        self._tried: dict[str, dict[int, Tried]] = {}
        #: Models that still gained when they ran out of "items" or "time".
        self.growing: list[tuple[str, str]] = []
        self.items = self.failures = 0
        self.error = ""
        #: Seconds that all the tries took.
        self.taken = 0.0
        self._item: Item | None = None
        if evidence is not None:
            self._item = Item(evidence.seconds_mean, evidence.seconds_mean * evidence.cpu_share, evidence.source)
        self._loop: float | None = None
        #: How workers died, if they did.
        self.died = ""

    @property
    def points(self) -> list[tuple[str, int, float]]:
        """Model, width, items a second of what has a width, each model's narrowest first."""
        return [
            (model, width, tried.rate or 0.0)
            for model, found in self._tried.items()
            for width, tried in sorted(found.items())
            if tried.placement.style != "serial"
        ]

    def rows(self, found: Sequence[Candidate], first: str = "") -> list[Row]:
        """A row for each candidate, in the order given; `first`: the model that is predicted to be the choice."""
        todo = [one for one in found if not one.barred]
        self._share = self.seconds / max(1, len(todo))
        self._deadline = time.perf_counter() + self.seconds
        todo.sort(key=lambda one: (one.model != "serial", one.model != first, -(one.predicted or 0.0)))
        why_not = {one.model: self._begin(one, len(todo) - at) for at, one in enumerate(todo)}
        begun = [one for one in todo if self._tried.get(one.model)]
        begun.sort(key=lambda one: -(self._best(one).rate or 0.0))
        for at, one in enumerate(begun):
            with contextlib.suppress(StartFailed):  # what was tried by then counts
                self._go_on(one, len(begun) - at)
        done = {one.model: _row(one, self._best(one)) for one in begun}
        self._look_again(done)
        return [done.get(one.model) or _untried(one, one.barred or "", why_not.get(one.model, "")) for one in found]

    def _begin(self, one: Candidate, waiting: int) -> str:
        """A first try, with its share of the items; returns why there is none."""
        at, item, left = one.placement, self._item, self.supply.left
        if one.model == "serial" and self.evidence is not None:
            self._keep(self._sampled(at))
            return ""
        if self.supply.ended or left == 0:
            return "not tried: the items ran out"
        if self._late():
            return f"not tried: the {self.seconds:g} s were over"
        if item is not None and item.source > SLOW_SOURCE * item.seconds:
            return f"not tried: {PACED}"
        if self.died and at.place != "here":
            return f"not tried: {self.died}"
        try:
            began = time.perf_counter()
            warm(at, at.workers or 1)
            self._deadline += time.perf_counter() - began  # starting is not trying
            if self._item is None:
                self._learn(at)
            return self._first(at, waiting)
        except StartFailed as error:
            return f"not tried: {error}"

    def _first(self, at: Placement, waiting: int) -> str:
        ladder, left = self._ladder(at), self.supply.left
        width, most = beginning(at, ladder, left, waiting)
        if not width:
            return "not tried: too few items were left"
        if left is None and self._item is not None and self._item.seconds < TINY:
            most = max(most, MANY_SCOUTS)
        tried = self._try(replace(at, width=width), self._room(at, ladder), most)
        if tried.died:
            self.died = f"its workers died: {tried.died}"
            return f"given up: {self.died}"
        return "" if self._keep(tried) else "not tried: too few items were left"

    def _go_on(self, one: Candidate, waiting: int) -> None:
        """A longer look, where the first was brief, and other widths: wider while that gains, else narrower."""
        at, found = one.placement, self._tried[one.model]
        if one.model == "serial" and self.evidence is not None:
            self._loop_again(at)
            return
        ladder, width = self._ladder(at), list(found)[-1]
        until = time.perf_counter() + self._share - self._room(at, ladder)
        if (found[width].brief and not self._at(one, width, waiting)) or at.style == "serial":
            return
        less = [tried.rate or 0.0 for narrow, tried in found.items() if narrow < width]
        if at.place == "here" and self._loop is not None:
            less.append(self._loop)
        if not less or (found[width].rate or 0.0) > GROWS * max(less):
            self._other_widths(one, ladder, width, waiting, until)

    def _other_widths(self, one: Candidate, ladder: list[int], width: int, waiting: int, until: float) -> None:
        found, rung, wider = self._tried[one.model], ladder.index(width), False
        best = found[width].rate or 0.0
        for more in ladder[rung + 1 :]:
            if lack := self._lack(one.placement, more, until):
                self.growing.append((one.model, lack))
                return
            rate = self._at(one, more, waiting)
            if rate is None or rate <= GROWS * best:
                break
            wider, best = True, rate
        for fewer in reversed(ladder[:rung]):
            if wider or fewer in found or self._lack(one.placement, fewer, until):
                return
            rate = self._at(one, fewer, waiting)
            if rate is None or rate < (1 - NEAR) * best:
                return

    def _lack(self, at: Placement, width: int, until: float) -> str:
        """What there is too little of for another try: "items" or "time"."""
        left = self.supply.left
        if self.supply.ended or (left is not None and left < 2 * width * (at.workers or 1)):
            return "items"
        return "time" if time.perf_counter() > until or self._late() else ""

    def _at(self, one: Candidate, width: int, waiting: int) -> float | None:
        """One more try, at `width`; its items a second, if there were any."""
        at, left = replace(one.placement, width=width), self.supply.left
        if self.supply.ended or (left is not None and left < 2 * width * (at.workers or 1)):
            return None
        most = None if left is None else max(2 * width * (at.workers or 1), left // (2 * waiting))
        tried = self._try(at, self._room(at, self._ladder(at)), most)
        return tried.rate if self._keep(tried) else None

    def _keep(self, tried: Tried) -> bool:
        if tried.rate is None:
            return False
        found, width = self._tried.setdefault(tried.placement.model, {}), tried.placement.width or 1
        if not (tried.brief and width in found and not found[width].brief):
            found[width] = tried
        return True

    def _best(self, one: Candidate) -> Tried:
        """The narrowest of a model's best widths; of those that were looked at for long enough, if there are any."""
        found = [tried for _, tried in sorted(self._tried[one.model].items())]
        found = [tried for tried in found if not tried.brief] or found
        return found[narrowest([tried.rate or 0.0 for tried in found])]

    def _room(self, at: Placement, ladder: Sequence[int]) -> float:
        """Seconds for one try; what is in progress at the end of each takes its time, too."""
        return self._share * (NO_WIDTH if at.style == "serial" else 1 / (len(ladder) + 2))

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

    def _sampled(self, at: Placement) -> Tried:
        """A plain loop, as the sample measured it."""
        evidence = self.evidence
        assert evidence is not None
        each = max(evidence.seconds_mean + evidence.source, 1e-9)
        self._loop = (1 - evidence.raised / evidence.items) / each
        return Tried(at, self._loop, evidence.cpu_share * evidence.seconds_mean / each, None, 0)

    def _loop_again(self, at: Placement) -> None:
        """The same for longer, where that costs little."""
        item, left, room = self._item, self.supply.left, self._room(at, ())
        most = None if left is None else int(LOOP_SHARE * left)
        enough = item is not None and (item.seconds + item.source) * LOOPED <= room
        if enough and not self.supply.ended and (most is None or most >= LOOPED) and not self._late():
            self._keep(self._try(at, room, most))

    def _late(self) -> bool:
        return time.perf_counter() >= self._deadline

    def _learn(self, at: Placement) -> None:
        """What an item takes, where it was not sampled: by that the tries that count are sized."""
        left = self.supply.left
        most = None if left is None else max(1, int(LOOP_SHARE * left))
        tried = self._try(replace(at, width=1), LEARNING * self._share, most)
        if tried.rate:
            self._item = Item((at.workers or 1) / tried.rate, (tried.cpu or 0.0) / tried.rate)
            if at.style == "loop":
                self._keep(tried)

    def _ladder(self, at: Placement) -> list[int]:
        """The widths that may be tried."""
        asked = self.rules.model
        if at.style == "serial":
            return [1]
        waits = self._item is not None and self._item.seconds > SLOW * self._share
        if isinstance(asked, Placement) and asked.width is not None:
            return [asked.width]
        return widths(at, machine.cores(), self.rules.width, waits)

    def _try(self, at: Placement, seconds: float, most: int | None) -> Tried:
        wide = "" if at.style == "serial" else f", {at.width:,} at a time" + (" in each worker" if at.workers else "")
        self.tell(f"{self.rules.name}: trying {at.model}{wide}")
        began = time.perf_counter()
        tried = try_out(self.function, self.supply, at, seconds, self.options, most=most, item=self._item)
        self.taken += time.perf_counter() - began
        self.items += tried.items
        self.failures += tried.failures
        self.error = tried.error or self.error
        if self.supply.error is not None:
            raise self.supply.error
        return tried


def _row(one: Candidate, tried: Tried) -> Row:
    return Row(one.model, tried.placement, one.predicted, tried.rate, tried.cpu, tried.memory, brief=tried.brief)


def _untried(one: Candidate, barred: str, why_not: str) -> Row:
    return Row(one.model, one.placement, one.predicted, verdict=why_not or f"not tried: {barred}")
