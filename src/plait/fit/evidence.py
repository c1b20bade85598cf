"""`Evidence`: what was measured of a task, and the pure functions that make it from samples.

The CPU share is CPU time over wall time *less the time spent waiting for a CPU*: on a busy machine the raw ratio says
"waits" of pure Python (it read 0.18), the corrected one does not (0.93 to 1.05 at a load of 12 on 2 cores).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

__all__ = [
    "Evidence",
    "Sample",
    "Tick",
    "cpu_share",
    "gil_held",
    "handing_over",
    "item_seconds",
    "served",
    "since",
    "typical_seconds",
]

#: A canary that nobody keeps from the GIL wakes every 1.06 ms: 1 ms of sleep and the timer's slack.
TICK = 0.00106
#: A tick that is later than this met the GIL taken: wake-ups alone stay well below it.
TAKEN = 0.000045
#: Switches for each tick from which on it is the items' thread that made way for it.
SWITCHES = 2.0
#: Seconds of ticks below which nothing is said about the GIL.
SEEN = 0.003


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of a task.

    Parameters:
        items: real items that were run and measured, the first included.
        seconds: median seconds of an item, less waiting for a CPU; without the first item where others were run.
        seconds_max: the longest of them.
        seconds_mean: their mean, without the longest where there are ten or more (one straggler proves nothing).
        cpu_share: CPU time over the same seconds, 0 to 1: 1 computes, 0 waits.
        gil_held: share of the time that the GIL was held, 0 to 1; `None` where too little was seen.
        first_call: seconds of the first item, which pays for imports and caches.
        bytes_in: estimated bytes of an item; `None` where not known.
        bytes_out: estimated bytes of a result; `None` where not known.
        pickling: seconds to pickle and unpickle an item and its result; `None` where it was not measured.
        source: seconds that the source took for an item.
        threads: how many threads an item computes in by itself (BLAS does), while it computes; 1 for most.
        growth: bytes by which this process grew for each item.
        raised: how many of the items raised.
        unfinished: the last of the items was still waiting: all seconds are at least so many.
        notes: what else is worth knowing, in short sentences.
    """

    items: int
    seconds: float
    seconds_max: float
    seconds_mean: float
    cpu_share: float
    gil_held: float | None = None
    first_call: float = 0.0
    bytes_in: float | None = None
    bytes_out: float | None = None
    pickling: float | None = None
    source: float = 0.0
    threads: float = 1.0
    growth: float = 0.0
    raised: int = 0
    unfinished: bool = False
    notes: tuple[str, ...] = ()


class Sample(NamedTuple):
    """Items that ran one after the other within some milliseconds.

    Parameters:
        walls: wall seconds of each.
        cpus: CPU seconds of each.
        queued: seconds that they were ready to run without a CPU, all together; `None` where it cannot be read.
        voluntary: how often their thread gave up its CPU, to wait.
        involuntary: how often the CPU was taken from it.
    """

    walls: tuple[float, ...]
    cpus: tuple[float, ...]
    queued: float | None = None
    voluntary: int = 0
    involuntary: int = 0


class Tick(NamedTuple):
    """One sleep of the canary: seconds that it woke `late` for want of the GIL.

    Parameters:
        inside: which part of the sleep fell into items, 0 to 1.
        ended: when it woke, by `time.perf_counter`.
        queued: seconds that it was awake and had no CPU: what the GIL did meanwhile is not known.
    """

    late: float
    inside: float = 1.0
    ended: float = 0.0
    queued: float = 0.0


def item_seconds(sample: Sample) -> list[float]:
    """Seconds that each item would have taken with a CPU at hand whenever it was ready to run."""
    wall, cpu = sum(sample.walls), sum(sample.cpus)
    idle = wall - cpu
    waiting = (served(sample) - cpu) / idle if idle > 0 else 0.0
    return [cpu + max(0.0, wall - cpu) * waiting for wall, cpu in zip(sample.walls, sample.cpus, strict=True)]


def served(sample: Sample) -> float:
    """The same for all items of a sample together.

    Without schedstat the time without CPU is split by the switches: what was taken away counts as a queue, what was
    given up as a wait.
    """
    wall, cpu = sum(sample.walls), sum(sample.cpus)
    idle = max(0.0, wall - cpu)
    if sample.queued is not None:
        return cpu + max(0.0, idle - sample.queued)
    if sample.involuntary:
        # Giving way to the canary is a voluntary switch, too: at most one in 6 ms of computing.
        voluntary = max(0.0, sample.voluntary - cpu / (TICK + 0.005))
        return cpu + idle * voluntary / (voluntary + sample.involuntary)
    return cpu + idle


def cpu_share(samples: Sequence[Sample], handing: float = 0.0) -> float:
    """The part of the items' own time that was CPU time, 0 to 1.

    Parameters:
        handing: seconds of their idle time that they stood still for a canary that had the GIL and no CPU.
    """
    cpu = sum(sum(sample.cpus) for sample in samples)
    idle = seconds = max(cpu, sum(served(sample) for sample in samples))
    for _ in range(4):  # they would have needed the GIL then for their CPU share only, which is what is looked for
        seconds = max(cpu, idle - handing * (cpu / seconds if seconds > 0 else 1.0))
    return min(1.0, cpu / seconds) if seconds > 0 else 1.0


def handing_over(ticks: Iterable[Tick]) -> float:
    """Seconds for which a canary that waited for the GIL may have had it without a CPU, and items stood still."""
    return sum(tick.queued * tick.inside for tick in ticks if tick.late > TAKEN)


def typical_seconds(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The median, the maximum and the mean; the mean without the longest of ten or more.

    Unless that one outweighs all the others together: then there are two kinds of items (a cache's hits and misses),
    and the rare ones are most of the work.
    """
    ordered = sorted(seconds)
    rest = ordered[:-1]
    kept = rest if len(rest) >= 9 and ordered[-1] <= sum(rest) else ordered
    return median(ordered), ordered[-1], sum(kept) / len(kept)


def since(instant: float, ticks: Iterable[Tick]) -> list[Tick]:
    """The ticks that ended after `instant`, each with only the lateness that came after it."""
    return [tick._replace(late=min(tick.late, tick.ended - instant)) for tick in ticks if tick.ended > instant]


def gil_held(ticks: Sequence[Tick], share: float = 1.0, switches: int = 0) -> float | None:
    """The share of the time inside items for which the GIL was held, 0 to 1; `None` when too little was seen.

    Three figures, each blind where the others see; the largest is taken.

    - `late / (late + ticks * 1.06 ms)` sees code that holds the GIL for long, waiting with it included. It is too low
      for bursts shorter than the interpreter's switch interval of 5 ms.
    - The CPU share, less the computing during which the GIL was free: the ticks that woke on time, beyond those that
      waiting explains. It sees bursts of any length. On a busy machine the canary may be queued behind the very item
      that it watches, and be let in when that goes to sleep: such ticks have seen nothing and are left out, unless the
      items hardly ever sleep.

    - Code that lets the GIL go again and again for less than it takes to change threads (short calls of NumPy) lets the
      canary in soon, and is of no use to anybody: then each tick costs the items' thread several switches.

    Parameters:
        share: the items' CPU share.
        switches: how often the items' thread gave up or lost its CPU meanwhile.
    """
    kept = sorted(ticks)
    if len(kept) >= 20:
        kept.pop()  # one garbage collection proves nothing
    late = sum(tick.late * tick.inside for tick in kept)
    asleep = sum(TICK * tick.inside for tick in kept)
    if late + asleep < SEEN:
        return None
    held = late / (late + asleep)
    if share > 0.9 and len(kept) >= 10 and switches > SWITCHES * len(kept):
        held = max(held, 0.9 * share)
    spans = [(tick, (TICK + tick.late + tick.queued) * tick.inside) for tick in kept]
    total = sum(span for _, span in spans)
    sleeps = share < 0.9
    blurred = sum(span for tick, span in spans if sleeps and tick.queued > TAKEN >= tick.late)
    free = sum(span for tick, span in spans if tick.late <= TAKEN) - blurred
    computing = share * total - blurred
    if computing < 0.3 * share * total:
        return held if held >= 0.6 or share < 0.1 else None
    released = min(1.0, max(0.0, free - (1 - share) * total) / computing) if computing > 0 else 1.0
    return max(held, share * (1 - released))
