"""What a lane does with an attempt that nobody wants any more: it ends it, as far as that can be done."""

from __future__ import annotations

from plait.engine.mishaps import GuardedLane
from plait.engine.outlet import Segment
from plait.engine.pieces import LATE, OPEN, Chunk, Post
from plait.styles.batch import Raised

__all__ = ["RevocableLane"]


class RevocableLane(GuardedLane):
    """A lane whose items can be given up one by one."""

    def give_up(self, index: int, error: BaseException) -> bool:
        """End the attempt of one item: it is a failure, `error`, now; false: no seat has it (yet, or any more).

        A coroutine is cancelled, a worker that runs it (and nothing besides) is killed; what can be ended by neither
        runs on, and its result is refused.
        """
        segments: list[Segment] = []
        given_up = Raised(error, f"{type(error).__name__}: {error}\n", 0.0)
        with self.lock:
            found = None if self.over else self._in_hand(index)
            if found is None:
                return False
            post, chunk, at = found
            seat, seq = post.seat, chunk.seq + at
            begun = seq + 1 in seat.words()
            kills = begun and seat.can_kill and (seat.style == "serial" or (post.in_hand <= 1 and seat.style != "loop"))
            if kills:
                post.timed_out[seq] = given_up
                post.killed = True
                post.condemned = post.condemned or "cancelled"
            else:
                chunk.marks[at] = LATE
                self.intake.fail(chunk, at, given_up, segments, final=True)
        if kills:
            seat.kill("cancelled")
        else:
            seat.drop(seq)
        self._settled(segments)
        return True

    def begun(self, index: int) -> bool:
        """Whether a seat has begun with the item `index`, and has not told yet what came of it."""
        with self.lock:
            found = None if self.over else self._in_hand(index)
            return found is not None and found[1].seq + found[2] + 1 in found[0].seat.words()

    def _in_hand(self, index: int) -> tuple[Post, Chunk, int] | None:
        """The seat that has the item `index`, its chunk, and the place in that."""
        for post in self.posts.values():
            for chunk in post.chunks.values():
                at = index - chunk.piece.start
                if 0 <= at < len(chunk.marks) and chunk.marks[at] == OPEN and chunk.seq + at not in post.timed_out:
                    return post, chunk, at
        return None
