"""`Standing`: where a stage stands at one moment, as its report says, or as events told."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from plait.events import (
    ChunkFinished,
    Event,
    ItemFailed,
    ItemRetried,
    PlacementChosen,
    RunFinished,
    WorkerCrashed,
)
from plait.surface.report import Report

__all__ = ["Counts", "Standing", "shape", "standings"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Figures of one stage.

    Parameters:
        finished: items that are done with, one way or the other.
        total: how many there are; `None` where nobody knows.
        in_progress: items that were read and are not finished; `None` where nobody knows.
        seconds: how long the stage has run; of one that has not begun, or whose report is not at hand, 0.
        ended: the stage is over.
    """

    stage: str
    finished: int = 0
    total: int | None = None
    in_progress: int | None = None
    failures: int = 0
    retries: int = 0
    crashes: int = 0
    model: str = ""
    seconds: float = 0.0
    ended: bool = False


def standings(report: Report) -> list[Standing]:
    """Where each stage of a run stands."""
    return [_standing(stage) for stage in report.stages]


def _standing(report: Report) -> Standing:
    figures = report._figures
    at, gone = figures.placement, figures.finished + figures.failures
    return Standing(
        figures.stage,
        gone,
        figures.total,
        max(0, figures.read - gone - figures.passed),
        figures.failures,
        figures.retries,
        figures.crashes,
        shape(at.model, at.workers, at.width) if at is not None else "",
        figures.wall,
        figures.ended is not None,
    )


def shape(model: str, workers: int | None, width: int | None) -> str:
    """`"processes x 2"`, `"threads x 8"`, `"processes+async x 2 x 128"`."""
    return " x ".join([model, *(str(size) for size in (workers, width) if size and size > 1)])


class Counts:
    """Counts events, for an observer that was given no report.

    **Concurrency** `take` is called from any thread.
    """

    #: What it wants to hear.
    TYPES: tuple[type[Event], ...] = (
        ChunkFinished,
        ItemFailed,
        ItemRetried,
        WorkerCrashed,
        PlacementChosen,
        RunFinished,
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}  # of each stage: finished, failures, retries, crashes
        self._models: dict[str, str] = {}

    def take(self, event: Event) -> None:
        """Count it."""
        match event:
            case ChunkFinished():  # an attempt that failed ends no item: it is retried, or told of by ItemFailed
                self._add(event.stage, event.items - event.failed, 0, 0, 0)
            case ItemFailed():
                self._add(event.stage, 1, 1, 0, 0)
            case ItemRetried():
                self._add(event.stage, 0, 0, 1, 0)
            case WorkerCrashed():
                self._add(event.stage, 0, 0, 0, 1)
            case PlacementChosen():
                self._models[event.stage] = shape(event.model, event.workers, event.width)
            case RunFinished() if len(self._counts) == 1:  # its figures are exact
                for known in self._counts.values():
                    known[0] = event.finished + event.failures

    def _add(self, stage: str, *counts: int) -> None:
        with self._lock:
            known = self._counts.setdefault(stage, [0, 0, 0, 0])
            known[:] = map(int.__add__, known, counts)

    def standings(self) -> list[Standing]:
        """Where each stage stands, in the order in which they first gave something."""
        with self._lock:
            counts = {stage: list(known) for stage, known in self._counts.items()}
        for stage in list(self._models):
            counts.setdefault(stage, [0, 0, 0, 0])
        return [
            Standing(stage, done, None, None, failures, retries, crashes, self._models.get(stage, ""))
            for stage, (done, failures, retries, crashes) in counts.items()
        ]
