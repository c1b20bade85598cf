"""Which placement a run gets: the one that was asked for, or the one that measuring real items leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from types import CoroutineType
from typing import Any

from plait import machine
from plait.engine.figures import Figures
from plait.engine.lane import Lane
from plait.engine.rules import Rules
from plait.engine.source import source_failed
from plait.fit.choose import Situation, choose
from plait.fit.evidence import Evidence
from plait.fit.meaning import pin
from plait.fit.probe import Probe
from plait.placement import Placement, placement_for
from plait.places.processes.pool import current
from plait.places.processes.travel import why_not
from plait.styles.batch import raised
from plait.styles.resources import open_sync
from plait.styles.threads import inside

__all__ = ["Chosen", "asked_for", "choose_for", "with_defaults"]

#: Width of an event loop and of threads where nothing was measured.
LOOP_WIDTH = 128
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
    pinned = pin(function)
    alone = pin(function, alone=True)
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
        start_seconds=0.005 if warm else 0.15,
        allowed=rules.model if isinstance(rules.model, tuple) else None,
        travel=travel,
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """What measuring led to.

    Parameters:
        ended: the source has no more items.
        inline: the consumer may run the rest itself.
        on_trial: workers are to find out whether items wait.
        unread: items to be run before the rest of the source.
    """

    placement: Placement
    reasons: tuple[str, ...]
    ended: bool = False
    inline: bool = False
    on_trial: bool = False
    unread: tuple[Any, ...] = ()


def choose_for(function: Any, source: Iterator[Any], rules: Rules, lane: Lane, *, is_async: bool) -> Chosen:
    """Run the first items of `source` here, each once, and choose by what was measured.

    With a timeout set, an item that never returns could not be ended here: nothing is run in this process then.
    """
    figures = lane.figures
    evidence, travel, ended = None, None, False
    if not (is_async or rules.isolate or rules.patience is not None):
        try:
            evidence, ended, travel = _measure(function, source, rules, lane)
        except _Coroutine as found:
            why = "the function returned a coroutine: it is called on an event loop"
            return Chosen(with_defaults(Placement("here", "loop"), rules), (why,), unread=(found.item,))
    all_seen = figures.total is not None and 0 < figures.total <= figures.read
    if ended or all_seen:
        why = "the source raised" if lane.over or lane.failed_source else "all items were run while measuring"
        left = Placement("here", "serial") if lane.settled else Placement("here", "threads", width=1)
        # Only the source says that it has ended: a length may be an estimate, and a list may grow.
        return Chosen(with_defaults(left, rules), (why,), ended=ended, inline=lane.settled)
    placement, reasons = _placed(function, rules, figures, is_async, evidence, travel)
    if _is_for_trial(placement, rules, evidence):
        wide = Placement("processes", "threads", placement.workers, rules.width or WAITING)
        return Chosen(wide, reasons, on_trial=True)
    serial = placement.place == "here" and placement.style == "serial" and not is_async
    return Chosen(placement, reasons, inline=serial and lane.settled)


class _Coroutine(Exception):
    """A function that is not async, as far as could be seen, returned a coroutine for `item`."""

    def __init__(self, item: Any) -> None:
        self.item = item


def _measure(
    function: Callable[[Any], Any], source: Iterator[Any], rules: Rules, lane: Lane
) -> tuple[Evidence | None, bool, str | None]:
    """The evidence, whether the source has ended, and why items cannot travel."""
    call, close = open_sync(function, rules.resources)
    travel: str | None = None
    ran, ended = 0, False
    context = copy_context()  # each item runs in a copy: what one sets must not reach the next
    try:
        with Probe() as probe:
            while lane.outlet.wait_for_room(lane.figures.read):
                try:
                    item = next(source)
                except StopIteration:
                    ended = True
                    break
                except BaseException as error:
                    lane.end(source_failed(error, lane.figures.read))
                    ended = True
                    break
                try:
                    value, problem = probe.call(lambda one: context.copy().run(call, one), item), None
                except BaseException as error:
                    value, problem = None, raised(error, 0.0)
                if type(value) is CoroutineType and not ran and not isinstance(rules.model, tuple):
                    value.close()  # not begun: as if it had not been called
                    raise _Coroutine(item)
                ran += 1
                if ran <= 2 and travel is None:
                    travel = why_not((item, value))
                lane.probed(item, value, problem)
                if probe.enough():
                    break
            return (probe.evidence() if ran else None), ended or lane.over, travel
    finally:
        close()


def _placed(
    function: Any, rules: Rules, figures: Figures, is_async: bool, evidence: Evidence | None, travel: str | None
) -> tuple[Placement, tuple[str, ...]]:
    """What the evidence leads to, every number filled in, and why."""
    remaining = None if figures.total is None else max(0, figures.total - figures.read)
    warm = current.now is not None and current.now.warm
    while True:
        situation = situation_of(
            function, rules, is_async=is_async, remaining=remaining, warm=warm, inside=inside.get(), travel=travel
        )
        choice = choose(evidence, situation)
        if choice.placement.place != "here" and travel is None:
            travel = why_not(function)
            if travel is not None:
                continue
        return with_defaults(choice.placement, rules), choice.reasons


def _is_for_trial(placement: Placement, rules: Rules, evidence: Evidence | None) -> bool:
    """Whether workers are to find out if items wait: nothing could be measured here, and threads are allowed there."""
    allowed = not isinstance(rules.model, tuple) or "processes+threads" in rules.model
    return evidence is None and rules.patience is not None and allowed and placement.model == "processes"
