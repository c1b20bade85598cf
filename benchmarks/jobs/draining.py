"""Filling a queue and having it worked off: what the rows `drain`, `postgres` and `mixed` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.harness import Figure
from benchmarks.jobs.stage import Stage, stage
from benchmarks.jobs.work import Call
from benchmarks.meter import Meter

__all__ = ["FIGURES", "drained", "noops", "settled"]

FIGURES = (
    Figure("per_job", "us/job from the first job's start", scale=1e6),
    Figure("rate", "jobs/s from the first job's start", compared=False),
    Figure("launched", "jobs/s from the worker's launch", compared=False),
    Figure("cpu_job", "us CPU/job, server included", scale=1e6),
)


def noops(count: int) -> list[Call]:
    return [("noop", number) for number in range(count)]


def drained(
    meter: Meter,
    app: str,
    store: str,
    calls: list[Call],
    purpose: str = "noops",
    limit: float = 60.0,
    after: Callable[[Meter, Stage], None] = lambda meter, at: None,
) -> None:
    """Enqueue all calls, start one worker (whatever processes it makes), and time it until the last job has ended.

    Parameters:
        limit: seconds after which it is cut; the figures are of the jobs that have ended.
        after: looks at what there is then, the worker still running.
    """
    with stage(app, store, len(calls)) as at:
        at.fill(calls)
        with meter.timed():
            launched = at.launch(purpose)
            complete = at.until_over(limit)
        marks, done = at.board, at.board.done()
        first = min(marks.began[number] for number in done)
        took = max(marks.ended[number] for number in done) - first
        meter.record(took=took, whole=took + first - launched, per_job=took / len(done), rate=len(done) / took)
        meter.record(launched=len(done) / (took + first - launched), cpu_job=meter.figures["cpu"] / len(done))
        if not complete:
            meter.note(f"cut after {limit:.0f} s: {len(done):,} of {len(calls):,} jobs had ended")
        if marks.repeated():
            meter.note(f"{marks.repeated()} jobs ran more than once")
        after(meter, at)


def settled(meter: Meter, at: Stage, limit: float = 20.0) -> None:
    """Note how long after the last job's end plait's store had everything on disk.

    Raises:
        RuntimeError: it had not, in so many seconds.
    """
    last, until = max(at.board.ended), time.monotonic() + limit
    store = at.app.jobs.store
    while any(view.counts.get(state) for view in store.queues() for state in ("scheduled", "waiting", "running")):
        if time.monotonic() > until:
            raise RuntimeError(f"jobs that have ended are not settled after {limit:.0f} s")
        time.sleep(0.001)
    meter.record(settled=max(0.0, time.monotonic() - last))
