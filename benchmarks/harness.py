"""Rows, cells, and how they are measured: every measurement in a fresh process, subject and peers taking turns.

A row is one line of the issue's table. A cell is one engine doing the row's work. With runs=3 and cells A, B, C the
order is A B C A B C A B C, so that a noisy minute hits all of them alike; what counts is the median.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import psutil

from benchmarks.meter import Meter, adopt_orphans, process_tree

ROOT = Path(__file__).resolve().parent.parent
MB = 1024 * 1024


class NotMeasured(Exception):
    """A check needs a figure that no run delivered; the message says whose."""


@dataclass(frozen=True)
class Figure:
    """A measured quantity that a row compares: its key, its unit, and what turns seconds (or MB) into that unit.

    Parameters:
        per_item: divide by the row's size.
        compared: whether a ratio to plait's says anything.
    """

    key: str
    unit: str
    scale: float = 1.0
    per_item: bool = False
    compared: bool = True


@dataclass(frozen=True)
class Cell:
    """One engine doing a row's work, with the settings that its figures hold for."""

    name: str
    settings: str
    measure: Callable[[Meter], None]
    against: str


@dataclass(frozen=True)
class Check:
    """One part of a target, in words and figures. `met` is None when a figure is missing."""

    text: str
    met: bool | None


@dataclass
class Row:
    """One line of the issue's table.

    Parameters:
        name: the file's name, for `--only`.
        size, quick: how much work, in full and with `--quick`.
        least_runs: some measurements are so short that they are repeated more often.
        proportional: sample PSS (shared pages shared out) rather than RSS; dearer, so only where memory is judged.
        interval: seconds between two samples of memory.
        limit: seconds after which a cell is given up.
    """

    name: str
    work: str
    target: str
    figures: tuple[Figure, ...]
    size: int
    quick: int
    least_runs: int = 1
    proportional: bool = False
    interval: float = 0.1
    limit: float = 300.0
    cells: dict[str, Cell] = field(default_factory=dict)
    checks: Callable[[Medians], Iterator[Check]] | None = None

    def cell(self, name: str, settings: str, against: str | None = None) -> Callable[..., Callable[[Meter], None]]:
        """Decorator: one engine. `against` names the plait cell it is compared with; by default the row's first."""

        def add(measure: Callable[[Meter], None]) -> Callable[[Meter], None]:
            first = next(iter(self.cells), name)
            self.cells[name] = Cell(name, settings, measure, against or (name if name.startswith("plait") else first))
            return measure

        return add

    def verdict(self, checks: Callable[[Medians], Iterator[Check]]) -> Callable[[Medians], Iterator[Check]]:
        """Decorator: what the target asks, as checks over the medians."""
        self.checks = checks
        return checks


@dataclass(frozen=True)
class Medians:
    """What was measured for a row: every run's figures, by cell."""

    row: Row
    runs: dict[str, list[dict[str, float]]]
    notes: dict[str, list[str]]
    size: int

    def values(self, cell: str, key: str) -> list[float]:
        return [figures[key] for figures in self.runs.get(cell, ()) if key in figures]

    def of(self, cell: str, key: str) -> float:
        """The median of a figure in its raw unit (seconds, MB).

        Raises:
            NotMeasured: no run of that cell delivered it.
        """
        values = self.values(cell, key)
        if not values:
            why = "; ".join(self.notes.get(cell, ())) or "not measured"
            raise NotMeasured(f"{cell}: no figure '{key}' ({why})")
        return statistics.median(values)

    def shown(self, cell: str, figure: Figure) -> float:
        """The median in the figure's unit."""
        return self.of(cell, figure.key) * self.unit_scale(figure)

    def ratio(self, cell: str, figure: Figure) -> float:
        """How many times plait's figure this cell's is: above 1, plait is better.

        Raises:
            NotMeasured: one of the two has no figure, or plait's is nothing that can be divided by.
        """
        theirs, ours = self.of(cell, figure.key), self.of(self.row.cells[cell].against, figure.key)
        if ours <= 0 or not figure.compared:
            raise NotMeasured(f"{cell}: no ratio to {ours:g}")
        return theirs / ours

    def ratio_or_nan(self, cell: str, figure: Figure) -> float:
        try:
            return self.ratio(cell, figure)
        except NotMeasured:
            return math.nan

    def unit_scale(self, figure: Figure) -> float:
        """What turns the raw figure into its unit."""
        return figure.scale / (self.size if figure.per_item else 1)

    def judged(self) -> list[Check]:
        found: list[Check] = []
        try:
            found.extend(self.row.checks(self) if self.row.checks else ())
        except NotMeasured as missing:
            found.append(Check(str(missing), None))
        return found


@dataclass(frozen=True)
class Sample:
    at: float
    mb: float
    processes: int


def memory_mb(process: psutil.Process, proportional: bool) -> float:
    """RSS, or PSS where the kernel tells it: pages shared by n processes count 1/n in each, so that a sum is honest."""
    try:
        if proportional:
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    return int(line.split()[1]) / 1024
        return process.memory_info().rss / MB
    except (psutil.Error, OSError):  # it has ended since it was listed
        return 0.0


def sample(root: psutil.Process, proportional: bool) -> Sample:
    sizes = [memory_mb(process, proportional) for process in process_tree(root)]
    return Sample(time.monotonic(), sum(sizes), sum(size > 0 for size in sizes))


@cache
def bare_interpreters_mb(count: int, proportional: bool) -> float:
    """What `count` Python processes that do nothing take together: the interpreter's own memory."""
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    idle = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in idle:
            if process.stdout:
                process.stdout.readline()  # it is up
        return sum(memory_mb(psutil.Process(process.pid), proportional) for process in idle)
    finally:
        for process in idle:
            process.communicate()


def memory_figures(samples: list[Sample], began: float, ended: float, proportional: bool) -> dict[str, float]:
    """Peak of the tree, what of it is beyond bare interpreters, and growth: second half's peak less the first's."""
    inside = [one for one in samples if began <= one.at <= ended]
    if len(inside) < 2:
        return {"peak": max(one.mb for one in samples)} if samples else {}
    top = max(inside, key=lambda one: one.mb)
    halves = inside[: len(inside) // 2], inside[len(inside) // 2 :]
    growth = max(one.mb for one in halves[1]) - max(one.mb for one in halves[0])
    beyond = top.mb - bare_interpreters_mb(top.processes, proportional)
    return {"peak": top.mb, "beyond": beyond, "growth": growth, "processes": top.processes}


def measure_cell(row: Row, cell: Cell, size: int) -> tuple[dict[str, float], list[str]]:
    """One measurement in a fresh process: its figures, and notes (an error is a note, and then figures are none)."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        # -c and not -m: spawned workers of peers re-import a main module that has a name, and would pay for it.
        code = f"from benchmarks.meter import serve; serve({row.name!r}, {cell.name!r}, {size}, {str(answer)!r})"
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
        root = psutil.Process(process.pid)
        samples, late = watch(process, root, row)
        left_behind = end_descendants()
        if not answer.exists():
            why = f"no result in {row.limit:.0f} s" if late else f"died with exit status {process.returncode}"
            return {}, [why]
        outcome = json.loads(answer.read_text())
    notes = list(outcome["notes"])
    notes += [f"left {left_behind} processes behind"] if left_behind else []
    notes += ["did not exit by itself"] if late else []
    if "error" in outcome:
        return {}, [outcome["error"], *notes]
    memory = memory_figures(samples, outcome["began"], outcome["ended"], row.proportional)
    return memory | outcome["figures"], notes


def watch(process: subprocess.Popen[bytes], root: psutil.Process, row: Row) -> tuple[list[Sample], bool]:
    """Sample the tree's memory until the cell's process ends; True if it had to be ended."""
    samples: list[Sample] = []
    give_up = time.monotonic() + row.limit
    while time.monotonic() < give_up:
        samples.append(sample(root, row.proportional))
        try:
            process.wait(row.interval)
            return samples, False
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    process.wait()
    return samples, True


def end_descendants() -> int:
    """End what a cell left running (its orphans come to us, see `adopt_orphans`) and count it."""
    # Those that go by themselves within 2 s of their parent's end were not left behind.
    _gone, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=2)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)
    return len(alive)


def measure_row(row: Row, runs: int, quick: bool, progress: Callable[[str], None]) -> Medians:
    """All runs of all cells of a row, taking turns. A cell that failed once is not tried again."""
    adopt_orphans()
    size = row.quick if quick else row.size
    measured = Medians(row, {name: [] for name in row.cells}, {name: [] for name in row.cells}, size)
    failed: set[str] = set()
    total = runs if quick else max(runs, row.least_runs)
    for turn in range(total):
        for name, cell in row.cells.items():
            if name in failed:
                continue
            progress(f"{row.name}: {name}, run {turn + 1} of {total}")
            figures, notes = measure_cell(row, cell, size)
            measured.notes[name] += [note for note in notes if note not in measured.notes[name]]
            if figures:
                measured.runs[name].append(figures)
            else:
                failed.add(name)
    return measured
