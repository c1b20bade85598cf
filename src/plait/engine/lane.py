"""`Lane`: a stage at run time. Gives items to seats, takes their results, and sees to what failed, crashed or hung.

Every decision is taken under the lane's lock and acted upon after it is released: seats are sent to, the outlet and
observers are told outside of it. Results may come from any thread, in any order.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Protocol

from plait import machine
from plait.engine.entrance import Entrance
from plait.engine.figures import Figures
from plait.engine.guarded import guarded
from plait.engine.hedging import Hedging
from plait.engine.intake import Intake
from plait.engine.outcome import Outcomes
from plait.engine.outlet import Outlet, Segment
from plait.engine.pieces import DONE, Chunk, Post
from plait.engine.rules import Rules
from plait.engine.sender import HEAVY, Sender
from plait.engine.trial import GLANCE, Trial, Used, Verdict
from plait.engine.waiting import Waiting
from plait.errors import CannotTravel
from plait.events import ChunkFinished, Hub
from plait.fit.sizes import size_of
from plait.places.crew import MOVED, Crew, Refused, Seat
from plait.policy.gate import Gate
from plait.styles.batch import Batch, raised
from plait.sync.ticker import ticker

__all__ = ["Lane"]

#: Seconds after which a chunk's items not yet begun are handed back: items that turned slow must not queue behind
#: each other while other seats have nothing to do.
BUDGET = 0.05
#: Of so many batches in this process, the first item of one is weighed.
LOOKED_AT = 16


class Conducting(Protocol):
    """What adapts the lane."""

    def heard(self, crew: Any, items: int, failed: int, seconds: float, cpu: float, busy: bool) -> bool:
        """Results came; returns whether seats should have another width from now on."""

    def resize(self) -> None:
        """Give the seats their width."""

    def look(self, *, late: bool = False) -> None:
        """See how it goes; `late`: only if nobody has for long."""


class Lane(Entrance):
    """Items in, results out, over the seats of a crew.

    Parameters:
        on_seats_wanted: called with a number when seats were lost and others should be opened.
    """

    def __init__(
        self, rules: Rules, outlet: Outlet, figures: Figures, hub: Hub, on_seats_wanted: Callable[[int], None]
    ) -> None:
        super().__init__(rules, outlet, figures, hub)
        self._left: list[Crew] = []
        self.outcomes = Outcomes(rules, figures, hub, random.random)
        self.waiting = Waiting(self._due)
        self.hedging = Hedging(rules.hedge) if rules.hedge is not None else None
        self.line.single = rules.hedge is not None
        self.intake = Intake(self.line, self.outcomes, figures, self.waiting.put, self.hedging)
        self.sender = Sender(self._send_heavy)
        self.posts: dict[Seat, Post] = {}
        self.trial: Trial | None = None
        self.conductor: Conducting | None = None
        self.on_seated: Callable[[Seat], None] = lambda seat: None
        self.on_verdict: Callable[[Verdict], None] = lambda verdict: None
        self._wanted = on_seats_wanted
        self.spare: Crew | None = None  # runs what cannot travel
        self.on_kept: Callable[[], None] | None = None  # opens that crew
        self._arrivals = 0

    # --- to the seats -----------------------------------------------------------------------------------------------

    @property
    def retrying(self) -> bool:
        """Whether items wait to be tried again, which takes a crew."""
        return bool(self.line) or bool(self.waiting)

    def dispatch(self) -> None:
        """Give every seat with room what waits."""
        while not self.over:
            with self.lock:
                # Set before looking: an item offered meanwhile either is seen here or sees this.
                self._hungry = True
                orders = self._orders()
                self._hungry = any(self.line.room(post, self.posts.values()) for post in self.posts.values())
                self._look()
                more = self._hungry and self.line.ready and not orders
            if (self.sizer.bytes_per_item or 0) > HEAVY and orders and orders[0][0].seat.can_kill:
                for order in orders:
                    self.sender.put(*order)
            else:
                for post, chunk in orders:
                    more = self._send(post, chunk) or more
            if not more:
                break
        if self.line.here and self.on_kept is not None and not self.over:
            self.on_kept()
        if self.line.gate is not None and self._hungry and not self.over:
            self._come_back(self.line.gate)

    def _come_back(self, gate: Gate) -> None:
        """Look again when the next item may begin."""
        with self.lock:
            when, (known, off) = gate.next_time(time.monotonic()), self._knocking
            if when is None or time.monotonic() < known <= when:
                return
            off()
            self._knocking = (when, ticker().at(when, self.dispatch))

    def _look(self) -> None:
        self._quiet = not any(post.in_hand for post in self.posts.values())
        self._enough = self.line.enough

    def _orders(self) -> list[tuple[Post, Chunk]]:
        orders = []
        line, posts = self.line, self.posts.values()
        for post in sorted(posts, key=_load):
            while (room := line.room(post, posts)) > 0 and (piece := line.next(post, room, posts)) is not None:
                if self.hedging is not None and self.hedging.came_to_nothing(piece.start):
                    if line.gate is not None:
                        line.gate.give_back(piece)
                    continue
                chunk = Chunk.of(line.number(len(piece.items)), piece)
                post.chunks[chunk.seq] = chunk
                post.in_hand += len(piece.items)
                orders.append((post, chunk))
        return orders

    def _send_heavy(self, post: Post, chunk: Chunk) -> None:
        if self._send(post, chunk):
            self.dispatch()

    def _send(self, post: Post, chunk: Chunk) -> bool:
        """Send a chunk; true when it was refused, so that the seat has room again."""
        if self.over:
            return False
        piece = chunk.piece
        many = len(self.posts) > 1 or post.seat.style == "threads"
        budget = BUDGET if many else float("inf")
        if post.seat.style == "loop":  # seconds that are left of the item's deadline, where an attempt came before
            left = piece.since is not None and self.rules.deadline is not None
            budget = piece.since + self.rules.deadline - time.monotonic() if left else float("inf")  # type: ignore[operator]
        try:
            weight = post.seat.send(chunk.seq, piece.items, self.sizer.size, budget, by_value=piece.by_value)
        except Refused as refused:
            self._refused(post, chunk, refused.errors)
            return True
        except BaseException as error:
            self.broken(error, "")
            return False
        if weight:
            with self.lock:
                self.figures.bytes_out += weight
                self.sizer.weighed(len(chunk.marks), weight)
        return False

    def _refused(self, post: Post, chunk: Chunk, errors: dict[int, CannotTravel]) -> None:
        """Some items cannot travel: they are run here or fail, the others are sent again."""
        with self.lock:
            segments: list[Segment] = []
            for at, error in errors.items():
                chunk.marks[at] = DONE
                if not self.intake.keep(chunk.piece.part(at, at + 1)):
                    self.intake.fail(chunk, at, raised(error, 0.0, below=0), segments, final=True)
            for first, last in chunk.runs():
                self.line.put_back(chunk.piece.part(first, last), first=True)
            post.done(chunk, chunk.left)
        self._settled(segments, dispatch=False)

    # --- from the seats ---------------------------------------------------------------------------------------------

    @guarded
    def seated(self, seat: Seat) -> None:
        """A seat is ready."""
        with self.lock:
            if self.over:
                return
            if self.trial is not None:
                self.trial.met(seat.pid, machine.all_queued_seconds(seat.pid))
            late = seat.crew in self._left  # the lane moved on while it was opened
            self.posts[seat] = Post(seat, condemned=MOVED if late else "", finished=self._finished)
            self.posts[seat].spare = self.spare is not None and seat.crew is self.spare
            self.figures.seats = max(self.figures.seats, len(self.posts))
        if late:
            self._settled([])
        else:
            self.on_seated(seat)
            self.dispatch()

    def _finished(self, chunk: Chunk) -> None:
        if self.line.gate is not None:
            self.line.gate.done(chunk.piece)

    def hold(self, crew: Crew, *, held: bool) -> None:
        """Give nothing more to the seats of `crew` for the time being, or go on.

        Without the lock, for which all their threads may queue: at worst one of them gets one chunk more.
        """
        for post in list(self.posts.values()):
            post.held = held and post.seat.crew is crew
        if not held:
            self.dispatch()

    def leave(self, crew: Crew) -> None:
        """Give nothing more to the seats of `crew`; each is retired once it has nothing in hand."""
        with self.lock:
            self._left.append(crew)
            for post in self.posts.values():
                if post.seat.crew is crew:
                    post.condemned = post.condemned or MOVED
        self._settled([])

    @guarded
    def arrived(self, seat: Seat, batch: Batch, weight: int, cpu: float) -> None:
        """Results came."""
        segments: list[Segment] = []
        count, failures = len(batch.values), [failed for _, failed in batch.errors]
        self.outcomes.ask(failures)
        queued = machine.all_queued_seconds(seat.pid) if self.trial is not None else 0.0
        with self.lock:
            post = self.posts.get(seat)
            if post is None or self.over:
                return
            figures = self.figures
            figures.busy += batch.seconds
            figures.cpu += cpu
            figures.bytes_in += weight
            self._measured(count, batch.seconds, weight or self._lying(post, batch))
            self.intake.take(post, batch, segments)
            verdict = None
            if self.trial is not None:
                verdict = self.trial.add(count, batch.seconds, cpu, seat.pid, queued)
            self._judged(verdict)
            resized = False
            if self.conductor is not None and self.trial is None:
                gate = self.line.gate
                busy = (bool(self.line) or (gate is not None and not self._hungry)) and not post.condemned
                failed = len(batch.errors)
                resized = self.conductor.heard(seat.crew, count, failed, batch.seconds, cpu, busy)
            if seat.can_kill and not post.condemned:
                post.condemned = seat.worn()
        self.outcomes.forget(failures)
        if verdict is not None:
            self.on_verdict(verdict)
        if self.hedging is not None:
            self._drop_losers(self.hedging)
        if self.conductor is not None:
            if resized:
                self.conductor.resize()
            self.conductor.look(late=True)
        if self.hub.wanted:
            failed, stage = len(batch.errors), self.rules.name
            self.hub.emit(ChunkFinished(stage=stage, items=count, failed=failed, seconds=batch.seconds))
        self._settled(segments)

    def _judged(self, verdict: Verdict | None) -> None:
        if verdict is not None:
            self.trial = None
            self.line.limit = None if verdict.waits else 1

    @guarded
    def glance(self) -> None:
        """While the trial is on: look whether items that have not ended yet wait. To be called every `GLANCE` s."""
        with self.lock:
            workers = {post.seat.pid for post in self.posts.values() if post.in_hand} if self.trial is not None else ()
        # What an item has started may compute where it waits itself: more of those are nothing to try.
        used = {pid: found for pid in workers if not machine.has_children(pid) and (found := _used(pid)) is not None}
        with self.lock:
            trial = self.trial
            verdict = trial.glance(time.monotonic(), used) if trial is not None and not self.over else None
            self._judged(verdict)
            if verdict is not None:
                self.sizer.measured(1, GLANCE)  # at least: none is to wait behind another
        if verdict is not None:
            self.on_verdict(verdict)
            self.dispatch()

    def _lying(self, post: Post, batch: Batch) -> int:
        """Bytes that items and results of this process hold while they lie in buffers; 0: not looked at this time."""
        self._arrivals += 1
        if self._arrivals % LOOKED_AT != 1 or post.seat.can_kill or not batch.values:
            return 0
        chunk = post.find(batch.seqs[0] if batch.seqs else batch.first)
        item = size_of(chunk.piece.items[0]) if chunk is not None else 0
        return (item + size_of(batch.values[0])) * len(batch.values)

    def _measured(self, count: int, seconds: float, weight: int) -> None:
        """`count` items took `seconds` and weigh `weight` bytes: chunks and buffer are sized by that."""
        self.sizer.measured(count, seconds)
        if weight:
            self.sizer.weighed(count, weight)
        if self.rules.buffer is None:
            slots = sum(other.seat.width for other in self.posts.values())
            wanted, now = max(self.rules.least_buffer, self.sizer.buffer(slots)), self.outlet.buffer
            if wanted <= now or self.outlet.backlog < now // 2:  # else it is the consumer who is slow
                self.outlet.resize(wanted)
            self.sizer.most = max(1, self.outlet.buffer // 8)

    def _due(self) -> None:
        with self.lock:
            for item in self.waiting.take():
                self.line.put_back(item)
        self.dispatch()

    def hedge(self) -> None:
        """Issue stragglers a second time. To be called every few milliseconds."""
        assert self.hedging is not None
        with self.lock:
            pieces = [] if self.over else self.hedging.look(self.posts.values(), time.monotonic())
            for piece in pieces:
                self.line.put_back(piece, first=True)
            self.figures.hedged += len(pieces)
        if pieces:
            self.dispatch()

    def _drop_losers(self, hedging: Hedging) -> None:
        """End attempts that nobody waits for any more."""
        with self.lock:
            lost, hedging.lost = hedging.lost, []
            losers = [
                (post.seat, chunk.seq)
                for index in lost
                for post in self.posts.values()
                for chunk in post.chunks.values()
                if chunk.piece.start == index
            ]
        for seat, seq in losers:
            seat.drop(seq)

    def _settled(self, segments: list[Segment], *, dispatch: bool = True) -> None:
        if segments:
            if self.admission is not None and not self._recorded(segments):
                return
            self.outlet.put(segments)
        with self.lock:
            # Counted only now that the outlet has them: another thread must not end the run before.
            self._resolved += sum(count for _, count, _ in segments)
            over = self._check_over()
            events, self.outcomes.events = self.outcomes.events, []
            self._hungry = True  # before looking, as in `dispatch`
            self._look()
            more = bool(self.line) or self.line.gate is not None
            spent = [post for post in self.posts.values() if post.spent]
            for post in spent:
                del self.posts[post.seat]
            self.figures.recycled += sum(post.condemned != MOVED for post in spent)
        for event in events:
            self.hub.emit(event)
        if self.line.here and not self.over and self.on_kept is not None:
            self.on_kept()
        if over:
            self.outlet.finish(over[0])
        elif more and dispatch:
            self.dispatch()
        for post in spent:
            if not self.over:
                post.seat.crew.retire(post.seat, post.condemned)
                if post.seat.crew not in self._left:
                    self._wanted(1)

    def _recorded(self, segments: list[Segment]) -> bool:
        """Have the journal remember results; false if it cannot, which ends the run."""
        assert self.admission is not None
        try:
            self.admission.record(segments)
        except BaseException as error:
            self.broken(error, "")
            return False
        return True

    def _check_over(self) -> tuple[BaseException | None] | None:
        if self.over:
            return None
        done = self.read_all and self._resolved >= self.figures.read
        error = self.outcomes.fatal(ended=done) or (self._source_error if done else None)
        if error is None and not done:
            return None
        self._end()
        return (error,)

    def _end(self) -> None:
        self.over = True
        self.figures.end()
        self.waiting.clear()
        self.line.clear()
        self._knocking[1]()

    def broken(self, error: BaseException, traceback: str) -> None:
        """The work cannot run here at all: the run fails with `error`."""
        with self.lock:
            if self.over:
                return
            self._end()
        if traceback and error.__traceback__ is None:
            error.add_note(f"In a worker of stage {self.rules.name!r}:\n{traceback}")
        self.outlet.finish(error)

    def stop(self, error: BaseException) -> None:
        """Give nothing more to the seats; the consumer gets `error`."""
        with self.lock:
            self._end()
        self.outlet.finish(error)


def _used(pid: int) -> Used | None:
    cpu = machine.cpu_seconds(pid)
    return Used(cpu, machine.all_queued_seconds(pid)) if cpu is not None else None


def _load(post: Post) -> float:
    return post.in_hand / post.seat.width
