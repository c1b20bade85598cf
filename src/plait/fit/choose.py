"""`choose`: from evidence to a placement, with the reasons in words. Pure: no clock, no machine, no state.

Every candidate placement is given the seconds that it would take for the remaining `n` items (`c` cores, `k` workers,
`w` wide, `s` seconds an item, of these `cpu` computing and `gil` holding the GIL, `p` pickling and `d` dispatching):

    serial               n * (s + source + consumer)
    threads              start + n * d + max(ceil(n / w) * s,  n * cpu / c,  n * gil)
    processes            start + max(ceil(n / k) * (s + p),  n * (cpu + p + d) / c,  n * (p + d))
    processes+threads    start + max(ceil(n / kw) * (s + p),  n * (cpu + p + d) / c,  n * gil / k,  n * (p + d))

The simplest whose time is close to the best wins: leaving `serial` must promise 1.2x (1.3x where all of it takes less
than half a second), more machinery must promise 1.15x over less of it (2.5x where items wait and hardly need the GIL).
What the source and the consumer take, they take in any case: nothing is faster than the slower of them. The figures
that decide have these margins on a noisy machine, so that the choice is the same from run to run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from plait.fit.evidence import Evidence
from plait.fit.reasons import IS_ASYNC, WAITS, because_of, measured_words
from plait.fit.situation import Situation, excluded
from plait.placement import Placement, placement_for

__all__ = [
    "Choice",
    "Situation",
    "choose",
    "gil_seconds",
    "margin",
    "placed",
    "predict",
    "predictions",
    "remaining_items",
]

#: What a parallel placement must promise over `serial`, and more machinery over less.
WORTH, SIMPLER = 1.2, 1.15
#: Seconds of serial work below which what is to be gained is lost in how long starting happens to take, and what
#: leaving `serial` must promise then.
SOON, WORTH_SOON = 0.5, 1.3
#: The same for items that need the GIL for less than this share of their time: their gain is predicted from a width
#: that nobody has tried yet, at the mercy of what they wait for.
LITTLE, WAITING = 0.15, 2.5
#: Seconds an item to hand it out and take its result back: to a thread, and in a chunk to a process.
TO_THREAD, TO_PROCESS = 5e-6, 1e-6
#: Seconds to start a thread, and to pickle a byte where that was not measured.
THREAD_START, PICKLE_BYTE = 1e-4, 5e-10
#: How much longer an item takes without its own threads, as a power of their number: small products of matrices
#: gain little by them.
OWN = 0.3
#: Held GIL over CPU share: below the first, computing lets it go; from the second on, all of it holds it.
RELEASED, HOLDING = 0.4, 0.7
#: First widths, which a controller may change: of an event loop, and the range for threads that wait.
LOOP_WIDTH, LEAST_WAITING, MOST_WAITING = 128, 16, 64
#: Seconds of serial work that an input of unknown length is taken for.
UNKNOWN_WORK = 2.0

#: The models that are predicted, simplest first.
ORDER = ("serial", "threads", "processes", "processes+threads", "async", "processes+async")


@dataclass(frozen=True, slots=True)
class Choice:
    """A placement, and why: short sentences with the figures."""

    placement: Placement
    reasons: tuple[str, ...]


def choose(evidence: Evidence | None, situation: Situation) -> Choice:
    """The placement that fits, and the reasons.

    Parameters:
        evidence: what was measured; `None` where nothing was (no item, an async function, `isolate=True`).

    Raises:
        UnknownOption: `allowed` holds a model that is not registered.
    """
    reasons: list[str] = []
    possible = _possible(situation, reasons)
    measured = [] if evidence is None else [measured_words(evidence)]
    if len(possible) == 1 or evidence is None:
        model = possible[0] if len(possible) == 1 else _unmeasured(possible, situation)
        if model == "async":
            reasons.append(IS_ASYNC)
        elif evidence is None and situation.paced and model == "threads":
            reasons.append("rate= or limit= sets the pace, and threads cost little while they wait")
        return Choice(_placement(model, evidence, situation), (*measured, *reasons) or ("no item was measured",))
    seconds = {model: predict(model, evidence, situation) for model in possible}
    least = remaining_items(evidence, situation) * max(evidence.source, situation.consumer_seconds)
    worth = WORTH_SOON if seconds.get("serial", math.inf) < SOON else WORTH
    model, gil = _simplest_good(seconds, margin(evidence), worth, least), _gil_share(evidence)
    because = because_of(model, seconds, evidence, situation.cores, situation.start_seconds, gil, worth, least)
    return Choice(_placement(model, evidence, situation), (*measured, *reasons, *because))


def margin(evidence: Evidence) -> float:
    """What more machinery must promise over less, for these items."""
    return WAITING if evidence.cpu_share < WAITS and _gil_share(evidence) < LITTLE else SIMPLER


def gil_seconds(evidence: Evidence) -> float:
    """Seconds of an item, on average, for which it needs the GIL. Unknown counts as held: Python holds it."""
    return _gil_share(evidence) * evidence.seconds_mean


def predict(model: str, evidence: Evidence, situation: Situation) -> float:
    """Seconds that the remaining items would take under a model of this process or of worker processes."""
    mean = evidence.seconds_mean
    cores = min(situation.cores, max(situation.available or situation.cores, 0.1))
    items = remaining_items(evidence, situation)
    if model == "serial":
        return items * (mean + evidence.source + situation.consumer_seconds)  # one after the other; else side by side
    placement = _placement(model, evidence, situation)
    workers, width = placement.workers or 1, placement.width or 1
    cpu, gil = evidence.cpu_share * mean * evidence.threads, gil_seconds(evidence)
    if placement.place != "here" and evidence.threads > 1:
        # Workers give each item fewer threads of its own, which then wait less for each other.
        mean, cpu = mean * evidence.threads**OWN, cpu * evidence.threads ** (OWN - 1)
    rounds = math.ceil(items / (workers * width))
    if placement.place == "here":
        if placement.style == "loop":
            return max(rounds * mean, items * cpu)  # one thread computes, whatever the GIL
        start = THREAD_START * width + items * TO_THREAD
        return start + max(rounds * mean, items * cpu / cores, items * gil)
    pickling = _pickling(evidence, situation)
    handed = pickling + TO_PROCESS
    inside = items * (cpu if placement.style == "loop" else gil) / workers
    return situation.start_seconds + max(
        rounds * (mean + pickling), items * (cpu + handed) / cores, inside, items * handed
    )


def predictions(evidence: Evidence, situation: Situation) -> dict[str, float]:
    """`predict` for every model that keeps what was promised, simplest first."""
    return {model: predict(model, evidence, situation) for model in _possible(situation, [])}


def placed(model: str, evidence: Evidence | None, situation: Situation) -> Placement:
    """A model's placement with its workers and width, for this evidence."""
    return _placement(model, evidence, situation)


def _possible(situation: Situation, reasons: list[str]) -> list[str]:
    """The models that keep what was promised, simplest first; never none. Why not the others goes to `reasons`."""
    if situation.is_async:
        models = ["async", "processes+async"]
    else:
        models = ["serial", "threads", "processes", "processes+threads"]
    if situation.allowed:
        reasons.append(f"model={situation.allowed!r} allows no other")
        named = [model for model in ORDER if model in situation.allowed]
        models = [model for model in models if model in named] or named or [situation.allowed[0]]
        for model in situation.allowed:
            placement_for(model)
    why_not = excluded(models, situation)
    reasons.extend(dict.fromkeys(why_not.values()))
    return [model for model in models if model not in why_not]


def _simplest_good(seconds: dict[str, float], margin: float, worth: float, least: float) -> str:
    """The simplest model that comes close to the best; `least` is what source or consumer take in any case."""
    best = min(seconds.values())
    if seconds.get("serial", math.inf) <= worth * max(best, least):
        return "serial"
    return next(model for model, taken in seconds.items() if model != "serial" and taken <= margin * best)


def _unmeasured(possible: list[str], situation: Situation) -> str:
    """Nothing is known of the items: what is right for most."""
    if situation.paced and "threads" in possible:
        return "threads"
    if situation.is_async or situation.cores < 2:
        return possible[0]
    return "processes" if "processes" in possible and "serial" not in possible else possible[0]


def _gil_share(evidence: Evidence) -> float:
    share, held = evidence.cpu_share, evidence.gil_held
    if held is None:
        return share
    if held >= HOLDING and share < WAITS:
        return held  # it waits with the GIL in its hand: an extension that does not let it go
    part = (held / share - RELEASED) / (HOLDING - RELEASED) if share > 0 else 0.0
    return share * min(1.0, max(0.0, part))


def remaining_items(evidence: Evidence, situation: Situation) -> int:
    """Items that are left: as many as are known to be, or some seconds' worth."""
    if situation.remaining is not None:
        return situation.remaining
    return max(64, math.ceil(UNKNOWN_WORK / max(evidence.seconds_mean, 1e-7)))


def _pickling(evidence: Evidence, situation: Situation) -> float:
    if situation.pickle_seconds_per_item is not None:
        return situation.pickle_seconds_per_item
    if evidence.pickling is not None:
        return evidence.pickling
    moved = situation.bytes_per_item
    if moved is None:
        moved = (evidence.bytes_in or 0.0) + (evidence.bytes_out or 0.0)
    return moved * PICKLE_BYTE


def _placement(model: str, evidence: Evidence | None, situation: Situation) -> Placement:
    """The model's placement with its workers and width, within the bounds and never more than there are items."""
    at = placement_for(model)
    items = situation.remaining or 1_000_000_000  # unknown: as many as may come
    workers, width = at.workers, at.width
    if at.place != "here" and workers is None:
        workers = max(1, int(min(situation.workers or situation.cores, situation.cores, items)))
    if at.style != "serial" and width is None:
        wanted = LOOP_WIDTH if at.style == "loop" else _threads(evidence, situation.cores)
        if evidence is not None and evidence.cpu_share < WAITS:
            wanted = max(wanted, situation.reached or 0)
        each = math.ceil(wanted / (workers or 1))
        width = max(1, int(min(each, situation.width or each, math.ceil(items / (workers or 1)))))
    return Placement(at.place, at.style, workers, width)


def _threads(evidence: Evidence | None, cores: int) -> int:
    """Threads that keep the cores busy while others wait."""
    share = evidence.cpu_share if evidence is not None else 0.0
    if share >= 0.9:
        return cores
    if share >= WAITS:
        return min(MOST_WAITING, math.ceil(1.5 * cores / share))
    return max(LEAST_WAITING, min(MOST_WAITING, math.ceil(cores / max(share, 0.01))))
