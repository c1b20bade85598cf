"""`Lane`: a stage at run time. Gives items to seats, takes their results, and sees to what failed, crashed or hung.

Every decision is taken under the lane's lock and acted upon after it is released: seats are sent to, the outlet and
observers are told outside of it. Results may come from any thread, in any order.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from plait.engine.figures import Figures
from plait.engine.guarded import guarded
from plait.engine.intake import Intake
from plait.engine.line import Line
from plait.engine.outcome import Outcomes
from plait.engine.outlet import Outlet, Segment
from plait.engine.pieces import DONE, Chunk, Piece, Post
from plait.engine.rules import Rules
from plait.engine.sender import HEAVY, Sender
from plait.engine.trial import Trial, Verdict
from plait.engine.waiting import Waiting
from plait.errors import CannotTravel
from plait.events import ChunkFinished, Hub
from plait.places.crew import MOVED, Crew, Refused, Seat
from plait.policy.chunks import Sizer
from plait.styles.batch import Batch, Raised, raised
from plait.sync.ticker import ticker

__all__ = ["Lane"]

#: Seconds after which a chunk's items not yet begun are handed back: items that turned slow must not queue behind
#: each other while other seats have nothing to do.
BUDGET = 0.05
#: Seconds that items wait for company while seats are free, once items are known to be tiny.
LINGER = 0.002


class Conducting(Protocol):
    """What adapts the lane."""

    def heard(self, crew: Any, items: int, failed: int, seconds: float, cpu: float, busy: bool) -> bool:
        """Results came; returns whether seats should have another width from now on."""

    def resize(self) -> None:
        """Give the seats their width."""

    def look(self, *, late: bool = False) -> None:
        """See how it goes; `late`: only if nobody has for long."""


class Lane:
    """Items in, results out, over the seats of a crew.

    Parameters:
        on_seats_wanted: called with a number when seats were lost and others should be opened.
    """

    def __init__(
        self, rules: Rules, outlet: Outlet, figures: Figures, hub: Hub, on_seats_wanted: Callable[[int], None]
    ) -> None:
        self.rules, self.outlet, self.figures, self.hub = rules, outlet, figures, hub
        self._left: list[Crew] = []
        # Reentrant: a predicate, a repr or a property of the user's may cancel the run while a failure is looked at.
        self.lock = threading.RLock()
        self.sizer = Sizer(most=max(1, outlet.buffer // 8))
        self.line = Line(self.sizer)
        self.outcomes = Outcomes(rules, figures, hub, random.random)
        self.waiting = Waiting(self._due)
        self.intake = Intake(self.line, self.outcomes, figures, self.waiting.put)
        self.sender = Sender(self._send_heavy)
        self.posts: dict[Seat, Post] = {}
        self.trial: Trial | None = None
        self.conductor: Conducting | None = None
        self.on_seated: Callable[[Seat], None] = lambda seat: None
        self.on_verdict: Callable[[Verdict], None] = lambda verdict: None
        self.over = False
        self.read_all = False
        self._hungry = False  # a seat has room
        self._quiet = False  # no seat has anything in hand: company is not worth waiting for
        self._enough = 1  # items that are worth a dispatch
        self._wanted = on_seats_wanted
        self._resolved = 0
        self._source_error: BaseException | None = None
        self._lingering = False

    # --- the source's side ------------------------------------------------------------------------------------------

    def offer(self, item: Any) -> None:
        """One more item. Belongs to one thread (or coroutine) at a time."""
        self.line.offer(item)
        self.figures.read += 1
        if self._hungry:
            if self._quiet or len(self.line.ready) >= self._enough:
                self.dispatch()
            elif not self._lingering:
                self._lingering = True
                ticker().at(time.monotonic() + LINGER, self._lingered)

    def _lingered(self) -> None:
        self._lingering = False
        self.dispatch()

    def end(self, error: BaseException | None = None) -> None:
        """No more items will be offered; the source raised `error`, which is raised once the others are delivered."""
        with self.lock:
            self.read_all = True
            self._source_error = error
        self._settled([])

    def probed(self, outcomes: Sequence[tuple[Any, Any, Raised | None]]) -> None:
        """The next items were run by the probe already: take their results, or how they failed. Before any `offer`."""
        segments: list[Segment] = []
        with self.lock:
            for item, value, failed in outcomes:
                piece = Piece(self.figures.read, [item])
                self.figures.read += 1
                self.line.first = self.figures.read
                if failed is None:
                    self.figures.finished += 1
                    segments.append((piece.start, 1, [value]))
                    self.intake.tell(piece, 0, 1)
                else:
                    self.intake.fail(Chunk.of(0, piece), 0, failed, segments)
        if self.hub.wanted:
            count, lost = len(outcomes), sum(failed is not None for _, _, failed in outcomes)
            self.hub.emit(ChunkFinished(stage=self.rules.name, items=count, failed=lost, seconds=0.0))
        self._settled(segments)

    def reserve(self) -> int:
        """The next item is still run by the probe: its index. Before any `offer`."""
        with self.lock:
            self.figures.read += 1
            self.line.first = self.figures.read
            return self.figures.read - 1

    def probed_late(self, index: int, item: Any, value: Any, failed: Raised | None) -> None:
        """A reserved item has its outcome."""
        segments: list[Segment] = []
        with self.lock:
            if self.over:
                return
            piece = Piece(index, [item])
            if failed is None:
                self.figures.finished += 1
                segments.append((index, 1, [value]))
                self.intake.tell(piece, 0, 1)
            else:
                self.intake.fail(Chunk.of(0, piece), 0, failed, segments)
        if self.hub.wanted:
            self.hub.emit(ChunkFinished(stage=self.rules.name, items=1, failed=int(failed is not None), seconds=0.0))
        self._settled(segments)

    def resume(self) -> None:
        """Go on after others have run the items up to `figures.read`. Before any further `offer`."""
        with self.lock:
            self._resolved = self.line.first = self.figures.read
        self.outlet.resume(self.figures.read)

    @property
    def failed_source(self) -> bool:
        """Whether the source raised."""
        return self._source_error is not None

    @property
    def settled(self) -> bool:
        """Whether every item that was read has its outcome."""
        with self.lock:
            return self._resolved >= self.figures.read

    # --- to the seats -----------------------------------------------------------------------------------------------

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
            if (self.sizer.bytes_per_item or 0) > HEAVY:
                for order in orders:
                    self.sender.put(*order)
            else:
                for post, chunk in orders:
                    more = self._send(post, chunk) or more
            if not more:
                return

    def _look(self) -> None:
        self._quiet = not any(post.in_hand for post in self.posts.values())
        self._enough = self.line.enough

    def _orders(self) -> list[tuple[Post, Chunk]]:
        orders = []
        line, posts = self.line, self.posts.values()
        for post in sorted(posts, key=_load):
            while (room := line.room(post, posts)) > 0 and (piece := line.next(post, room, posts)) is not None:
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
        """Some items cannot travel: they fail, the others are sent again."""
        with self.lock:
            segments: list[Segment] = []
            for at, error in errors.items():
                chunk.marks[at] = DONE
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
            late = seat.crew in self._left  # the lane moved on while it was opened
            self.posts[seat] = Post(seat, condemned=MOVED if late else "")
            self.figures.seats = max(self.figures.seats, len(self.posts))
        if late:
            self._settled([])
        else:
            self.on_seated(seat)
            self.dispatch()

    def hold(self, crew: Crew, *, held: bool) -> None:
        """Give nothing more to the seats of `crew` for the time being, or go on."""
        with self.lock:
            for post in self.posts.values():
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
        count = len(batch.values)
        with self.lock:
            post = self.posts.get(seat)
            if post is None or self.over:
                return
            figures = self.figures
            figures.busy += batch.seconds
            figures.cpu += cpu
            figures.bytes_in += weight
            self.sizer.measured(count, batch.seconds)
            if weight:
                self.sizer.weighed(count, weight)
            if self.rules.buffer is None:
                slots = sum(other.seat.width for other in self.posts.values())
                self.outlet.resize(self.sizer.buffer(slots))
                self.sizer.most = max(1, self.outlet.buffer // 8)
            self.intake.take(post, batch, segments)
            verdict = self.trial.add(count, batch.seconds, cpu) if self.trial is not None else None
            if verdict is not None:
                self.trial = None
                self.line.limit = None if verdict.waits else 1
            resized = False
            if self.conductor is not None and self.trial is None:
                busy = bool(self.line) and not post.condemned
                failed = len(batch.errors)
                resized = self.conductor.heard(seat.crew, count, failed, batch.seconds, cpu, busy)
            if seat.can_kill and not post.condemned:
                post.condemned = seat.worn()
        if verdict is not None:
            self.on_verdict(verdict)
        if self.conductor is not None:
            if resized:
                self.conductor.resize()
            self.conductor.look(late=True)
        if self.hub.wanted:
            failed, stage = len(batch.errors), self.rules.name
            self.hub.emit(ChunkFinished(stage=stage, items=count, failed=failed, seconds=batch.seconds))
        self._settled(segments)

    def _due(self) -> None:
        with self.lock:
            for item in self.waiting.take():
                self.line.put_back(item)
        self.dispatch()

    def _settled(self, segments: list[Segment], *, dispatch: bool = True) -> None:
        if segments:
            self.outlet.put(segments)
        with self.lock:
            # Counted only now that the outlet has them: another thread must not end the run before.
            self._resolved += sum(count for _, count, _ in segments)
            over = self._check_over()
            events, self.outcomes.events = self.outcomes.events, []
            self._hungry = True  # before looking, as in `dispatch`
            self._look()
            more = bool(self.line)
            spent = [post for post in self.posts.values() if post.spent]
            for post in spent:
                del self.posts[post.seat]
            self.figures.recycled += sum(post.condemned != MOVED for post in spent)
        for event in events:
            self.hub.emit(event)
        if over:
            self.outlet.finish(over[0])
        elif more and dispatch:
            self.dispatch()
        for post in spent:
            if not self.over:
                post.seat.crew.retire(post.seat, post.condemned)
                if post.seat.crew not in self._left:
                    self._wanted(1)

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


def _load(post: Post) -> float:
    return post.in_hand / post.seat.width
