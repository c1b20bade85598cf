"""`Situation`: what besides the evidence decides where items run, and which models that rules out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from plait.placement import Placement, placement_for

__all__ = ["Situation", "excluded"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What besides the evidence decides.

    Parameters:
        cores: CPUs that this process may use.
        remaining: items that are left, where known.
        is_async: the function is a coroutine function.
        pinned: why it must stay in this process (see `fit.meaning`).
        alone: why its items must not overlap in threads of one process.
        wants_kill: `timeout=` is set: a place that can kill is preferred.
        isolate: it must not run in this process.
        inside_worker: this process is a worker itself.
        workers: the user's bound. width: the user's bound.
        start_seconds: what starting workers costs: some 0.005 warm, 0.15 cold.
        allowed: the models to choose among; `None`: all.
        travel: why the function or its items cannot travel to another process.
        bytes_per_item: bytes that an item and its result move; `None`: as estimated in the evidence.
        pickle_seconds_per_item: seconds to pickle and unpickle them; `None`: as measured or estimated in the evidence.
        reached: items in progress at once, in all workers together, that have paid so far; `None`: not known.
        available: cores that the rest of the machine leaves to this run, as far as was seen; `None`: all.
        consumer_seconds: seconds that the consumer takes for a result.
        paced: `rate=` or `limit=` is set.
        shares: other stages of its flow use the same cores; what they take is not lost to this run.
    """

    cores: int
    remaining: int | None = None
    is_async: bool = False
    pinned: str | None = None
    alone: str | None = None
    wants_kill: bool = False
    isolate: bool = False
    inside_worker: bool = False
    workers: int | None = None
    width: int | None = None
    start_seconds: float = 0.15
    allowed: tuple[str, ...] | None = None
    travel: str | None = None
    bytes_per_item: float | None = None
    pickle_seconds_per_item: float | None = None
    reached: int | None = None
    available: float | None = None
    consumer_seconds: float = 0.0
    paced: bool = False
    shares: bool = False


def excluded(models: list[str], situation: Situation) -> dict[str, str]:
    """Those of `models` that would break a promise, and which; never all of them."""
    why_not: dict[str, str] = {}
    for keep, reason in _rules(situation):
        left = [model for model in models if model not in why_not]
        broken = [model for model in left if not keep(placement_for(model))]
        if len(broken) < len(left):
            why_not |= dict.fromkeys(broken, reason)
    return why_not


def _rules(situation: Situation) -> Iterator[tuple[Callable[[Placement], bool], str]]:
    """What a placement must be, and why; the strongest first. One that would leave nothing gives way."""
    if situation.isolate:
        yield lambda at: at.place != "here", "isolate=True keeps it out of this process"
    elif situation.inside_worker:
        yield (
            lambda at: at.place == "here" and at.style != "threads",
            "a map inside a worker adds no workers of its own",
        )
    else:
        if situation.pinned:
            yield lambda at: at.place == "here", f"it stays in this process: {situation.pinned}"
        if situation.travel:
            yield lambda at: at.place == "here", f"it cannot go to another process: {situation.travel}"
    if situation.alone:
        yield lambda at: at.style != "threads", f"its items must not overlap: {situation.alone}"
    if situation.wants_kill and not situation.is_async:
        yield lambda at: at.place != "here", "timeout= is set, and only a process can be killed"
