"""What one more stage costs an item that it does nothing to: fused with its neighbour, and across a queue.

Every engine runs a short chain and a long one over the same items, in turns; the difference, by items and stages
added, is the figure. Starting and whatever the first stage costs cancel out.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import drain, noop, numbers, warmed

TURNS = 3
ADDED = Figure("added", "us/item and stage added")
FUSED, QUEUED = "plait, fused", "plait, across a queue"
ROW = Row(
    name="flow.noops",
    work="a stage of no-ops added to a flow of no-ops",
    target="under 0.3 us an item where it is fused, under 3 us across a queue",
    figures=(ADDED,),
    size=200_000,
    quick=10_000,
    interval=0.5,
    limit=60.0,
)
Chain = Callable[[Iterable[int]], Iterable[int]]


def added(meter: Meter, short: Chain, long: Chain, stages: int, share: float = 1) -> None:
    """Record the microseconds that each of `stages` further stages adds to an item: the best of some turns each.

    Parameters:
        share: of the items, for those that would take too long.
    """
    count = int(meter.size * share)
    warmed(short)
    warmed(long)
    seconds: dict[Chain, list[float]] = {short: [], long: []}
    with meter.timed():
        for _ in range(TURNS):
            for chain, found in seconds.items():
                start = time.perf_counter()
                drain(chain(numbers(count)))
                found.append(time.perf_counter() - start)
    extra = min(seconds[long]) - min(seconds[short])
    meter.record(added=max(0.0, extra) / stages / count * 1e6, first=min(seconds[short]) / count * 1e6)


def of_plait(first: dict[str, Any], others: dict[str, Any], stages: int) -> Callable[[Meter], None]:
    import plait

    def short(items: Iterable[int]) -> Any:
        return plait.flow(items).map(noop, **first)

    def long(items: Iterable[int]) -> Any:
        flow = short(items)
        for _ in range(stages):
            flow = flow.map(noop, **others)
        return flow

    return lambda meter: added(meter, short, long, stages)


@ROW.cell(FUSED, "1 and 5 stages, no options")
def plait_fused(meter: Meter) -> None:
    of_plait({}, {}, 4)(meter)


@ROW.cell("plait, serial named", "1 and 5 stages, all model='serial'", against=FUSED)
def plait_serial(meter: Meter) -> None:
    of_plait({"model": "serial"}, {"model": "serial"}, 4)(meter)


@ROW.cell("builtin map", "1 and 5 maps in each other", against=FUSED)
def builtin(meter: Meter) -> None:
    def long(items: Iterable[int]) -> Iterable[int]:
        for _ in range(5):
            items = map(noop, items)
        return items

    added(meter, lambda items: map(noop, items), long, 4)


@ROW.cell("streamable", "1 and 5 map(noop), concurrency=1", against=FUSED)
def with_streamable(meter: Meter) -> None:
    from streamable import stream

    def long(items: Iterable[int]) -> Any:
        chain = stream(items)
        for _ in range(5):
            chain = chain.map(noop)
        return chain

    added(meter, lambda items: stream(items).map(noop), long, 4)


@ROW.cell(QUEUED, "a second stage, model='threads', width=1, behind one that is model='serial'", against=QUEUED)
def plait_queued(meter: Meter) -> None:
    of_plait({"model": "serial"}, {"model": "threads", "width": 1}, 1)(meter)


@ROW.cell("plait, to processes", "a second stage, model='processes', workers=1, behind a serial one", against=QUEUED)
def plait_processes(meter: Meter) -> None:
    of_plait({"model": "serial"}, {"model": "processes", "workers": 1}, 1)(meter)


def through_thread(items: Iterable[int]) -> Iterator[int]:
    """A bounded queue with a thread behind it, an item at a time, as in every textbook."""
    waiting: queue.Queue[Any] = queue.Queue(1000)
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    end = object()

    def work() -> None:
        while (item := waiting.get()) is not end:
            done.put(noop(item))
        done.put(end)

    def feed() -> None:
        for item in items:
            waiting.put(item)
        waiting.put(end)

    threads = [threading.Thread(target=work, daemon=True), threading.Thread(target=feed, daemon=True)]
    for thread in threads:
        thread.start()
    yield from iter(done.get, end)


@ROW.cell("queue.Queue by hand", "a bounded queue with a thread behind it, an item at a time", against=QUEUED)
def by_hand(meter: Meter) -> None:
    added(meter, lambda items: map(noop, items), lambda items: through_thread(map(noop, items)), 1)


@ROW.cell("streamable, buffer", "map -> buffer(1000) -> map, against map -> map", against=QUEUED)
def streamable_buffer(meter: Meter) -> None:
    from streamable import stream

    def short(items: Iterable[int]) -> Any:
        return stream(items).map(noop)

    added(meter, short, lambda items: short(items).buffer(1000).map(noop), 1)


@ROW.cell("pypeln.thread", "1 and 2 stages of one thread, maxsize=1000; a tenth of the items", against=QUEUED)
def with_pypeln(meter: Meter) -> None:
    from pypeln import thread

    def short(items: Iterable[int]) -> Any:
        return thread.map(noop, items, maxsize=1000)

    added(meter, short, lambda items: thread.map(noop, short(items), maxsize=1000), 1, share=0.1)


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    fused, serial = medians.of(FUSED, "added"), medians.of("plait, serial named", "added")
    yield Check(f"fused: {fused:.2f} us (all named serial: {serial:.2f} us)", max(fused, serial) < 0.3)
    for cell in (QUEUED, "plait, to processes"):
        each = medians.of(cell, "added")
        yield Check(f"{cell.removeprefix('plait, ')}: {each:.2f} us", each < 3)
