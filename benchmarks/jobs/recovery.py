"""How soon the jobs of a worker that is killed run again, when another worker is there, on the same machine."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.jobs.stage import Crew, Stage, stage
from benchmarks.meter import Meter

JOBS, PATIENCE, WITHIN = 2, 30.0, 1.0
ROW = Row(
    name="jobs.recovery",
    work="kill -9 of a worker that runs two jobs, another one idle beside it: from the kill to the first job's rerun",
    target="under 1 s",
    figures=(
        Figure("median", "ms, median", scale=1e3),
        Figure("most", "ms at most", scale=1e3),
    ),
    size=10,
    quick=2,
    interval=1.0,
    limit=240.0,
)


def reran(at: Stage, numbers: range) -> float:
    """When the first of these jobs began again.

    Raises:
        RuntimeError: none did.
    """
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        again = [at.board.began[number] for number in numbers if at.board.runs[number] > 1]
        if again:
            return min(again)
        time.sleep(0.002)
    raise RuntimeError(f"no job ran again within {PATIENCE:.0f} s of the kill")


def killed_once(at: Stage, numbers: range, idle: float) -> float:
    """Seconds from the kill to the first rerun; idle: those that the other worker has been there before it."""
    jobs = at.app.jobs
    with Crew(at.folder) as first, Crew(at.folder) as second:
        first.launch(at.app.workers("recovery"))
        at.app.at_once([("hold", number) for number in numbers])
        if not at.board.begun(numbers, PATIENCE):
            raise RuntimeError(f"the jobs did not begin: {first.said()}")
        there = {view.id for view in jobs.store.workers()}
        second.launch(at.app.workers("recovery"))
        until = time.monotonic() + PATIENCE
        while not {view.id for view in jobs.store.workers()} - there and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(idle)
        killed = time.monotonic()
        os.kill(first.processes[0].pid, signal.SIGKILL)
        seconds = reran(at, numbers) - killed
        jobs.store.cancel([snapshot.id for snapshot in jobs.store.find(_everything())])  # nothing is left for the next
    return seconds


def _everything() -> object:
    from plait.jobs.protocol import LIVE
    from plait.jobs.records import Filter

    return Filter(states=tuple(LIVE), limit=1000)


def recovered(meter: Meter, store: str) -> None:
    with stage("with_plait", store, JOBS * meter.size) as at:
        with meter.timed():
            # What a worker does every second must not be met at the same moment each time: the waits differ.
            times = [
                killed_once(at, range(turn * JOBS, turn * JOBS + JOBS), 1.0 + turn / meter.size)
                for turn in range(meter.size)
            ]
        meter.record(median=statistics.median(times), most=max(times))


@ROW.cell("plait", "plait work, no options, twice; blocking jobs; SQLite")
def with_plait(meter: Meter) -> None:
    recovered(meter, "sqlite")


@ROW.cell("plait, PostgreSQL", "the same on PostgreSQL")
def with_plait_postgres(meter: Meter) -> None:
    recovered(meter, "postgres")


@ROW.verdict
def judge(medians: Medians) -> Iterator[Check]:
    for cell in medians.row.cells:
        half, most = medians.of(cell, "median"), medians.of(cell, "most")
        yield Check(f"{cell}: median {half * 1e3:.0f} ms, at most {most * 1e3:.0f} ms", half < WITHIN)
