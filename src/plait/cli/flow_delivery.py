"""Where results and failures of a flow go: failures are gathered from its stages."""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import plait
from plait.cli.delivery import Delivery, FirstFailure
from plait.cli.outputs import Nowhere
from plait.errors import PlaitError
from plait.events import ItemFailed
from plait.failure import Failure
from plait.surface import write

__all__ = ["FlowBroken", "FlowDelivery"]

#: A run keeps a thousand failures of each stage: they are gathered before there can be many more.
GATHERED = 200


class FlowBroken(PlaitError):
    """What is around the stages of a flow - its source, or a sink - raised an exception."""

    def __init__(self, error: BaseException, frames: list[traceback.FrameSummary]) -> None:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        said = "".join(traceback.format_exception_only(type(error), error)).partition("\n")[0]
        trace = "\nTraceback (most recent call last):\n" + "".join(traceback.format_list(frames)).rstrip()
        super().__init__(f"{said}{notes}{trace if frames else ''}")


class FlowDelivery(Delivery):
    """A `Delivery` whose failures are those of every stage, be they skipped, raised or among the results.

    Parameters:
        rows: a row stands in the output for a failure that is among the results.
    """

    def __init__(self, out: write.Writer | Nowhere, beside: str | None, *, rows: bool) -> None:
        super().__init__(out, beside, on_error="return" if rows else "skip", ordered=False)
        self._lock = threading.Lock()
        self._heard = self._gathered = 0
        self._known: dict[int, Failure] = {}  # the objects, too: else an id might come back

    def take(self, result: Any) -> None:
        """Deliver a result; a failure among them is gathered from its stage."""
        if isinstance(result, Failure):
            self.taken += 1
            self.stand_in(result)
        else:
            super().take(result)

    @contextlib.contextmanager
    def gathering(self, run: Any) -> Iterator[None]:
        """List the failures of `run` as they come. Enter it before the run starts, leave it when it has ended.

        Raises:
            FirstFailure: in the place of the exception with which an item ended the run.
            FlowBroken: in the place of one that came from the user's code, but from no stage.
        """

        def heard(_: object) -> None:
            self._heard += 1  # the last one waits for the next, or for the end: it may be the one that ends the run
            if self._heard - self._gathered > 1 + min(GATHERED, self._gathered // 4):
                self._gather(run)

        try:
            with run.observe(heard, [ItemFailed]):
                yield
        except (Exception, SystemExit) as error:
            self._gather(run, error)
            for failure in self._known.values():
                if failure.exception is error:
                    raise FirstFailure(failure) from error
            own = _beyond_plait(error)
            # A TypeError of Plait itself says what cannot be taken apart, or iterated.
            if not isinstance(error, PlaitError) and (own or isinstance(error, TypeError)):
                raise FlowBroken(error, own) from error
            raise
        self._gather(run)
        self.missed = max(0, run.report.failures - self._gathered)

    def _gather(self, run: Any, ended_by: BaseException | None = None) -> None:
        """List what is new, but for the one that ended the run where that is only told: it will be, in full."""
        with self._lock:
            kept = _kept(run)
            for failure in kept:
                if id(failure) not in self._known:
                    self._gathered += 1
                    if self.beside is not None or failure.exception is not ended_by:
                        self.failed(failure)
            self._known = {id(failure): failure for failure in kept}


def _beyond_plait(error: BaseException) -> list[traceback.FrameSummary]:
    """Where it was raised, from the last line of Plait's on."""
    frames, ours = traceback.extract_tb(error.__traceback__), os.path.dirname(plait.__file__)
    last = max((at for at, frame in enumerate(frames) if frame.filename.startswith(ours)), default=-1)
    return frames[last + 1 :]


def _kept(run: Any) -> list[Failure]:
    while True:
        try:
            return list(run.failures)
        except RuntimeError:  # one was added while they were copied
            continue
