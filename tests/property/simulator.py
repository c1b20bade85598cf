"""A client with so many items in progress, and a service with limits, in virtual time: nothing here waits.

source ──> client: `Width` items in progress ──> service: rate ─ rejection ─ queue ─ slots ─ the client's own cores
              ^                                                                          |
              └──────────── finished(now, items, failed, seconds), singly or by ticks ──┘
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Protocol

__all__ = ["Case", "Result", "best_fixed", "drawn", "simulate"]

NEVER = math.inf


class Controller(Protocol):
    """What is simulated."""

    width: int

    def finished(
        self, now: float, items: int, failed: int, seconds: float, *, busy: bool = True, computed: float = 0.0
    ) -> bool:
        """Items have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A workload and the service that it meets.

    Parameters:
        seconds: virtual length of the run. latency: mean seconds of an item that is alone.
        sigma: of lognormal latencies; 0: all alike. rare: one in 50 takes 50 times as long.
        slots: served at once, the others queue. degrades, power: past so many, each takes (n/degrades)**power times.
        rejects, rejection: past so many in the system, the excess fails after `rejection` seconds.
        rate: requests a second; the excess fails. burst: requests that may come at once.
        timeout: seconds after which the client gives up.
        cpu, cores: CPU seconds of an item, shared fairly by the client's cores.
        bad: share of items that fail by themselves; stretch: only in the first half of every `stretch` items.
        source: items a second that there are to do at most.
        drift, factor: from this instant on, the limits are so many times what they were.
        tick: completions are reported together, at most so often; 0: each by itself.
        alone: what the controller is told of the latency, as a multiple of the truth; 0: nothing.
    """

    seed: int = 0
    seconds: float = 60.0
    latency: float = 0.1
    sigma: float = 0.3
    rare: bool = False
    slots: float = NEVER
    degrades: float = NEVER
    power: float = 1.0
    rejects: float = NEVER
    rejection: float = 0.001
    rate: float = NEVER
    burst: float = 1.0
    timeout: float = NEVER
    cpu: float = 0.0
    cores: int = 1
    bad: float = 0.0
    stretch: int = 0
    source: float = NEVER
    drift: float = NEVER
    factor: float = 1.0
    tick: float = 0.0
    start: int = 32
    most: int = 10_000
    alone: float = 1.0

    @property
    def knee(self) -> float:
        """The width at which the service is just busy, at the end of the run."""
        factor = self.factor if self.drift < self.seconds else 1.0
        limits = factor * min(self.slots, self.degrades, self.rejects, self.rate * self.latency)
        local = (self.latency + self.cpu) * self.cores / self.cpu if self.cpu else NEVER
        return max(1.0, min(limits, local, self.source * self.latency, self.most))

    @property
    def capacity(self) -> float:
        """Items a second that can be done at the end of the run, the bad ones included."""
        return self.knee / (self.latency + self.cpu)


@dataclass(slots=True)
class Result:
    """What came of it: instants of successes and failures, and (instant, width) of the changes."""

    case: Case
    good: list[float]
    failures: list[float]
    changes: list[tuple[float, int]]

    def goodput(self, since: float, until: float) -> float:
        """Successes a second between two instants."""
        return sum(since <= at < until for at in self.good) / (until - since)

    @property
    def final(self) -> float:
        """Goodput of the last third of the run."""
        return self.goodput(2 * self.case.seconds / 3, self.case.seconds)

    def reaches(self, goodput: float, over: float = 0.5) -> float:
        """The first instant from which on `goodput` was kept for `over` seconds."""
        at, step = 0.0, over / 2
        while at < self.case.seconds:
            if self.goodput(at, at + over) >= goodput:
                return at
            at += step
        return NEVER


class _Fixed:
    def __init__(self, width: int) -> None:
        self.width = width

    def finished(
        self, now: float, items: int, failed: int, seconds: float, *, busy: bool = True, computed: float = 0.0
    ) -> bool:
        return False


class _Item:
    __slots__ = ("began", "needs", "over", "serving")

    def __init__(self, began: float, needs: float) -> None:
        self.began, self.needs = began, needs
        self.serving = self.over = False


class _World:
    def __init__(self, case: Case, controller: Controller) -> None:
        self.case, self.controller = case, controller
        self.random = random.Random(case.seed)
        self.now = 0.0
        self.events: list[tuple[float, int, str, _Item | None]] = []
        self.order = 0
        self.busy = True
        self.inflight = self.begun = 0
        # the service
        self.inside = self.serving = 0
        self.queue: deque[_Item] = deque()
        self.tokens, self.refilled = case.burst, 0.0
        # the client's cores: every item there has attained `attained` since the beginning
        self.attained, self.attained_at = 0.0, 0.0
        self.computing: list[tuple[float, int, _Item]] = []
        self.wakeup = 0
        # not reported yet
        self.ended = [0, 0, 0.0]
        self.result = Result(case, [], [], [(0.0, controller.width)])

    def run(self) -> Result:
        case = self.case
        self.fill()
        if case.tick:
            self.at(case.tick, "tick")
        while self.events:
            self.now, order, what, item = heappop(self.events)
            if self.now > case.seconds or len(self.result.failures) > 500_000:
                break  # a flood is a failure of its own
            if what == "served":
                self.served(item)
            elif what == "computed":
                self.computed(order)
            elif what == "tick":
                self.report()
                self.at(case.tick, "tick")
            elif what == "fill":
                self.fill()
            elif item is not None and not item.over:  # rejected, timed out
                self.gave_up(item, what)
        return self.result

    def at(self, delay: float, what: str, item: _Item | None = None) -> int:
        self.order += 1
        heappush(self.events, (self.now + delay, self.order, what, item))
        return self.order

    @property
    def factor(self) -> float:
        return self.case.factor if self.now >= self.case.drift else 1.0

    # --- the client

    def fill(self) -> None:
        case = self.case
        while self.inflight < self.controller.width:
            if case.source < NEVER and self.begun > case.source * self.now:
                if self.busy:
                    self.at((self.begun - case.source * self.now) / case.source + 1e-9, "fill")
                self.busy = False
                return
            self.begun += 1
            self.inflight += 1
            self.arrive(_Item(self.now, self.draw()))
            if case.source < NEVER:
                self.busy = True
        self.busy = True

    def draw(self) -> float:
        case = self.case
        if case.rare:
            return case.latency / 1.98 * (50 if self.random.random() < 0.02 else 1)
        if not case.sigma:
            return case.latency
        return case.latency * math.exp(self.random.gauss(-case.sigma * case.sigma / 2, case.sigma))

    def done(self, item: _Item, failed: bool) -> None:
        case, ended = self.case, self.ended
        item.over = True
        if not failed and case.bad and (not case.stretch or self.begun % case.stretch < case.stretch / 2):
            failed = self.random.random() < case.bad
        (self.result.failures if failed else self.result.good).append(self.now)
        self.inflight -= 1
        ended[0] += 1
        ended[1] += failed
        ended[2] += self.now - item.began
        if not case.tick:
            self.report()
        self.fill()

    def report(self) -> None:
        items, failed, seconds = self.ended
        if not items:
            return
        self.ended = [0, 0, 0.0]
        before = self.controller.width
        if self.controller.finished(self.now, int(items), int(failed), seconds, busy=self.busy):
            assert self.controller.width != before
            self.result.changes.append((self.now, self.controller.width))
            self.fill()
        else:
            assert self.controller.width == before

    # --- the service

    def arrive(self, item: _Item) -> None:
        case = self.case
        if case.rate < NEVER:
            grown = self.tokens + (self.now - self.refilled) * case.rate * self.factor
            self.tokens, self.refilled = min(case.burst, grown), self.now
            if self.tokens < 1:
                self.at(case.rejection, "rejected", item)
                return
            self.tokens -= 1
        if self.inside >= case.rejects * self.factor:
            self.at(case.rejection, "rejected", item)
            return
        self.inside += 1
        if case.timeout < NEVER:
            self.at(case.timeout, "timeout", item)
        if self.serving < case.slots * self.factor:
            self.serve(item)
        else:
            self.queue.append(item)

    def serve(self, item: _Item) -> None:
        self.serving += 1
        item.serving = True
        n = self.inside / (self.case.degrades * self.factor)
        self.at(item.needs * (n**self.case.power if n > 1 else 1.0), "served", item)

    def served(self, item: _Item | None) -> None:
        assert item is not None
        self.inside -= 1
        self.serving -= 1
        while self.queue and self.serving < self.case.slots * self.factor:
            following = self.queue.popleft()
            if not following.over:
                self.serve(following)
        if item.over:  # given up on: served for nothing
            return
        if self.case.cpu:
            self.share()
            heappush(self.computing, (self.attained + self.case.cpu, self.order, item))
            self.next_computed()
        else:
            self.done(item, failed=False)

    def gave_up(self, item: _Item, what: str) -> None:
        if what == "timeout" and not item.serving:
            self.inside -= 1  # it is still queued, and will be passed over
        self.done(item, failed=True)

    # --- the client's cores

    def share(self) -> None:
        n = len(self.computing)
        if n:
            self.attained += (self.now - self.attained_at) * min(1.0, self.case.cores / n)
        self.attained_at = self.now

    def next_computed(self) -> None:
        if self.computing:
            speed = min(1.0, self.case.cores / len(self.computing))
            self.wakeup = self.at(max(0.0, self.computing[0][0] - self.attained) / speed, "computed")

    def computed(self, order: int) -> None:
        if order != self.wakeup:
            return
        self.share()
        ready = []
        while self.computing and self.computing[0][0] <= self.attained + 1e-12:
            ready.append(heappop(self.computing)[2])
        self.next_computed()
        for item in ready:
            if not item.over:
                self.done(item, failed=False)


def simulate(case: Case, controller: Controller) -> Result:
    """Runs `controller` through the case."""
    return _World(case, controller).run()


def best_fixed(case: Case, widths: list[int] | None = None) -> float:
    """Goodput of the last third with the best fixed width: of those given, else of two about the knee."""
    if widths is None:
        # Around the knee of a rate a fixed width has many rejections: the best one that has few is narrower.
        times = (0.8,) if case.rate < NEVER else (1.0,) if case.rejects < NEVER else (1.0, 1.3)
        widths = [max(1, min(case.most, math.floor(case.knee * by))) for by in times]
    return max(simulate(case, _Fixed(width)).final for width in widths)


def drawn(seed: int, items: int) -> Case:
    """A random case of about so many items."""
    draw = random.Random(seed)
    limit = max(1, round(math.exp(draw.uniform(0, math.log(items / 100)))))
    latency = math.exp(draw.uniform(math.log(0.001), math.log(5.0)))
    case = Case(
        seed=seed,
        latency=latency,
        sigma=draw.choice([0.0, 0.1, 0.3, 0.5, 1.0]),
        start=round(math.exp(draw.uniform(0, math.log(128)))),
        most=round(math.exp(draw.uniform(0, math.log(10_000)))) if draw.random() < 0.3 else 10_000,
        tick=latency * draw.choice([0, 0, 0, 0.01, 0.3, 1.0]),
        alone=draw.choice([1.0, 1.0, 0.33, 3.0, 0.0]),
        bad=draw.choice([0, 0, 0, 0.02, 0.2, 0.5]),
        stretch=draw.choice([0, 0, 200, 2000]),
    )
    kind = draw.choice(["slots", "slots", "degrades", "rejects", "rate", "timeout", "cpu", "source", "drift", "rare"])
    if kind == "degrades":
        case = replace(case, degrades=limit, power=draw.uniform(1, 3), start=min(case.start, 8 * limit))
    elif kind == "rejects":
        case = replace(case, rejects=limit, rejection=latency * math.exp(draw.uniform(math.log(0.02), 0)))
    elif kind == "rate":
        rate = limit / latency
        case = replace(
            case, rate=rate, burst=max(4, limit * draw.choice([1, 4])), rejection=latency * draw.uniform(0.02, 0.2)
        )
    elif kind == "timeout":
        case = replace(case, slots=limit, sigma=min(case.sigma, 0.3), timeout=latency * draw.uniform(4, 10))
    elif kind == "cpu":
        cores = draw.choice([1, 2, 4])
        case = replace(case, cores=cores, cpu=latency * cores / limit if limit > cores else latency)
    elif kind == "source":
        case = replace(case, slots=limit, source=limit / latency * draw.uniform(0.2, 0.9))
    elif kind == "rare":
        case = replace(case, slots=limit, rare=True)
    else:
        case = replace(case, slots=limit)
    crowd = case.start / limit if kind != "degrades" else max(1.0, case.start / limit) ** case.power
    floor = latency * max(200.0, 8 * crowd, 600 if kind == "rare" else 0)
    case = replace(case, seconds=max(floor, items / case.capacity))
    if kind == "drift":
        factor = draw.choice([0.2, 0.5, 3.0])
        case = replace(case, seconds=3 * case.seconds, drift=case.seconds, factor=max(1 / limit, factor))
    return case
