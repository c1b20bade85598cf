"""`Lane`: a stage at run time. Gives items to seats, takes their results, and sees to what failed, crashed or hung.

Every decision is taken under the lane's lock and acted upon after it is released: seats are sent to, the outlet and
observers are told outside of it. Results may come from any thread, in any order.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from plait.engine.figures import Figures
from plait.engine.outlet import Outlet, Segment
from plait.engine.outcome import Outcomes
from plait.engine.pieces import DONE, LATE, Chunk, Piece, Post
from plait.engine.rules import Rules
from plait.engine.sender import HEAVY, Sender
from plait.errors import CannotTravel
from plait.events import ChunkFinished, Hub, ItemFinished
from plait.places.crew import Crew, Refused, Seat
from plait.policy.chunks import Sizer
from plait.styles.batch import Batch, Raised, raised
from plait.sync.ticker import ticker

__all__ = ["Lane"]

#: Seconds after which a chunk's items not yet begun are handed back: items that turned slow must not queue behind
#: each other while other seats have nothing to do.
BUDGET = 0.05
#: Seconds of work that are not shared out further, however few items wait: sending them would cost more.
LEAST = 0.001
#: Seconds that items wait for company while seats are free, once items are known to be tiny.
LINGER = 0.002
#: Below this many seconds a chunk is over before the next one would arrive: a worker gets two.
PREFETCH = 0.02


class Lane:
    """Items in, results out, over the seats of a crew.

    Parameters:
        on_seats_wanted: called with a number when seats were lost and others should be opened.
    """

    def __init__(
        self, rules: Rules, outlet: Outlet, figures: Figures, hub: Hub, on_seats_wanted: Callable[[int], None]
    ) -> None:
        self.rules, self.outlet, self.figures, self.hub = rules, outlet, figures, hub
        self.crew: Crew | None = None
        self.sizer = Sizer(most=max(1, outlet.buffer // 8))
        self.lock = threading.Lock()
        self.outcomes = Outcomes(rules, figures, hub, random.random)
        self.sender = Sender(self._send)
        self.posts: dict[Seat, Post] = {}
        self.ready: deque[Any] = deque()
        self.again: deque[Piece] = deque()
        self.hungry = False  # a seat has room
        self.quiet = False  # no seat has anything in hand: company is not worth waiting for
        self.want = 1  # items that are worth a dispatch
        self.over = False
        self._wanted = on_seats_wanted
        self._first = 0  # index of ready[0]
        self._seq = 0
        self._resolved = 0
        self._read_all = False
        self._lingering = False
        self._source_error: BaseException | None = None

    # --- the source's side ------------------------------------------------------------------------------------------

    def offer(self, item: Any) -> None:
        """One more item. Belongs to one thread (or coroutine) at a time."""
        self.ready.append(item)
        self.figures.read += 1
        if self.hungry:
            if self.quiet or len(self.ready) >= self.want:
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
            self._read_all = True
            self._source_error = error
        self._settled([])

    def probed(self, item: Any, value: Any, failed: Raised | None) -> None:
        """The next item was run by the probe already: take its outcome. Before any `offer`."""
        segments: list[Segment] = []
        with self.lock:
            piece = Piece(self.figures.read, [item])
            self.figures.read += 1
            self._first = self.figures.read
            if failed is None:
                self.figures.finished += 1
                segments.append((piece.start, 1, [value]))
            else:
                chunk = Chunk.of(0, piece)
                self._fail(chunk, 0, failed, segments)
        self._settled(segments)

    @property
    def settled(self) -> bool:
        """Whether every item that was read has its outcome."""
        with self.lock:
            return self._resolved >= self.figures.read

    # --- to the seats -----------------------------------------------------------------------------------------------

    def dispatch(self) -> None:
        """Give every seat with room what is ready."""
        while not self.over:
            orders: list[tuple[Post, Chunk]] = []
            with self.lock:
                # Set before looking: an item offered meanwhile either is seen here or sees this.
                self.hungry = True
                for post in sorted(self.posts.values(), key=_load):
                    while (chunk := self._next_chunk(post)) is not None:
                        orders.append((post, chunk))
                self.hungry = self._any_room()
                self.quiet = not any(post.in_hand for post in self.posts.values())
                more = bool(self.hungry and self.ready and not orders)
                self.want = max(1, self.sizer.size // 4)
            send = self.sender.put if (self.sizer.bytes_per_item or 0) > HEAVY else self._send
            for post, chunk in orders:
                send(post, chunk)
            if not more:
                return

    def _any_room(self) -> bool:
        return any(self._room(post) > 0 for post in self.posts.values())

    def _next_chunk(self, post: Post) -> Chunk | None:
        room = self._room(post)
        if room <= 0:
            return None
        piece = self._next_piece(post, room)
        if piece is None:
            return None
        chunk = Chunk.of(self._seq, piece)
        self._seq += len(piece.items)
        post.chunks[chunk.seq] = chunk
        post.in_hand += len(piece.items)
        return chunk

    def _next_piece(self, post: Post, room: int) -> Piece | None:
        for at, piece in enumerate(self.again):
            if piece.alone and post.in_hand:
                continue
            if len(piece.items) > room:
                return piece.split(room)
            del self.again[at]
            return piece
        waiting = len(self.ready)
        if not waiting:
            return None
        count = min(room, waiting)
        if len(self.posts) > 1 or post.seat.style == "threads":
            shares = sum(other.seat.width for other in self.posts.values())
            share = -(-waiting * post.seat.width // (2 * shares))
            count = min(count, max(share, self.sizer.worth(LEAST), 1))
        take = self.ready.popleft
        piece = Piece(self._first, [take() for _ in range(count)])
        self._first += count
        return piece

    def _room(self, post: Post) -> int:
        """How many items the seat should get now."""
        if post.condemned or post.exclusive:
            return 0
        size, width, style = self.sizer.size, post.seat.width, post.seat.style
        if style == "serial":
            depth = 2 if 0 < self.sizer.chunk_seconds < PREFETCH else 1
            return size if len(post.chunks) < depth else 0
        # Of many at once some are always between two items: a few more wait in the seat itself.
        spare = size * width if size > 1 else max(1, width // 4)
        if self.sizer.chunk_seconds > PREFETCH and len(self.posts) > 1:
            spare = 0
        room = (width * size if style == "threads" else width) + spare - post.in_hand
        return room if room >= min(size, max(1, width // 8)) else 0

    def _send(self, post: Post, chunk: Chunk) -> None:
        if self.over:
            return
        piece = chunk.piece
        many = len(self.posts) > 1 or post.seat.style == "threads"
        budget = BUDGET if many else float("inf")
        try:
            weight = post.seat.send(chunk.seq, piece.items, self.sizer.size, budget, by_value=piece.by_value)
        except Refused as refused:
            self._refused(post, chunk, refused.errors)
            return
        except BaseException as error:
            self.broken(error, "")
            return
        if weight:
            with self.lock:
                self.figures.bytes_out += weight
                self.sizer.weighed(len(chunk.marks), weight)

    def _refused(self, post: Post, chunk: Chunk, errors: dict[int, CannotTravel]) -> None:
        """Some items cannot travel: they fail, the others are sent again."""
        with self.lock:
            segments: list[Segment] = []
            for at, error in errors.items():
                chunk.marks[at] = DONE
                self._fail(chunk, at, raised(error, 0.0, below=0), segments, final=True)
            for first, last in chunk.runs():
                self.again.appendleft(chunk.piece.part(first, last))
            post.done(chunk, chunk.left)
        self._settled(segments)

    # --- from the seats ---------------------------------------------------------------------------------------------

    def seated(self, seat: Seat) -> None:
        """A seat is ready."""
        with self.lock:
            if self.over:
                return
            self.posts[seat] = Post(seat)
            self.figures.seats = max(self.figures.seats, len(self.posts))
        self.dispatch()

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
                self.outlet.grow(self.sizer.buffer(slots))
                self.sizer.most = max(1, self.outlet.buffer // 8)
            self._take_in(post, batch, segments)
            if batch.back is not None:
                self._handed_back(post, *batch.back)
            if seat.can_kill and not post.condemned:
                post.condemned = seat.worn()
            spent = post if post.condemned and not post.chunks and not post.killed else None
            if spent is not None:
                del self.posts[seat]
                figures.recycled += 1
            stuck = post.condemned == "timeout" and not post.killed and post.only_late
            post.killed = post.killed or stuck
        if self.hub.wanted:
            self._tell(batch, segments)
        self._settled(segments)
        if stuck:
            seat.kill("timeout")
        if spent is not None and self.crew is not None:
            self.crew.retire(seat, spent.condemned)
            self._wanted(1)

    def _tell(self, batch: Batch, segments: list[Segment]) -> None:
        stage = self.rules.name
        self.hub.emit(ChunkFinished(stage=stage, items=len(batch.values), failed=len(batch.errors), seconds=batch.seconds))
        if self.hub.wants(ItemFinished):
            for start, _, values in segments:
                for at in range(len(values)):
                    self.hub.emit(ItemFinished(stage=stage, index=start + at, attempt=1))

    def _take_in(self, post: Post, batch: Batch, segments: list[Segment]) -> None:
        values = batch.values
        if batch.seqs is None and not batch.errors:
            chunk = post.find(batch.first)
            if chunk is not None:
                at = batch.first - chunk.seq
                if at + len(values) <= len(chunk.marks) and LATE not in chunk.marks:
                    self._succeeded(post, chunk, at, values, segments)
                    return
        failed = dict(batch.errors)
        seqs = batch.seqs if batch.seqs is not None else range(batch.first, batch.first + len(values))
        for order in sorted(range(len(values)), key=seqs.__getitem__):
            self._take_one(post, seqs[order], values[order], failed.get(order), segments)

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
                self._later(*chunk.held.pop(at))
            post.done(chunk, 1)
        elif failed is None:
            self._succeeded(post, chunk, at, [value], segments)
        else:
            chunk.marks[at] = DONE
            self._fail(chunk, at, failed, segments)
            post.done(chunk, 1)

    def _succeeded(self, post: Post, chunk: Chunk, at: int, values: list[Any], segments: list[Segment]) -> None:
        count = len(values)
        chunk.marks[at : at + count] = b"\1" * count
        start = chunk.piece.start + at
        if segments and segments[-1][0] + segments[-1][1] == start and len(segments[-1][2]) == segments[-1][1]:
            first, before, together = segments[-1]
            together.extend(values)
            segments[-1] = (first, before + count, together)
        else:
            segments.append((start, count, values))
        self.figures.finished += count
        post.done(chunk, count)

    def _handed_back(self, post: Post, first: int, count: int) -> None:
        chunk = post.find(first)
        if chunk is None:
            return
        at = first - chunk.seq
        self.again.append(chunk.piece.part(at, at + count))
        chunk.marks[at : at + count] = bytes([DONE]) * count
        post.done(chunk, count)

    def _fail(self, chunk: Chunk, at: int, failed: Raised, segments: list[Segment], *, final: bool = False) -> None:
        """An attempt failed: try again, or settle the item as a failure."""
        item = chunk.piece.part(at, at + 1)
        delay = None if final else self.outcomes.again(item, failed, time.monotonic())
        if delay is None:
            self._settle(item, failed, segments)
        elif chunk.marks[at] == LATE:
            chunk.held[at] = (delay, item)
        else:
            self._later(delay, item)

    def _settle(self, item: Piece, failed: Raised, segments: list[Segment]) -> None:
        segments.append(self.outcomes.failure(item, failed))

    def _later(self, delay: float, item: Piece) -> None:
        if delay <= 0:
            self.again.append(item)
            return

        def now() -> None:
            with self.lock:
                self.again.append(item)
            self.dispatch()

        ticker().at(time.monotonic() + delay, now)

    def _settled(self, segments: list[Segment]) -> None:
        if segments:
            self.outlet.put(segments)
        with self.lock:
            # Counted only now that the outlet has them: another thread must not end the run before.
            self._resolved += sum(count for _, count, _ in segments)
            over = self._check_over()
            events, self.outcomes.events = self.outcomes.events, []
            # As in `dispatch`: set before looking, so that an item offered meanwhile is not overlooked.
            self.hungry, self.quiet = True, not any(post.in_hand for post in self.posts.values())
            more = self.ready or self.again
        for event in events:
            self.hub.emit(event)
        if over:
            self.outlet.finish(over[0])
        elif more:
            self.dispatch()

    def _check_over(self) -> tuple[BaseException | None] | None:
        if self.over:
            return None
        done = self._read_all and self._resolved >= self.figures.read
        error = self.outcomes.fatal(ended=done) or (self._source_error if done else None)
        if error is None and not done:
            return None
        self.over = True
        self.figures.end()
        return (error,)

    def broken(self, error: BaseException, traceback: str) -> None:
        """The work cannot run here at all: the run fails with `error`."""
        with self.lock:
            if self.over:
                return
            self.over = True
            self.figures.end()
        if traceback and error.__traceback__ is None:
            error.add_note(f"In a worker of stage {self.rules.name!r}:\n{traceback}")
        self.outlet.finish(error)

    def stop(self, error: BaseException) -> None:
        """Give nothing more to the seats; the consumer gets `error`."""
        with self.lock:
            self.over = True
            self.figures.end()
            self.ready.clear()
            self.again.clear()
        self.outlet.finish(error)

    @property
    def idle(self) -> bool:
        """Whether no seat has anything in hand."""
        with self.lock:
            return not any(post.in_hand for post in self.posts.values())


def _load(post: Post) -> float:
    return post.in_hand / post.seat.width
