"""What is measured inside the fresh process that runs one cell: wall and CPU of its timed part.

harness (parent) --starts--> this process --starts--> [starter] --> workers
  samples memory               runs one cell, times a part of it, writes one JSON object
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Stay the ancestor of every descendant, daemonised ones too: none can leave the tree that is measured."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def process_tree(root: psutil.Process) -> list[psutil.Process]:
    """`root` and its living descendants, however deep: plait's workers are grandchildren."""
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(process: psutil.Process) -> float:
    """CPU seconds of one process (all its threads, ended ones too) and of the children it has reaped.

    The first part is the process's own CPU clock, in nanoseconds ((~pid << 3) | 2 is how Linux names it); the second is
    the kernel's RUSAGE_CHILDREN of that process, in ticks of 10 ms, and matters only if a worker ended meanwhile.
    """
    try:
        reaped = process.cpu_times()
        own = time.clock_gettime((~process.pid << 3) | 2)
    except (psutil.NoSuchProcess, OSError):
        return 0.0
    return own + reaped.children_user + reaped.children_system


def tree_cpu_seconds() -> float:
    """CPU seconds so far of this process and all its descendants, living or reaped."""
    return sum(map(cpu_seconds, process_tree(psutil.Process())))


def busy_cpu_seconds() -> float:
    """CPU seconds so far of the whole machine."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq


def own_peak_mb() -> float:
    """The kernel's high-water mark of this process's memory (not ru_maxrss, which a child inherits from its parent)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


class Meter:
    """Handed to every cell: `size` says how much work, `timed()` brackets it, `record` and `note` add to the result."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.figures: dict[str, float] = {}
        self.notes: list[str] = []
        self.began = self.ended = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time a block. Leave it before anything is closed: closing is a row of its own."""
        peak, busy, cpu = own_peak_mb(), busy_cpu_seconds(), tree_cpu_seconds()
        self.began = time.monotonic()
        yield
        self.ended = time.monotonic()
        cpu = tree_cpu_seconds() - cpu
        wall = self.ended - self.began
        # What others used of the machine meanwhile, in cores: a figure taken on a busy machine is worth less.
        foreign = max(0.0, (busy_cpu_seconds() - busy - cpu) / wall)
        self.record(wall=wall, cpu=cpu, foreign=foreign, own_growth=own_peak_mb() - peak)

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Record the wall seconds of a block as `name`."""
        start = time.perf_counter()
        yield
        self.record(**{name: time.perf_counter() - start})

    def record(self, **figures: float) -> None:
        self.figures.update(figures)

    def note(self, text: str) -> None:
        self.notes.append(text)


def serve(module: str, cell: str, size: int, answer: str) -> None:
    """Run one cell of `benchmarks.<module>` and write what it measured, or why it could not, to the file `answer`."""
    adopt_orphans()
    meter = Meter(size)
    outcome: dict[str, object] = {}
    try:
        row = importlib.import_module(f"benchmarks.{module}").ROW
        row.cells[cell].measure(meter)
    except ModuleNotFoundError as absent:
        outcome["error"] = f"{absent.name} is not installed"
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        outcome["error"] = f"{type(error).__name__}: {error}"
    outcome |= {"figures": meter.figures, "notes": meter.notes, "began": meter.began, "ended": meter.ended}
    Path(answer).write_text(json.dumps(outcome))
