"""Which models are worth a try, what each promises, and why the others are not tried. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from plait.fit.choose import Situation, choose, predict
from plait.fit.evidence import Evidence
from plait.placement import Placement, placement_for

__all__ = ["Candidate", "barred", "candidates", "simplicity", "widths"]

#: Simplest first.
SIMPLEST = ("serial", "threads", "async", "processes", "processes+threads", "processes+async")
#: The widest that is tried: an idle thread costs some 10 KiB and a coroutine 2, yet what they call may have its limits.
WIDEST = {"threads": 512, "loop": 4096}
#: How much wider each try is than the one before.
WIDER = 4
#: A prediction of the pace is made for so many items: their start is left out of it, as it is left out of measuring.
MANY = 1_000_000


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
    reasons = {model: barred(placement_for(model), situation) for model in models}
    if all(reasons.values()):  # somebody asked for just that, as `choose` sees it
        reasons = dict.fromkeys(models)
    found = []
    for model in models:
        alone = replace(situation, allowed=(model,))
        placement = choose(evidence, alone).placement
        found.append(Candidate(placement, _promised(model, evidence, situation), reasons[model]))
    return found


def barred(at: Placement, situation: Situation) -> str | None:
    """Why a placement would break a promise; `None`: it would not."""
    return next((reason for holds, reason in _obstacles(at, situation) if holds), None)


def _obstacles(at: Placement, situation: Situation) -> Iterator[tuple[bool, str]]:
    here = at.place == "here"
    yield situation.isolate and here, "isolate=True keeps it out of this process"
    inside = situation.inside_worker and not situation.isolate
    yield inside and (not here or at.style == "threads"), "inside a worker no more workers are added"
    yield bool(situation.pinned) and not here, f"the function has to stay in this process: {situation.pinned}"
    yield bool(situation.travel) and not here, f"it cannot go to another process: {situation.travel}"
    yield bool(situation.alone) and at.style == "threads", f"its items must not overlap: {situation.alone}"
    kill = situation.wants_kill and not situation.is_async
    yield kill and here, "timeout= is set, and only a process can be killed"


def _promised(model: str, evidence: Evidence | None, situation: Situation) -> float | None:
    if evidence is None or evidence.seconds_mean <= 0 or situation.is_async or "async" in model:
        return None
    seconds = predict(model, evidence, replace(situation, remaining=MANY, start_seconds=0.0))
    return MANY / seconds if seconds > 0 else None


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
