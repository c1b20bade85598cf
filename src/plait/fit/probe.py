"""`Probe`: runs real items, each once, and measures them on the way.

The engine drives it in a thread of its own with nothing else of Plait running (other threads that use the GIL would be
taken for the item), keeps every result, and stops when `enough()`:

    with Probe() as probe:
        for item in items:
            result = probe.call(fn, item)
            if probe.enough():
                break
    evidence = probe.evidence()

Around each item only clocks are read that keep the GIL: letting it go there would let the canary in, and short Python
items would pass for items that release it. Time without a CPU, whose reading does let it go, is read every 10 ms.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from plait.fit.canary import Canary
from plait.fit.evidence import Evidence, Sample, cpu_share, gil_held, handing_over, item_seconds, since, typical_seconds
from plait.fit.sizes import size_of
from plait.machine import resident_bytes
from plait.machine.clocks import Reading, ThreadClock, switches

__all__ = ["Probe", "is_enough"]

R = TypeVar("R")

#: Seconds of items that are worth a decision, and how many of them must not be the first item's.
BUDGET, BEYOND_FIRST = 0.060, 0.030
#: A first item that long is evidence enough: a second one would cost as much again.
LONG = 0.100
#: Items, and seconds by the clock with all the waiting for the source, after which it is enough in any case.
MOST_ITEMS, MOST_SECONDS = 2000, 0.5
#: Items shorter than this, on average, cost more to hand over than to run, wherever to: so many of them tell.
TINY, TINY_ITEMS = 1e-6, 300
#: Seconds of items between two readings of the queue for a CPU.
SAMPLE = 0.010
#: Seconds of items after which a first guess is worth something.
LEANING = 0.012
#: Libraries whose functions may compute in several threads; what ours add, of an item's CPU time.
OWN_THREADS, OURS = {"numpy", "scipy", "torch", "polars", "pyarrow", "numba"}, 0.05
#: Items whose sizes are estimated.
WEIGHED = 8


def is_enough(items: int, first: float, rest: float, elapsed: float, imported: bool) -> bool:
    """Whether what was seen is worth a decision.

    Parameters:
        items: items seen.
        first: seconds of the first.
        rest: seconds of all others together.
        elapsed: seconds since the first began, time between items included.
        imported: the first item loaded modules, so that its time says little of the others.
    """
    if items < 2:
        return items == 1 and first > LONG and not imported
    if items >= MOST_ITEMS or elapsed > MOST_SECONDS or (items > TINY_ITEMS and rest < TINY * items):
        return True
    return rest >= BEYOND_FIRST and first + rest >= BUDGET


class Probe:
    """Measures real items until it is enough.

    **Concurrency**: to be used in one thread. **Cost**: one more thread from the first item on (see `Canary`), and
    about 2 microseconds an item. **Guarantee**: every item is called once.
    """

    def __init__(self) -> None:
        self._canary = Canary(self._inside)
        self._clock: ThreadClock | None = None
        self._closed = False
        self._reading = Reading(0.0)
        self._walls: list[float] = []
        self._cpus: list[float] = []
        self._samples: list[Sample] = []
        self._sizes: list[tuple[int, int]] = []
        self._resident = 0
        self._helped = self._alone = 0.0  # CPU seconds of all threads, and of the one that runs the items
        self._first_switches = self._switches = 0
        self._items = self._raised = self._imported = 0
        self._source = self._process = self._computed = 0.0
        self._started = self._first_ended = self._first = 0.0
        self._running_since = self._run = self._sampled = 0.0

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def call(self, fn: Callable[[Any], R], item: Any) -> R:
        """`fn(item)`, measured. Raises what it raises.

        Raises:
            ValueError: the probe was closed, or gave its evidence, before.
        """
        if self._clock is None:
            self._begin()
        done = False
        modules = 0 if self._items else len(sys.modules)
        cpu = time.thread_time()
        begun = self._running_since = time.perf_counter()
        try:
            result = fn(item)
            done = True
        finally:
            ended = time.perf_counter()
            self._cpus.append(min(time.thread_time() - cpu, ended - begun))
            self._computed += self._cpus[-1] if self._items else 0.0
            self._walls.append(ended - begun)
            self._run += ended - begun
            self._running_since = 0.0
            self._items += 1
            self._raised += not done
            if modules:
                self._imported, self._first, self._first_ended = len(sys.modules) - modules, ended - begun, ended
                self._first_switches = switches()
            if modules or self._run - self._sampled > SAMPLE:
                self._sample()
        if self._items <= WEIGHED:
            self._sizes.append((size_of(item), size_of(result)))
        return result

    def came(self, seconds: float) -> None:
        """The source took `seconds` for an item."""
        self._source += seconds

    @property
    def computes(self) -> bool:
        """Whether it looks, before all is known, as if items compute and hold the GIL."""
        if self._run < LEANING or self._computed < 0.6 * (self._run - self._first):
            return False
        held = gil_held(list(self._canary.ticks))
        return held is None or held > 0.3

    @property
    def so_far(self) -> tuple[int, float, float]:
        """Items, the seconds spent inside them, and their CPU seconds; without the first item's."""
        return self._items - 1, self._run - self._first, self._computed

    @property
    def spent(self) -> tuple[float, float]:
        """The seconds spent inside items, and their CPU seconds; the first item's, too. Once it is closed."""
        return self._run, sum(sum(sample.cpus) for sample in self._samples)

    def enough(self) -> bool:
        """Whether what was seen is worth a decision."""
        elapsed = time.perf_counter() - self._started
        return is_enough(self._items, self._first, self._run - self._first, elapsed, self._imported > 0)

    def evidence(self) -> Evidence:
        """What was measured. Ends the measuring: the canary is stopped.

        Raises:
            ValueError: no item was run.
        """
        self.close()
        if not self._samples:
            raise ValueError("The probe has run no item yet: call probe.call(fn, item) first.")
        alone = len(self._samples) == 1  # the first item is all there is
        samples = self._samples if alone else self._samples[1:]
        middle, longest, mean = typical_seconds([one for sample in samples for one in item_seconds(sample)])
        ticks = since(self._started if alone else self._first_ended, self._canary.ticks)
        sizes, share = self._sizes, cpu_share(samples, handing_over(ticks))
        return Evidence(
            items=self._items,
            seconds=middle,
            seconds_max=longest,
            seconds_mean=mean,
            cpu_share=share,
            gil_held=gil_held(ticks, share, 0 if alone else self._switches - self._first_switches),
            first_call=self._first,
            bytes_in=sum(size for size, _ in sizes) / len(sizes) if sizes else None,
            bytes_out=sum(size for _, size in sizes) / len(sizes) if sizes else None,
            source=self._source / self._items,
            threads=self._threads(),
            growth=max(0, (resident_bytes(os.getpid()) or 0) - self._resident) / self._items,
            raised=self._raised,
            notes=self._notes(alone),
        )

    def close(self) -> None:
        """Stop measuring. Safe to call twice, and without any item run."""
        self._closed = True
        if self._clock is not None:
            if self._walls:
                self._sample()
            self._switches = switches()
            self._canary.__exit__(None, None, None)
            self._clock.close()
            self._clock = None

    def _begin(self) -> None:
        if self._closed:
            raise ValueError("This probe is closed: make a new one.")
        clock = ThreadClock()
        self._canary.__enter__()
        self._clock, self._started = clock, time.perf_counter()
        self._resident = resident_bytes(os.getpid()) or 0
        self._reading, self._process = clock.read(), time.process_time()

    def _sample(self) -> None:
        """Close a sample: the first item's is its own."""
        before, now = self._reading, self._clock.read() if self._clock else self._reading
        process = time.process_time()
        helped, alone = process - self._process, now.cpu - before.cpu
        if len(self._samples) == 1:  # the first item's counts only as long as it is all there is
            self._helped = self._alone = 0.0
        self._helped += helped
        self._alone += alone
        self._process = process
        cpus = tuple(self._cpus)
        queued = None
        if before.queued is not None and now.queued is not None:
            # The queue was met inside items and between them: in proportion to the CPU time of either.
            share = min(1.0, sum(cpus) / max(now.cpu - before.cpu, 1e-9))
            queued = (now.queued - before.queued) * share
        switches = now.voluntary - before.voluntary, now.involuntary - before.involuntary
        self._samples.append(Sample(tuple(self._walls), cpus, queued, *switches))
        self._reading, self._sampled = now, self._run
        self._walls.clear()
        self._cpus.clear()

    def _threads(self) -> float:
        """Threads that items compute in, where a library is there that brings its own: others' are not theirs."""
        if not OWN_THREADS & sys.modules.keys() or self._alone < SAMPLE:
            return 1.0
        threads = self._helped / self._alone - OURS
        return threads if threads > 1.3 else 1.0

    def _inside(self) -> float:
        """Seconds spent inside items so far, for the canary (which calls it from its own thread)."""
        begun, run = self._running_since, self._run
        return run + (time.perf_counter() - begun if begun else 0.0)

    def _notes(self, alone: bool) -> tuple[str, ...]:
        notes = []
        if alone:
            notes.append("one item was measured, its first-call costs included")
        if self._imported > 0:
            notes.append(f"the first item loaded {self._imported} modules")
        if self._raised:
            notes.append(f"{self._raised} of {self._items} measured items raised")
        return tuple(notes)
