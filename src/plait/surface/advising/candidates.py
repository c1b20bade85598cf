"""Which models are worth a try, what each promises, and why the others are not tried. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from plait.fit.choose import Situation, choose, predict
from plait.fit.evidence import Evidence
from plait.fit.situation import excluded
from plait.placement import Placement, placement_for

__all__ = ["NOT_ASYNC", "Candidate", "beginning", "candidates", "simplicity", "widths"]

#: Simplest first.
SIMPLEST = ("serial", "threads", "async", "processes", "processes+threads", "processes+async")
#: The widest that is tried: an idle thread costs some 10 KiB and a coroutine 2, yet what they call may have its limits.
WIDEST = {"threads": 512, "loop": 4096}
#: How much wider each try is than the one before.
WIDER = 4
#: A prediction of the pace is made for so many items: their start is left out of it, as it is left out of measuring.
MANY = 1_000_000
#: Items for each slot in a first try, where nobody knows how many there are.
SCOUTS = 4
NOT_ASYNC = "the function is not async: make it `async def`"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may be tried.

    Parameters:
        placement: with its workers; its width is the predicted one.
        predicted: items a second; `None` where nothing was measured to predict from.
        barred: why it is not to be tried; `None`: it is.
    """

    placement: Placement
    predicted: float | None = None
    barred: str | None = None

    @property
    def model(self) -> str:
        """The user's word for its placement."""
        return self.placement.model


def simplicity(model: str) -> int:
    """The place of a model among all, simplest first; what others registered comes last."""
    return SIMPLEST.index(model) if model in SIMPLEST else len(SIMPLEST)


def candidates(evidence: Evidence | None, situation: Situation) -> list[Candidate]:
    """Every model that suits the function's kind and `model=`, simplest first, with what it promises."""
    kinds = (
        ("async", "processes+async") if situation.is_async else ("serial", "threads", "processes", "processes+threads")
    )
    named = situation.allowed or kinds
    models = sorted([model for model in kinds if model in named] or named, key=simplicity)
    reasons = excluded(models, situation)
    if evidence is not None and not situation.is_async:  # it was run, and gave no coroutine
        reasons |= {at: NOT_ASYNC for at in models if placement_for(at).style == "loop"}
    found = []
    for model in models:
        alone = replace(situation, allowed=(model,))
        placement = choose(evidence, alone).placement
        found.append(Candidate(placement, _promised(model, evidence, situation), reasons.get(model)))
    return found


def _promised(model: str, evidence: Evidence | None, situation: Situation) -> float | None:
    if evidence is None or evidence.seconds_mean <= 0 or situation.is_async or "async" in model:
        return None
    seconds = predict(model, evidence, replace(situation, remaining=MANY, start_seconds=0.0))
    pace = MANY / seconds if seconds > 0 else 0.0
    if evidence.source > 0:
        pace = min(pace, 1 / evidence.source)
    return pace or None


def widths(at: Placement, cores: int, bound: int | None, waits: bool) -> list[int]:
    """The widths to try, each 4 times the one before.

    Parameters:
        bound: the user's `width=`.
        waits: items are so slow that there is time for few tries: begin with the predicted width.
    """
    most = min(bound or WIDEST[at.style], WIDEST[at.style])
    first = 1 if at.style == "loop" else cores if at.place == "here" else WIDER
    if waits and at.width:
        first = at.width
    first = min(first, most)
    found = [first]
    while found[-1] < most:
        found.append(min(found[-1] * WIDER, most))
    return found


def beginning(at: Placement, ladder: list[int], left: int | None, waiting: int) -> tuple[int, int]:
    """The first width to try, and how many items at most: no more than this model's share; 0 and 0: too few are left.

    Parameters:
        ladder: the widths that may be tried; the first is the widest that is not wider than what is predicted.
        left: items that can still be handed out, where that is known.
        waiting: models that have not had their share yet, this one included.
    """
    workers = at.workers or 1
    rung = max((rung for rung, width in enumerate(ladder) if width <= (at.width or 1)), default=0)
    if left is None:
        return ladder[rung], SCOUTS * ladder[rung] * workers
    part = left // waiting
    while rung and 2 * ladder[rung] * workers > part:
        rung -= 1
    if left < ladder[rung] * workers:
        return 0, 0
    return ladder[rung], max(2 * ladder[rung] * workers, part // 2 if waiting > 1 else part)
