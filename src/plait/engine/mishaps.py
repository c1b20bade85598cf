"""What a lane does when a worker is lost, cannot read, is not understood, or an attempt hangs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from plait.engine.guarded import guarded
from plait.engine.lane import Lane
from plait.engine.outlet import Segment
from plait.engine.pieces import DONE, LATE, OPEN, Chunk, Piece, Post
from plait.errors import CannotTravel, ItemTimeout, StartFailed, WorkerLost
from plait.events import WorkerCrashed, WorkerEnded
from plait.places.crew import Seat
from plait.policy.overdue import Overdue
from plait.styles.batch import Raised, raised

__all__ = ["GuardedLane"]

#: Workers that may die with one item in hand before that item is a failure.
CRASHES = 3
#: Workers that may die one after the other before any has begun an item, unless they were killed from outside.
STILLBORN = 4
#: Ends of a worker that somebody else brought about: no import of a module ever does.
FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")


class GuardedLane(Lane):
    """A lane that survives its workers. The listener of a crew."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._overdue: Overdue | None = None
        self._since: dict[tuple[int, int], float] = {}  # blocked coroutines: (seat, sequence number) -> first seen
        self._stillborn = 0  # workers that died one after the other before they began anything
        self._alive_at = -1  # items that had finished when the last of them died
        self.intake.keep = self._keep

    # --- lost workers -----------------------------------------------------------------------------------------------

    @guarded
    def lost(self, seat: Seat, words: list[int], status: str, stack: str, opened: bool) -> None:
        """A worker is dead: rerun what it had, what it had begun alone and suspect."""
        segments: list[Segment] = []
        suspects: list[int] = []
        with self.lock:
            post = self.posts.pop(seat, None)
            if self.over:
                return
            begun = {word - 1 for word in words if word}
            killed = post is not None and post.killed
            if post is not None:
                for chunk in sorted(post.chunks.values(), key=lambda c: c.seq, reverse=True):
                    self._finished(chunk)
                    suspects += self._recover(post, chunk, begun, status, stack, segments)
                self.figures.crashes += not killed
            fatal = None if opened else self._dead_on_arrival(seat.pid, status, stack)
            if self._overdue is not None:
                self._overdue.forget(id(seat))
                for key in [key for key in self._since if key[0] == id(seat)]:
                    del self._since[key]
            others = any(not (other.condemned or other.spare) for other in self.posts.values())
            wanted = seat.crew not in self._left and (status != "not started" or not others)
        if self.hub.wanted and not killed:
            self.hub.emit(WorkerCrashed(stage=self.rules.name, pid=seat.pid, status=status, suspects=tuple(suspects)))
        elif self.hub.wanted and post is not None:
            self.hub.emit(WorkerEnded(pid=seat.pid, reason=post.condemned or "killed"))
        if fatal is not None:
            self.broken(fatal, "")
            return
        self._settled(segments)
        if not self.over and wanted:
            self._wanted(1)

    def _recover(
        self, post: Post, chunk: Chunk, begun: set[int], status: str, stack: str, segments: list[Segment]
    ) -> list[int]:
        """Put what is open of `chunk` back in line; returns the indexes of the suspects."""
        suspects = []
        next_ = chunk is min(post.chunks.values(), key=lambda c: c.seq)
        unread = next_ and not post.killed and not begun and chunk.left == len(chunk.marks)
        for at in range(len(chunk.marks) - 1, -1, -1):
            seq = chunk.seq + at
            if chunk.marks[at] == LATE and at in chunk.held:
                self.intake.later(*chunk.held.pop(at))
            elif chunk.marks[at] == OPEN and seq in post.timed_out:
                chunk.marks[at] = DONE
                self.intake.fail(chunk, at, post.timed_out[seq], segments)
            elif chunk.marks[at] == OPEN and not post.killed and (seq in begun or (unread and chunk.piece.alone)):
                chunk.marks[at] = DONE
                if self.intake.spared(chunk.piece.start + at):
                    continue
                suspects.append(chunk.piece.start + at)
                self._crashed(chunk, at, post.seat.pid, status, stack, segments)
        for first, last in reversed(list(chunk.runs())):
            if self.intake.spared(chunk.piece.start + first):
                continue
            rest = chunk.piece.part(first, last)
            for piece in reversed(self._narrowed(rest) if unread else [rest]):
                self.line.put_back(piece, first=True)
        return suspects

    def _narrowed(self, piece: Piece) -> list[Piece]:
        """A chunk that a worker may have died of reading: halves, until the item that does it is alone."""
        piece.deaths += 1
        count = len(piece.items)
        if piece.deaths < 2:
            return [piece]
        if count == 1:
            piece.crashes = 1
            return [piece]
        return [piece.part(0, count // 2), piece.part(count // 2, count)]

    def _crashed(self, chunk: Chunk, at: int, pid: int, status: str, stack: str, segments: list[Segment]) -> None:
        item = chunk.piece.part(at, at + 1)
        item.crashes += 1
        # What may have killed a worker must not run where it would kill the caller.
        able = [post.seat.can_kill for post in self.posts.values() if not (post.condemned or post.spare)]
        elsewhere = any(able) or not able
        if self.rules.on_crash == "rerun" and item.crashes < CRASHES and elsewhere:
            self.line.put_back(item, first=True)
            return
        hint = ""
        if "SIGKILL" in status:
            hint = "If the system ran out of memory, bound the workers with memory='2GiB' or use fewer."
        self.intake.settle(item, raised(WorkerLost(pid, status, item.crashes, stack, hint), 0.0, below=0), segments)

    def _dead_on_arrival(self, pid: int, status: str, stack: str) -> BaseException | None:
        """A worker died before it could begin: too many of these in a row end the run instead of trying for ever."""
        self._stillborn = self._stillborn + 1 if self.figures.finished == self._alive_at else 1
        self._alive_at = self.figures.finished
        if status.endswith(FROM_OUTSIDE) or "starter" in status or status == "not started":
            return StartFailed("workers are killed as soon as they start") if self._stillborn > 200 else None
        if self._stillborn < STILLBORN:
            return None
        hint = "It dies while the function is loaded: importing its module may crash. Try model='threads' to see why."
        return WorkerLost(pid, status, 0, stack, hint)

    # --- what cannot travel -----------------------------------------------------------------------------------------

    def _keep(self, piece: Piece) -> bool:
        """Have an item that cannot travel, or whose result cannot, run in this process; false: it must not."""
        if piece.here or self.on_kept is None or not self.rules.may_stay:
            return False
        piece.here, piece.single = True, False
        self.figures.stayed += 1
        self.line.put_back(piece)
        return True

    # --- unreadable chunks and results ------------------------------------------------------------------------------

    @guarded
    def unreadable(self, seat: Seat, seq: int, why: str) -> None:
        """The worker cannot unpickle a chunk: send it again by value, then one by one, then give up."""
        segments: list[Segment] = []
        with self.lock:
            post = self.posts.get(seat)
            chunk = post.find(seq) if post is not None else None
            if post is None or chunk is None or self.over:
                return
            piece, count = chunk.piece, len(chunk.marks)
            post.done(chunk, chunk.left)
            if not piece.by_value:
                piece.by_value = True
                self.line.put_back(piece, first=True)
            elif count > 1:
                for at in reversed(range(count)):
                    item = piece.part(at, at + 1)
                    item.single = True
                    self.line.put_back(item, first=True)
            elif not (self.intake.spared(piece.start) or self._keep(piece)):
                what = f"The item (of type {type(piece.items[0]).__name__!r})"
                remedy = "Define its class in a module that workers can import, or choose model='threads'."
                error = CannotTravel(what, f"the worker could not read it: {why}", remedy)
                self.intake.settle(piece, raised(error, 0.0, below=0), segments, called=False)
        self._settled(segments)

    @guarded
    def scrambled(self, seat: Seat, seqs: Sequence[int], why: str) -> None:
        """Results came that cannot be unpickled here: run their items one by one to find which."""
        segments: list[Segment] = []
        remedy = "Return plain data, or define its class in a module that this process can import."
        with self.lock:
            post = self.posts.get(seat)
            if post is None or self.over:
                return
            for seq in seqs:
                chunk = post.find(seq)
                at = seq - chunk.seq if chunk is not None else 0
                if chunk is None or chunk.marks[at] != OPEN:
                    continue
                chunk.marks[at] = DONE
                item = chunk.piece.part(at, at + 1)
                if self.intake.spared(item.start) or (len(seqs) == 1 and self._keep(item)):
                    pass
                elif len(seqs) == 1:
                    error = CannotTravel("The result", f"it cannot be read here: {why}", remedy)
                    self.intake.settle(item, raised(error, 0.0, below=0), segments)
                else:
                    item.single = True
                    self.line.put_back(item)
                post.done(chunk, 1)
        self._settled(segments)

    # --- attempts that take too long --------------------------------------------------------------------------------

    @guarded
    def watch(self, patience: float) -> None:
        """Sample every seat for attempts older than `patience` seconds. To be called every `tick_for(patience)`."""
        if self._overdue is None:
            self._overdue = Overdue(patience)
        now = time.monotonic()
        segments: list[Segment] = []
        kills: list[Seat] = []
        with self.lock:
            if self.over:
                return
            for post in list(self.posts.values()):
                words = post.seat.words()
                self._forget_ended(id(post.seat), words)
                late = self._overdue.sample(id(post.seat), words, now)
                late += [word for word in words if word and word not in late and self._past_deadline(post, word, now)]
                kills += [post.seat for word in late if self._late(post, word - 1, patience, now, segments)]
                if post.condemned == "timeout" and not post.killed and self._only_late(post, words):
                    post.killed = True
                    kills.append(post.seat)
        for seat in kills:
            seat.kill("timeout")
        self._settled(segments)

    def _late(self, post: Post, seq: int, patience: float, now: float, segments: list[Segment]) -> bool:
        """An attempt is overdue; true when its seat is to be killed for it."""
        chunk = post.find(seq)
        at = seq - chunk.seq if chunk is not None else 0
        if chunk is None or chunk.marks[at] != OPEN or seq in post.timed_out:
            return False
        if self.hedging is not None and self.hedging.answered(chunk.piece.start):
            return False  # nobody waits for it any more
        # A worker cancels its coroutines itself; one that blocks the loop it cannot, and we end it later.
        if post.seat.style == "loop" and not self._long_overdue(post, seq, now, patience):
            return False
        self.figures.timeouts += 1
        alone = post.seat.can_kill and (post.in_hand <= 1 or post.seat.style != "threads")
        fate = (
            "its worker was killed"
            if post.seat.can_kill
            else "its thread cannot be stopped; its late result is refused"
        )
        error = ItemTimeout(patience, self.rules.impatience, fate)
        late = Raised(error, f"{type(error).__name__}: {error}\n", patience)
        if alone:
            post.timed_out[seq] = late
            post.killed = True
            post.condemned = post.condemned or "timeout"
            return True
        chunk.marks[at] = LATE
        self.intake.fail(chunk, at, late, segments)
        if post.seat.can_kill:  # threads of a worker: the others may finish before it is killed
            post.condemned = "timeout"
        return False

    def _past_deadline(self, post: Post, word: int, now: float) -> bool:
        """Whether a further attempt has outlived its item's deadline, which began with the first."""
        chunk = post.find(word - 1) if self.rules.deadline is not None else None
        since = chunk.piece.since if chunk is not None else None
        return since is not None and now - since >= (self.rules.deadline or 0.0)

    def _only_late(self, post: Post, words: list[int]) -> bool:
        """Whether every attempt that the worker has begun was given up."""
        for word in words:
            chunk = post.find(word - 1) if word else None
            if chunk is not None and chunk.marks[word - 1 - chunk.seq] == OPEN:
                return False
        return True

    def _forget_ended(self, seat: int, words: list[int]) -> None:
        """Coroutines that blocked their loop, and have ended since."""
        for key in [key for key in self._since if key[0] == seat and key[1] + 1 not in words]:
            del self._since[key]

    def _long_overdue(self, post: Post, seq: int, now: float, patience: float) -> bool:
        since = self._since.setdefault((id(post.seat), seq), now)
        return now - since > max(1.0, patience)
