"""`Entrance`: the side of a lane that faces the source. Items come in here; some need not be run, or not yet."""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from plait.engine.admission import Admission
from plait.engine.figures import Figures
from plait.engine.intake import Intake
from plait.engine.line import Line
from plait.engine.outcome import Outcomes
from plait.engine.outlet import Outlet, Segment
from plait.engine.pieces import Chunk, Piece
from plait.engine.rules import Rules
from plait.events import ChunkFinished, Hub
from plait.failure import Failure
from plait.policy.chunks import Sizer
from plait.policy.gate import Gate
from plait.styles.batch import Raised, raised
from plait.sync.ticker import ticker

__all__ = ["Entrance"]

#: Seconds that items wait for company while seats are free, once items are known to be tiny.
LINGER = 0.002


class Entrance(abc.ABC):
    """What a lane takes in. The lane itself gives it to seats (`dispatch`) and settles it (`_settled`).

    Concurrency: `offer`, `settle`, `probed` and their like belong to one thread (or coroutine) at a time, the source's.
    """

    def __init__(self, rules: Rules, outlet: Outlet, figures: Figures, hub: Hub) -> None:
        self.rules, self.outlet, self.figures, self.hub = rules, outlet, figures, hub
        # Reentrant: a predicate, a repr or a property of the user's may cancel the run while a failure is looked at.
        self.lock = threading.RLock()
        self.sizer = Sizer(most=max(1, outlet.buffer // 8))
        self.line = Line(self.sizer)
        self.outcomes: Outcomes
        self.intake: Intake
        self.admission: Admission | None = None
        if rules.gated:
            figures.paced = True
            self.line.gate = Gate(rules.rates, rules.limits)
            self.offer = self._admit  # type: ignore[method-assign]
        self._knocking: tuple[float, Callable[[], None]] = (0.0, lambda: None)  # when the gate is tried again
        self.over = False
        self.read_all = False
        self._hungry = False  # a seat has room
        self._quiet = False  # no seat has anything in hand: company is not worth waiting for
        self._enough = 1  # items that are worth a dispatch
        self._resolved = 0
        self._source_error: BaseException | None = None
        self._lingering = False

    @abc.abstractmethod
    def dispatch(self) -> None:
        """Give every seat with room what waits."""

    @abc.abstractmethod
    def broken(self, error: BaseException, traceback: str) -> None:
        """The run fails with `error`."""

    @abc.abstractmethod
    def _settled(self, segments: list[Segment], *, dispatch: bool = True) -> None: ...

    # --- items that are to be run -----------------------------------------------------------------------------------

    def offer(self, item: Any) -> None:
        """One more item."""
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

    # --- items that need not be run, or not as soon as there is room ------------------------------------------------

    def admits(self, admission: Admission) -> None:
        """Have `admission` look at every item. Before any `offer`."""
        self.admission = admission
        self.offer = self._admit  # type: ignore[method-assign]

    def _admit(self, item: Any) -> None:
        index = self.figures.read
        try:
            known, value = self.admission.look(item, index) if self.admission is not None else (False, None)
        except BaseException as error:  # it cannot be told apart from others: nobody knows whether it was run
            self.broken(error, "")
            return
        if known:
            self.settle(value)
        elif self.line.gate is not None:
            self._knock(self.line.gate, Piece(index, [item]))
        else:
            Entrance.offer(self, item)

    def _knock(self, gate: Gate, piece: Piece) -> None:
        """An item waits for leave to begin."""
        segments: list[Segment] = []
        failed = None
        try:
            piece.keys = gate.keys(piece.items[0])
        except BaseException as error:  # the user's key function
            failed = raised(error, 0.0)
        with self.lock:
            self.figures.read += 1
            if failed is None:
                gate.line_up(piece, piece.keys)
            else:
                self.intake.fail(Chunk.of(0, piece), 0, failed, segments, final=True)
        if failed is not None:
            self._settled(segments)
        elif self._hungry:
            self.dispatch()

    def settle(self, value: Any) -> None:
        """The next item need not be run: `value` stands for it."""
        with self.lock:
            if self.over:
                return
            index = self.figures.read
            self.figures.read += 1
            self.figures.passed += type(value) is Failure
            self.figures.finished += type(value) is not Failure
            replays = self.admission is not None and self.admission.pages is not None
            self.figures.replayed += replays and type(value) is not Failure
            self.line.skip(index)
        self.outlet.put([(index, 1, [value])])
        with self.lock:
            self._resolved += 1

    # --- items that others run --------------------------------------------------------------------------------------

    def probed(self, outcomes: Sequence[tuple[Any, Any, Raised | None]]) -> None:
        """The next items were run by the probe already: take their results, or how they failed. Before any `offer`."""
        segments: list[Segment] = []
        failures = [failed for _, _, failed in outcomes if failed is not None]
        self.outcomes.ask(failures)
        with self.lock:
            for item, value, failed in outcomes:
                piece = Piece(self.figures.read, [item])
                if self.admission is not None:
                    self.admission.number(piece.start)
                self.figures.read += 1
                self.line.begin(self.figures.read)
                if failed is None:
                    self.figures.finished += 1
                    segments.append((piece.start, 1, [value]))
                    self.intake.tell(piece, 0, 1)
                else:
                    self.intake.fail(Chunk.of(0, piece), 0, failed, segments)
        self.outcomes.forget(failures)
        if self.hub.wanted:
            count, lost = len(outcomes), len(failures)
            self.hub.emit(ChunkFinished(stage=self.rules.name, items=count, failed=lost, seconds=0.0))
        self._settled(segments)

    def may_read(self) -> bool:
        """Wait for room; false: the run is over, or the room is held by an item that only a crew will try again."""
        if not self.settled and not self.outlet.has_room(self.figures.read):
            return False
        return self.outlet.wait_for_room(self.figures.read)

    def reserve(self) -> int:
        """The next item is still run by the probe: its index. Before any `offer`."""
        with self.lock:
            if self.admission is not None:
                self.admission.number(self.figures.read)
            self.figures.read += 1
            self.line.begin(self.figures.read)
            return self.figures.read - 1

    def probed_late(self, index: int, item: Any, value: Any, failed: Raised | None) -> None:
        """A reserved item has its outcome."""
        segments: list[Segment] = []
        failures = [failed] if failed is not None else []
        self.outcomes.ask(failures)
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
        self.outcomes.forget(failures)
        if self.hub.wanted:
            self.hub.emit(ChunkFinished(stage=self.rules.name, items=1, failed=int(failed is not None), seconds=0.0))
        self._settled(segments)

    def resume(self) -> None:
        """Go on after others have run the items up to `figures.read`. Before any further `offer`."""
        with self.lock:
            self._resolved = self.figures.read
            self.line.begin(self._resolved)
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
