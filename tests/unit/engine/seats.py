"""A lane whose seats are the test itself: it sees what each is sent, and answers, dies or hangs in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from plait.engine.figures import Figures
from plait.engine.mishaps import GuardedLane
from plait.engine.outlet import Outlet
from plait.engine.rules import Rules
from plait.errors import CannotTravel
from plait.events import Hub
from plait.places.crew import Refused
from plait.styles.batch import Batch, Raised, raised

__all__ = ["Bench", "FakeSeat", "Sent", "failing"]


class Sent(NamedTuple):
    """A chunk that a seat was sent."""

    first: int
    items: list[Any]
    by_value: bool
    budget: float

    @property
    def seqs(self) -> range:
        return range(self.first, self.first + len(self.items))


def failing(error: BaseException | None = None, seconds: float = 0.0) -> Raised:
    """An attempt that failed."""
    return raised(error or ValueError("no"), seconds, below=0)


class FakeSeat:
    """A seat that only remembers. `refuses(item)` says why an item cannot travel."""

    def __init__(self, pid: int, style: str = "serial", width: int = 1, *, can_kill: bool = True) -> None:
        self.pid, self.style, self.width, self.can_kill = pid, style, width, can_kill
        self.crew: Any = None
        self.sent: list[Sent] = []
        self.slots = [0] * width
        self.killed: list[str] = []
        self.dropped: list[int] = []
        self.worn_for = ""
        self.refuses: Callable[[Any], str | None] = lambda item: None

    def send(self, first: int, items: Any, grain: int, budget: float, *, by_value: bool) -> int:
        refused = {
            at: CannotTravel("The item", why, "Do not.") for at, item in enumerate(items) if (why := self.refuses(item))
        }
        if refused:
            raise Refused(refused)
        self.sent.append(Sent(first, list(items), by_value, budget))
        return 8 * len(items)

    def words(self) -> list[int]:
        return list(self.slots)

    def queued(self) -> float:
        return 0.0

    def worn(self) -> str:
        return self.worn_for

    def kill(self, reason: str) -> None:
        self.killed.append(reason)

    def drop(self, seq: int) -> None:
        self.dropped.append(seq)

    @property
    def items(self) -> list[Any]:
        """Every item that it was sent, in order."""
        return [item for sent in self.sent for item in sent.items]


class Bench:
    """A lane, its outlet, its hub, and the seats that the test opens."""

    def __init__(self, *, buffer: int = 1000, **rules: Any) -> None:
        self.rules = Rules("stage", buffer=buffer, **rules)
        self.hub, self.figures = Hub(), Figures("stage")
        self.figures.start()
        self.outlet = Outlet(self.rules.ordered, buffer)
        self.wanted: list[int] = []
        self.retired: list[tuple[FakeSeat, str]] = []
        self.lane = GuardedLane(self.rules, self.outlet, self.figures, self.hub, self.wanted.append)
        self.lane._lingering = (
            True  # items wait for no timer: `offer` looks at the seats itself, so that nothing depends on time
        )
        self.seats: list[FakeSeat] = []
        self.answered: set[int] = set()
        self.calls: dict[Any, int] = {}

    # --- it is its lane's crew ---

    def retire(self, seat: FakeSeat, reason: str) -> None:
        self.retired.append((seat, reason))

    # --- what a test does ---

    def seat(self, style: str = "serial", width: int = 1, *, can_kill: bool = True) -> FakeSeat:
        """One more seat, ready for items."""
        seat = FakeSeat(len(self.seats) + 1, style, width, can_kill=can_kill)
        seat.crew = self
        self.seats.append(seat)
        self.lane.seated(seat)
        return seat

    def offer(self, items: Iterable[Any], *, end: bool = True) -> None:
        for item in items:
            self.lane.offer(item)
        self.lane.dispatch()
        if end:
            self.lane.end()

    def begin(self, seat: FakeSeat, *seqs: int) -> None:
        """Its slots have these attempts in hand."""
        seat.slots = [seq + 1 for seq in seqs] + [0] * (seat.width - len(seqs))

    def answer(
        self,
        seat: FakeSeat,
        sent: Sent | None = None,
        *,
        errors: dict[int, Raised] | None = None,
        count: int | None = None,
        back: bool = False,
        seconds: float = 0.0,
        skip: int = 0,
    ) -> None:
        """Results (ten times the item) of a chunk, its last by default: of `count` items, the rest handed `back`."""
        sent = sent or seat.sent[-1]
        self.answered.add(sent.first)
        count = len(sent.items) - skip if count is None else count
        items = sent.items[skip : skip + count]
        errors = errors or {}
        values = [None if at in errors else item * 10 for at, item in enumerate(items)]
        end = skip + count
        rest = (sent.first + end, len(sent.items) - end) if back else None
        self.lane.arrived(seat, Batch(sent.first + skip, values, sorted(errors.items()), None, seconds, rest), 0, 0.0)

    def run(self, fails: Callable[[Any, int], bool] = lambda item, call: False, *, seconds: float = 0.0) -> None:
        """Every seat answers what it was sent, until nothing is sent any more; `fails(item, call)` says what fails."""
        while due := [(seat, sent) for seat in self.seats for sent in seat.sent if sent.first not in self.answered]:
            for seat, sent in due:
                for item in sent.items:
                    self.calls[item] = self.calls.get(item, 0) + 1
                errors = {at: failing() for at, item in enumerate(sent.items) if fails(item, self.calls[item])}
                self.answer(seat, sent, errors=errors, seconds=seconds)

    def lose(self, seat: FakeSeat, *begun: int, status: str = "killed by SIGSEGV", opened: bool = True) -> None:
        """The seat is dead, with these attempts in hand."""
        self.begin(seat, *begun)
        self.answered.update(sent.first for sent in seat.sent)
        self.lane.lost(seat, seat.words(), status, "", opened)

    @property
    def idle(self) -> bool:
        """Whether no seat has anything in hand."""
        return not any(post.in_hand for post in self.lane.posts.values())

    def results(self) -> list[Any]:
        """Everything, once the run is over."""
        assert self.lane.over, "the run is not over"
        found: list[Any] = []
        while (taken := self.outlet.take()) is not None:
            found += taken
        return found
