"""`review`: while a lane runs, whether another placement would do better than the one it has. Pure.

    measured here:   items/s of this placement now, CPU an item, seconds an item
    predicted:       every possible placement by `choose.predictions`, with the evidence renewed by what is measured
    known:           items/s of placements that were tried before, `serial` by the probe

What was measured overrules what was predicted, and a prediction is trusted as far as that of the present placement
holds. On a machine that others use, too, a placement that computes shows how many cores are left: nobody gets more.
To move, a placement must promise or have shown 1.3 times what there is, serial items alone 1.4 times (1.15 times on a
machine that is ours alone); `known` remembers what each has shown: so the lane settles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from plait.fit.choose import Situation, gil_seconds, margin, predictions, remaining_items
from plait.fit.evidence import Evidence
from plait.fit.reasons import percent, rate_words

__all__ = ["Move", "Stretch", "available", "changed", "renewed", "review"]

#: What a placement must promise or have shown to be moved to; and where it was shown by a probe, with a CPU at hand
#: whenever it needed one.
BETTER, BETTER_ALONE = 1.3, 1.4
#: What must have been shown where nobody else wants the CPUs: such figures can be relied on.
QUIET, QUIETLY = 1.15, 0.05
#: The same where others may want them, and what is known of the items says the contrary: from one second to the next,
#: a machine that others use does half as much, or twice.
AGAINST = 2.0
#: Models whose items have a thread and a GIL to themselves.
ALONE = ("serial", "processes")
#: What keeps the one below its promise does so to the other; threads, too, if the GIL can't be what it is.
ALIKE = {"processes": ("processes+threads",), "processes+threads": ("processes",)}
#: Items that cost this many times as much, or as little, are other items.
OTHER = 2.5


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a placement did while it had items to run and room for results.

    Parameters:
        model: its model.
        seconds: how long.
        items: items that ended.
        busy: seconds that all of them together were in progress, less waiting for a CPU where that is known.
        cpu: CPU seconds of the threads that ran them.
        gil_held: share of the time that the GIL of this process was held, where it was looked at.
        workers: threads that computed side by side.
        crowded: share of their time for which these threads waited for a CPU that others had; `None`: not known.
    """

    model: str
    seconds: float
    items: int
    busy: float
    cpu: float
    gil_held: float | None = None
    workers: int = 1
    crowded: float | None = 0.0

    @property
    def cores(self) -> float:
        """Cores that the items kept busy."""
        return self.cpu / self.seconds if self.seconds > 0 else 0.0

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.items / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Move:
    """A placement's model that does better, and why in words."""

    model: str
    evidence: Evidence
    reasons: tuple[str, ...]


def renewed(evidence: Evidence | None, now: Stretch) -> Evidence:
    """The evidence with what the stretch has shown.

    Items that run side by side in one process hold each other up: as far as its GIL, or its loop's thread, is busy,
    each waits for those that are in progress with it.
    """
    items = max(now.items, 1)
    cpu, together = now.cpu / items, max(now.busy, now.cpu) / items
    seconds = together
    if now.model not in ALONE:
        beside = max(0.0, now.busy / now.seconds - 1) if now.seconds > 0 else 0.0
        load = min(1.0, now.cores)
        seconds = max(cpu, together - beside * cpu * load)
        if evidence is not None and load > 0.5:
            seconds = min(seconds, cpu + evidence.seconds_mean * (1 - evidence.cpu_share))
    seconds = max(seconds, 1e-9)
    share, held = min(1.0, cpu / seconds), now.gil_held
    if held is not None and now.model not in ALONE:  # of the process: what is each item's part in it?
        held = min(1.0, held * now.seconds / items / seconds)
    if held is None and evidence is not None and evidence.gil_held is not None and evidence.cpu_share > 0.2:
        held = min(1.0, evidence.gil_held / evidence.cpu_share * share)
    if evidence is None:
        return Evidence(now.items, seconds, seconds, seconds, share, held)
    return replace(
        evidence,
        items=now.items,
        seconds=seconds,
        seconds_max=max(seconds, evidence.seconds_max),
        seconds_mean=seconds,
        cpu_share=share,
        gil_held=held,
    )


def available(now: Stretch, cores: int) -> float | None:
    """Cores that the rest of the machine leaves to this run; `None`: the stretch does not tell."""
    computes = now.busy > 0 and now.cpu >= 0.7 * now.busy
    frees = now.gil_held is not None and now.gil_held < 0.3
    if (now.model == "processes" and computes) or (now.model == "threads" and frees and computes):
        return min(float(cores), now.cores)
    return None


def _one_core(left: float | None, threads: int, cores: int) -> float:
    """What one thread gets of a core where `threads` of ours got `left` cores together: the others share fairly."""
    if left is None or left <= 0:
        return 1.0
    others = threads * (cores - left) / left
    return min(1.0, cores / (others + 1))


def changed(before: Stretch, now: Stretch) -> bool:
    """Whether the items are no longer those that they were: they cost another amount of CPU, or take another time."""
    if not (before.items and now.items):
        return False
    cpu, was = now.cpu / now.items, before.cpu / before.items
    seconds, took = now.busy / now.items, before.busy / before.items
    waits = cpu < 0.3 * seconds and max(seconds, took) > 1e-4  # else a busy machine would look like other items
    return _other(max(cpu, 1e-5), max(was, 1e-5)) or (waits and _other(seconds, took))


def _other(one: float, two: float) -> bool:
    return one > OTHER * two or two > OTHER * one


def review(now: Stretch, evidence: Evidence | None, situation: Situation, known: Mapping[str, float]) -> Move | None:
    """A better placement, or `None`: stay.

    Parameters:
        evidence: what is known of the items so far.
        known: items a second of the models that were tried before.
    """
    if now.rate <= 0:
        return None
    fresh = renewed(evidence, now)
    items = remaining_items(fresh, situation)
    left = None if situation.shares else available(now, situation.cores)
    seconds = predictions(fresh, replace(situation, available=left))
    if now.model.startswith("processes") and now.model in seconds:  # its workers have been started
        seconds[now.model] = max(seconds[now.model] - situation.start_seconds, 1e-9)
    promised = items / max(seconds[now.model], 1e-12) if now.model in seconds else now.rate
    factor = min(1.0, now.rate / promised) if promised else 1.0
    best: tuple[float, str, str] | None = None
    for model, taken in seconds.items():
        if model == now.model or (situation.shares and model in known):  # what it did, it may have done alone
            continue
        if model in known:
            alone = model == "serial"
            slowed = _one_core(left, now.workers, situation.cores) if alone else 1.0
            needed = BETTER_ALONE if alone else BETTER
            if now.crowded is not None and now.crowded < QUIETLY:
                needed = QUIET
            elif promised and items / max(taken, 1e-12) < promised:
                needed = AGAINST
            gain, how = known[model] * slowed / now.rate, "did"
        else:
            gain, needed, how = items / max(taken, 1e-12) * factor / now.rate, BETTER, "should do"
            alike = (*ALIKE.get(model, ()), *(("threads",) if model in ALIKE and _released(fresh) else ()))
            gain *= min([1.0, *(known[one] * seconds[one] / items for one in alike if one in known and one in seconds)])
        if gain >= needed and (best is None or gain > margin(fresh) * best[0]):
            best = gain, model, how
    if best is None or _not_worth(items, now.rate, best[0]):
        return None
    gain, model, how = best
    loop = "async" in now.model  # what computes there is its thread, whichever items it does it for
    share = (
        f"its thread busy {percent(min(1.0, now.cores / max(1, now.workers)))}"
        if loop
        else f"CPU share {fresh.cpu_share:.2f}"
    )
    figures = f"{rate_words(now.rate)} under {now.model}, {share}"
    held = "" if now.gil_held is None else f", GIL held {percent(now.gil_held)}"
    return Move(model, fresh, (f"measured {figures}{held}", f"{model} {how} {gain:.1f}x of that"))


def _released(evidence: Evidence) -> bool:
    """Whether items compute, and let the GIL go for most of it."""
    cpu = evidence.cpu_share * evidence.seconds_mean
    return evidence.cpu_share > 0.5 and gil_seconds(evidence) < 0.2 * cpu


def _not_worth(items: int, rate: float, gain: float) -> bool:
    """Whether what is left is over before a change would have paid."""
    return items / rate * (1 - 1 / gain) < 0.05
