"""`Intake`: from batches to segments; which results count, which attempts failed, what is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from plait.engine.figures import Figures
from plait.engine.hedging import Hedging
from plait.engine.line import Line
from plait.engine.outcome import Outcomes
from plait.engine.outlet import Segment
from plait.engine.pieces import DONE, LATE, Chunk, Piece, Post
from plait.errors import CannotTravel
from plait.events import ItemFinished
from plait.styles.batch import Batch, Raised

__all__ = ["Intake"]


class Intake:
    """Takes results in under the lane's lock; adds what is settled to `segments`.

    Parameters:
        later: called with a delay in seconds and an item that is to be tried again then.
    """

    def __init__(
        self,
        line: Line,
        outcomes: Outcomes,
        figures: Figures,
        later: Callable[[float, Piece], object],
        hedging: Hedging | None = None,
    ) -> None:
        self.hedging = hedging
        self.keep: Callable[[Piece], bool] = lambda piece: False  # has what cannot travel run in this process
        self.line, self.outcomes, self.figures, self._later = line, outcomes, figures, later

    def take(self, post: Post, batch: Batch, segments: list[Segment]) -> None:
        """Results of a seat, and what it hands back."""
        values = batch.values
        plain = batch.seqs is None and not batch.errors and self.hedging is None
        chunk = post.find(batch.first) if plain else None
        at = batch.first - chunk.seq if chunk is not None else 0
        if chunk is not None and at + len(values) <= len(chunk.marks) and LATE not in chunk.marks:
            self._succeeded(post, chunk, at, values, segments)
        else:
            failed = dict(batch.errors)
            seqs = batch.seqs if batch.seqs is not None else range(batch.first, batch.first + len(values))
            for order in sorted(range(len(values)), key=seqs.__getitem__):
                self._take_one(post, seqs[order], values[order], failed.get(order), segments)
        if batch.back is not None:
            self._handed_back(post, *batch.back)

    def _take_one(self, post: Post, seq: int, value: Any, failed: Raised | None, segments: list[Segment]) -> None:
        chunk = post.find(seq)
        if chunk is None:
            return
        at = seq - chunk.seq
        if chunk.marks[at] == DONE:
            return
        if chunk.marks[at] == LATE:  # given up before: its result is refused, what waited for its end may begin
            chunk.marks[at] = DONE
            self.figures.refused_late += 1
            if at in chunk.held:
                self.later(*chunk.held.pop(at))
            post.done(chunk, 1)
        elif failed is None and self._overtaken(chunk, at):
            chunk.marks[at] = DONE
            post.done(chunk, 1)
        elif failed is None:
            self._succeeded(post, chunk, at, [value], segments)
        else:
            chunk.marks[at] = DONE
            if not (_cannot_travel(failed) and post.seat.can_kill and self.keep(chunk.piece.part(at, at + 1))):
                self.fail(chunk, at, failed, segments)
            post.done(chunk, 1)

    def _overtaken(self, chunk: Chunk, at: int) -> bool:
        """Whether the result of one of two issues comes too late."""
        if self.hedging is None:
            return False
        if self.hedging.ignored(chunk.piece.start + at, succeeded=True):
            return True
        self.hedging.observed(chunk.piece.start + at, chunk.sent, time.monotonic())
        return False

    def spared(self, index: int) -> bool:
        """Whether the failure of an attempt for the item `index` does not count: another issue has answered, or may."""
        return self.hedging is not None and self.hedging.ignored(index, succeeded=False)

    def _succeeded(self, post: Post, chunk: Chunk, at: int, values: list[Any], segments: list[Segment]) -> None:
        count = len(values)
        chunk.marks[at : at + count] = bytes([DONE]) * count
        start = chunk.piece.start + at
        if segments and segments[-1][0] + segments[-1][1] == start and len(segments[-1][2]) == segments[-1][1]:
            first, before, together = segments[-1]
            together.extend(values)
            segments[-1] = (first, before + count, together)
        else:
            segments.append((start, count, values))
        self.figures.finished += count
        self.tell(chunk.piece, at, count)
        post.done(chunk, count)

    def tell(self, piece: Piece, at: int, count: int) -> None:
        """Let observers know of each item that has its result, if any of them asks."""
        hub, events = self.outcomes.hub, self.outcomes.events
        if hub.wanted and hub.wants(ItemFinished):
            stage, first = self.outcomes.rules.name, piece.start + at
            events += [ItemFinished(stage=stage, index=first + i, attempt=piece.attempt) for i in range(count)]

    def _handed_back(self, post: Post, first: int, count: int) -> None:
        chunk = post.find(first)
        if chunk is None:
            return
        at = first - chunk.seq
        self.line.put_back(chunk.piece.part(at, at + count))
        chunk.marks[at : at + count] = bytes([DONE]) * count
        post.done(chunk, count)

    def fail(self, chunk: Chunk, at: int, failed: Raised, segments: list[Segment], *, final: bool = False) -> None:
        """An attempt failed: try again, or settle the item as a failure."""
        if self.spared(chunk.piece.start + at):
            return
        item = chunk.piece.part(at, at + 1)
        delay = None if final else self.outcomes.again(item, failed, time.monotonic())
        if delay is None:
            self.settle(item, failed, segments, called=not final)
        elif chunk.marks[at] == LATE:
            chunk.held[at] = (delay, item)
        else:
            self.later(delay, item)

    def settle(self, item: Piece, failed: Raised, segments: list[Segment], *, called: bool = True) -> None:
        """The item is a failure; not `called`: its last attempt never reached the function."""
        segment = self.outcomes.failure(item, failed, called=called)
        if segment is not None:
            segments.append(segment)

    def later(self, delay: float, item: Piece) -> None:
        """Try `item` again in `delay` seconds."""
        if delay <= 0:
            self.line.put_back(item)
        else:
            self._later(delay, item)


def _cannot_travel(failed: Raised) -> bool:
    """Whether it is the result that did not come back, and not the function that raised."""
    return isinstance(failed.error, CannotTravel) and failed.error.what.startswith("The result") and not failed.seconds
