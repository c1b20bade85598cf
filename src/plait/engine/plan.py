"""Which placement a run gets: the one that was asked for, or the one that measuring real items leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from plait import machine
from plait.engine.earlier import Earlier
from plait.engine.figures import Figures
from plait.engine.lane import Lane
from plait.engine.measuring import Measuring, ReturnedCoroutine
from plait.engine.rules import Rules
from plait.fit.choose import Choice, Situation, choose
from plait.fit.evidence import Evidence
from plait.placement import Placement, placement_for
from plait.places.processes.pool import START, current
from plait.places.processes.travel import why_not
from plait.styles.threads import inside

__all__ = ["Chosen", "Planning", "adapts", "asked_for", "with_defaults"]

#: Width of an event loop and of threads where nothing was measured.
LOOP_WIDTH = 128
#: Seconds until a warm worker has the function.
WARM = 0.005
#: Threads in each worker for items that wait.
WAITING = 32


def asked_for(rules: Rules, is_async: bool) -> Placement | None:
    """The placement that `model=` names, its bounds filled in; `None` for `auto`."""
    if rules.model == "auto" or isinstance(rules.model, tuple):
        return None
    placement = placement_for(rules.model)
    if is_async and placement == Placement("here", "serial", width=1):
        placement = Placement("here", "loop", width=1)  # one at a time, but it needs a loop
    return with_defaults(placement, rules)


def with_defaults(placement: Placement, rules: Rules) -> Placement:
    """The same with every number known."""
    cores = machine.cores()
    placement = placement.with_bounds(rules.workers if placement.place != "here" else None, rules.width)
    pool = current.now.workers if current.now is not None else cores
    workers = placement.workers or (1 if placement.place == "here" else pool)
    width = {"serial": 1, "threads": min(32, cores + 4), "loop": LOOP_WIDTH}[placement.style]
    return Placement(placement.place, placement.style, workers, placement.width or width)


def situation_of(
    function: Any, rules: Rules, *, is_async: bool, remaining: int | None, warm: bool, inside: bool, travel: str | None
) -> Situation:
    """What besides the evidence decides."""
    pinned, alone, _ = rules.pins(function)
    return Situation(
        cores=machine.cores(),
        remaining=remaining,
        is_async=is_async,
        pinned=pinned.reason if pinned else None,
        alone=alone.reason if alone else None,
        wants_kill=rules.patience is not None,
        isolate=rules.isolate,
        inside_worker=inside,
        workers=rules.workers,
        width=rules.width,
        start_seconds=WARM if warm else _start_seconds(),
        allowed=rules.model if isinstance(rules.model, tuple) else None,
        travel=travel,
        paced=rules.gated,
    )


def _start_seconds() -> float:
    """What starting workers costs now, as measured where that has been."""
    pool = current.now
    return START if pool is None else WARM if pool.warm else pool.start_seconds


@dataclass(frozen=True, slots=True)
class Chosen:
    """What measuring led to.

    Parameters:
        ended: the source has no more items.
        inline: the consumer may run the rest itself.
        on_trial: workers are to find out whether items wait.
        unread: items to be run before the rest of the source.
        evidence: what was measured; `None`: nothing.
        situation: what besides the evidence decides, as it is when asked.
        bridge: run items in this process until workers are ready.
        refused: chooses anew when workers cannot load the function, told why; `None`: it must go to workers.
    """

    placement: Placement
    reasons: tuple[str, ...]
    ended: bool = False
    inline: bool = False
    on_trial: bool = False
    unread: tuple[Any, ...] = ()
    evidence: Evidence | None = None
    situation: Callable[[], Situation] | None = None
    bridge: bool = False
    refused: Callable[[str], Choice] | None = None


def adapts(placement: Placement, rules: Rules) -> bool:
    """Whether anything is left open that measuring while it runs could answer."""
    if rules.model == "auto" or isinstance(rules.model, tuple):
        return True
    given = rules.model.width if isinstance(rules.model, Placement) else None
    return placement.style != "serial" and given is None


class Planning:
    """Chooses for one run.

    Parameters:
        earlier: what earlier runs learned.
        at_home: the function is async and runs on its caller's own loop.
    """

    def __init__(
        self, function: Any, rules: Rules, lane: Lane, earlier: Earlier, *, is_async: bool, at_home: bool = False
    ) -> None:
        self.function, self.rules, self.lane, self.earlier = function, rules, lane, earlier
        self.is_async, self.at_home = is_async, at_home
        self.measuring: Measuring | None = None

    def choose(self, source: Iterator[Any], leave: Callable[[], None] = lambda: None) -> Chosen | None:
        """Run the first items of `source` here, each once, and choose by what was measured.

        With a timeout set, an item that never returns could not be ended here: nothing is run in this process then.
        Nor is it where each item needs leave to begin, or where `model=` names no model of this process.

        Parameters:
            leave: called, from another thread, when an item waits for so long that the run should go on without it: by
                `go_on`, in a thread of its own. `None` is returned here then, when the item has ended.
        """
        rules = self.rules
        if self.is_async or not rules.has_here or rules.patience is not None or rules.gated:
            return self.go_on()
        measuring = Measuring(self.function, source, rules, self.lane, self.earlier, leave)
        self.measuring = measuring
        try:
            measuring.run()
        except ReturnedCoroutine as found:
            why = "the function returned a coroutine: it is called on an event loop"
            return Chosen(with_defaults(Placement("here", "loop"), rules), (why,), unread=(found.item,))
        return self.go_on() if measuring.left is None else None

    def go_on(self) -> Chosen:
        """Choose by what was measured so far."""
        lane, rules, earlier, measured = self.lane, self.rules, self.earlier, self.measuring
        figures = lane.figures
        evidence = measured.evidence if measured is not None else None
        ended = measured is not None and measured.ended
        if ended or (figures.total is not None and 0 < figures.total <= figures.read):
            why = "the source raised" if lane.over or lane.failed_source else "all items were run while measuring"
            left = Placement("here", "serial") if lane.settled else Placement("here", "threads", width=1)
            # Only the source says that it has ended: a length may be an estimate, and a list may grow.
            return Chosen(with_defaults(left, rules), (why,), ended=ended, inline=lane.settled)
        if evidence is None and self.is_async and earlier.recalled is not None:
            evidence = earlier.recalled.evidence
        travel = measured.travel if measured is not None else None
        asking = _Asking(self.function, rules, figures, self.is_async, self.at_home, travel)
        choice = asking.choose(evidence)
        placement, reasons = with_defaults(earlier.width(choice.placement), rules), choice.reasons
        if placement.place != "here" and not rules.isolate and (lost := asking.situation().pinned):
            reasons = (*reasons, f"its effects stay in the workers: {lost}, and model= names none of this process")
        if rules.note:
            reasons = (*reasons, rules.note)
        if rules.asked_by != "model=":
            said = f"model={rules.model!r} allows"
            reasons = tuple(reason.replace(said, f"{rules.asked_by} allows") for reason in reasons)
        refused = asking.refused if rules.may_stay else None
        if earlier.confirmed or (self.is_async and earlier.recalled is not None):
            reasons = (*reasons, "as in an earlier run")
        if _is_for_trial(placement, rules, evidence):
            wide = Placement("processes", "threads", placement.workers, rules.width or WAITING)
            return Chosen(wide, reasons, on_trial=True, situation=asking.situation, refused=refused)
        serial = placement.place == "here" and placement.style == "serial" and not self.is_async
        return Chosen(
            placement,
            reasons,
            inline=serial and lane.settled,
            evidence=evidence,
            situation=asking.situation,
            bridge=placement.place != "here" and evidence is not None and rules.has_here,
            refused=refused,
        )


def _is_for_trial(placement: Placement, rules: Rules, evidence: Evidence | None) -> bool:
    """Whether workers are to find out if items wait: nothing could be measured here, and threads are allowed there."""
    allowed = not isinstance(rules.model, tuple) or "processes+threads" in rules.model
    unknown = evidence is None and (rules.patience is not None or not rules.has_here) and not rules.isolate
    return unknown and allowed and placement.model == "processes"


class _Asking:
    """What is asked when a placement is chosen, at first and again while the run goes on."""

    def __init__(
        self, function: Any, rules: Rules, figures: Figures, is_async: bool, at_home: bool, travel: str | None
    ) -> None:
        self.function, self.rules, self.figures, self.is_async = function, rules, figures, is_async
        self.at_home, self.travel, self.inside = at_home, travel, inside.get()
        self.looked = False
        self.evidence: Evidence | None = None

    def situation(self) -> Situation:
        """What besides the evidence decides, now."""
        figures = self.figures
        if not self.looked and self.travel is None:
            self.looked, self.travel = True, self._why_not()
        done = figures.finished + figures.failures
        remaining = None if figures.total is None else max(0, figures.total - done)
        consumer = figures.consuming / figures.consumed if figures.consumed and not figures.feeds else 0.0
        return replace(
            self._always,
            remaining=remaining,
            start_seconds=_start_seconds(),
            travel=self.travel,
            consumer_seconds=consumer,
            shares=figures.fed or figures.feeds,
        )

    @cached_property
    def _always(self) -> Situation:
        """What stays as it is: looking at the function's code costs too much for every review."""
        situation = situation_of(
            self.function,
            self.rules,
            is_async=self.is_async,
            remaining=None,
            warm=False,
            inside=self.inside,
            travel=None,
        )
        return replace(situation, pinned="it runs on its caller's event loop") if self.at_home else situation

    def _why_not(self) -> str | None:
        """Why the function, or what opens its resources, cannot travel."""
        resources = dict(self.rules.resources)
        return why_not(self.function) or (why_not(resources) if resources else None)

    def refused(self, why: str) -> Choice:
        """The choice, now that workers turned out to be unable to load the function."""
        self.looked, self.travel = True, why
        return choose(self.evidence, self.situation())

    def choose(self, evidence: Evidence | None) -> Choice:
        """The choice, now."""
        self.evidence = evidence
        self.looked = True  # whether the function can travel is only looked at when it would have to
        choice = choose(evidence, self.situation())
        if choice.placement.place != "here" and self.travel is None:
            self.travel = self._why_not()
            if self.travel is not None:
                choice = choose(evidence, self.situation())
        self.looked = choice.placement.place != "here"
        return choice
