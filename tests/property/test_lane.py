"""A lane under any schedule: seats that answer, fail, hand back, die, wear out and hang as Hypothesis pleases."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.engine.mishaps import CRASHES
from plait.errors import WorkerLost
from plait.events import ItemFailed, ItemRetried
from plait.failure import Failure
from plait.policy.retry import Retry
from tests.unit.engine.seats import Bench, FakeSeat, Sent, failing

STYLES = [("serial", 1), ("serial", 1), ("threads", 3), ("loop", 4)]


class World:
    """Plays every seat by drawn decisions, and keeps account of what it saw."""

    def __init__(self, draw: Any, count: int, style: str, width: int, bench: Bench) -> None:
        self.draw, self.count, self.bench = draw, count, bench
        self.style, self.width = style, width
        self.offered = 0
        self.done: dict[int, int] = {}  # of a chunk, by its first number: how many items were answered
        self.delivered: Counter[int] = Counter()
        self.deaths: Counter[int] = Counter()  # of workers that had begun the item
        self.losses: Counter[int] = Counter()  # of workers that had it at all
        self.retried: dict[int, list[int]] = {}
        bench.hub.add(self.heard, [ItemRetried, ItemFailed])

    def heard(self, event: Any) -> None:
        if isinstance(event, ItemRetried):
            self.retried.setdefault(event.index, []).append(event.attempt)

    @property
    def alive(self) -> list[FakeSeat]:
        return list(self.bench.lane.posts)  # type: ignore[arg-type]

    def due(self) -> list[tuple[FakeSeat, Sent]]:
        answered = self.bench.answered
        return [(seat, sent) for seat in self.alive for sent in seat.sent if sent.first not in answered]

    def step(self) -> None:
        """One thing happens; `calm` things only once the schedule is used up, so that it comes to an end."""
        bench = self.bench
        due = self.due()
        what = self.draw(st.sampled_from(["answer"] * 4 + ["offer", "seat", "lose", "wear"]))
        if what == "offer" and self.offered < self.count:
            many = self.draw(st.integers(1, 8))
            upto = min(self.count, self.offered + many)
            bench.offer(range(self.offered, upto), end=upto == self.count)
            self.offered = upto
        elif what == "seat" and len(self.alive) < 3:
            bench.seat(self.style, self.width)
        elif what == "wear" and self.alive:
            self.draw(st.sampled_from(self.alive)).worn_for = "recycled"
        elif what == "lose" and self.alive:
            self.lose(self.draw(st.sampled_from(self.alive)))
        elif what == "answer" and due:
            self.answer(*self.draw(st.sampled_from(due)))

    def lose(self, seat: FakeSeat) -> None:
        hands = [sent for sent in seat.sent if sent.first not in self.bench.answered]
        open_ = [sent.first + at for sent in hands for at in range(self.done.get(sent.first, 0), len(sent.items))]
        begun = open_[: self.draw(st.integers(0, min(len(open_), seat.width)))]
        for sent in hands:
            for at, item in enumerate(sent.items):
                self.deaths[item] += sent.first + at in begun
                self.losses[item] += sent.first + at in open_
        self.bench.lose(seat, *begun)
        if seat in self.bench.seats and not self.bench.lane.over:
            self.bench.seat(self.style, self.width)

    def answer(self, seat: FakeSeat, sent: Sent, *, calm: bool = False) -> None:
        bench, start = self.bench, self.done.get(sent.first, 0)
        left = len(sent.items) - start
        count = left if calm else self.draw(st.integers(1, left))
        back = not calm and count < left and self.draw(st.booleans())
        errors = {} if calm else {at: failing() for at in self.draw(st.sets(st.integers(0, count - 1), max_size=2))}
        for at in range(count):
            item = sent.items[start + at]
            assert not self.delivered[item], f"item {item} ran again though its result was received"
            self.delivered[item] += at not in errors
        bench.answer(seat, sent, skip=start, count=count, back=back, errors=errors, seconds=count * 1e-4)
        self.done[sent.first] = start + count
        if start + count < len(sent.items) and not back:
            bench.answered.discard(sent.first)
        if seat not in bench.lane.posts and not bench.lane.over:  # retired
            bench.seat(self.style, self.width)

    def finish(self) -> None:
        bench = self.bench
        if self.offered < self.count or not bench.lane.read_all:
            bench.offer(range(self.offered, self.count))
        for _ in range(10 * self.count + 50):
            if bench.lane.over:
                return
            if not self.alive:
                bench.seat(self.style, self.width)
            for seat, sent in self.due()[:1]:
                self.answer(seat, sent, calm=True)
        raise AssertionError("the run does not end")


@settings(max_examples=250)
@given(
    data=st.data(),
    count=st.integers(0, 25),
    shape=st.sampled_from(STYLES),
    ordered=st.booleans(),
    times=st.integers(0, 2),
    on_error=st.sampled_from(["skip", "return"]),
    on_crash=st.sampled_from(["rerun", "fail"]),
)
def test_every_item_is_settled_exactly_once_whatever_happens(data, count, shape, ordered, times, on_error, on_crash):
    style, width = shape
    bench = Bench(ordered=ordered, retry=Retry(times, backoff=0), on_error=on_error, on_crash=on_crash)
    world = World(data.draw, count, style, width, bench)
    for _ in range(data.draw(st.integers(0, 60))):
        if bench.lane.over:
            break
        world.step()
    world.finish()

    results = bench.results()
    values = [result for result in results if not isinstance(result, Failure)]
    failures = list(bench.figures.kept)
    assert bench.figures.finished + bench.figures.failures == count == bench.figures.read
    assert len(values) == bench.figures.finished
    settled = [value // 10 for value in values] + [failure.index for failure in failures]
    assert sorted(settled) == list(range(count))
    if on_error == "return":
        assert {id(result) for result in results if isinstance(result, Failure)} == {
            id(failure) for failure in failures
        }
        assert len(results) == count
    if ordered:
        shown = [r.index if isinstance(r, Failure) else r // 10 for r in results]
        assert shown == sorted(shown)
    for failure in failures:
        lost = isinstance(failure.exception, WorkerLost)
        assert failure.item == failure.index
        deaths, losses = world.deaths[failure.index], world.losses[failure.index]
        if lost:
            assert deaths <= failure.exception.crashes <= min(losses, CRASHES)
            assert failure.exception.crashes == CRASHES or on_crash == "fail"
        else:
            assert times + 1 + deaths <= failure.attempts <= times + 1 + losses
    for item, deaths in world.deaths.items():
        assert deaths <= CRASHES, f"item {item} killed {deaths} workers"
    for attempts in world.retried.values():
        assert attempts == list(range(1, len(attempts) + 1)), "attempts only rise, one at a time"
        assert len(attempts) <= times
    assert bench.idle


@settings(max_examples=60)
@given(data=st.data(), count=st.integers(1, 15), bad=st.integers(0, 14), ordered=st.booleans())
def test_a_run_that_raises_delivers_nothing_that_is_wrong_before(data, count, bad, ordered):
    bench = Bench(ordered=ordered)
    error = KeyError(bad)
    bench.seat()
    bench.seat("threads", 2)
    bench.offer(range(count))
    while not bench.lane.over:
        due = [(seat, sent) for seat in bench.seats for sent in seat.sent if sent.first not in bench.answered]
        seat, sent = data.draw(st.sampled_from(due))
        bench.answer(seat, sent, errors={at: failing(error) for at, item in enumerate(sent.items) if item == bad})
    found: list[int] = []
    raised = None
    try:
        while (taken := bench.outlet.take()) is not None:
            found += taken
    except KeyError as caught:
        raised = caught
    assert (raised is error) is (bad < count)
    assert bad * 10 not in found
    assert len(set(found)) == len(found)
    if ordered:
        assert found == [item * 10 for item in range(len(found))]
        assert len(found) <= bad
