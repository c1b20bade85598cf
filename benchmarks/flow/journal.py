"""A journal that is on: how much slower items of a millisecond get, and how fast no-ops are recorded."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.burn import MILLISECOND, burn
from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import noop, numbers

TURNS, WARM = 2, 100
ROW = Row(
    name="flow.journal",
    work="a flow with a journal",
    target="items of 1 ms at most 10 % slower; at least 50,000 items/s recorded",
    figures=(
        Figure("recording", "us/no-op recorded", 1e6),
        Figure("replaying", "us/no-op replayed", 1e6),
        Figure("slower", "of the time without, items of 1 ms", compared=False),
    ),
    size=100_000,
    quick=5_000,
    interval=0.5,
    limit=90.0,
)
PER_SECOND, SLOWER = 50_000, 1.10


def millisecond(x: int) -> int:
    burn(MILLISECOND)
    return x


def checked(results: Iterable[int], count: int) -> float:
    """Seconds until all results are there; they are the items, in order."""
    start = time.perf_counter()
    found = list(results)
    seconds = time.perf_counter() - start
    if found != list(range(count)):
        raise RuntimeError("the results are not the items")
    return seconds


@ROW.cell("plait", "flow(items).map(fn).run(journal=path): no other options")
def with_plait(meter: Meter) -> None:
    import plait

    def run(fn: Any, count: int, path: Path | None) -> float:
        return checked(plait.flow(numbers(count)).map(fn).run(journal=path), count)

    with tempfile.TemporaryDirectory() as folder:
        paths = (Path(folder) / f"{number}.journal" for number in range(100))
        for fn in (noop, millisecond):
            run(fn, WARM, None)
            run(fn, WARM, next(paths))
        count, seconds = meter.size // 80, {False: 0.0, True: 0.0}
        with meter.timed():
            for _ in range(TURNS):
                for journal in (False, True):
                    seconds[journal] += run(millisecond, count, next(paths) if journal else None)
            kept = next(paths)
            recording = run(noop, meter.size, kept)
            replaying = run(noop, meter.size, kept)
    meter.record(recording=recording / meter.size, replaying=replaying / meter.size)
    meter.record(slower=seconds[True] / seconds[False])


def key_of(item: Any) -> bytes:
    return hashlib.blake2b(json.dumps(item).encode(), digest_size=16).digest()


def recorded_in_lines(items: Iterable[int], path: Path) -> Iterator[int]:
    known: dict[str, int] = {}
    if path.exists():
        with path.open() as lines:
            known = {entry["key"]: entry["result"] for entry in map(json.loads, lines)}
    with path.open("a") as lines:
        for item in items:
            key = key_of(item).hex()
            if key not in known:
                known[key] = noop(item)
                lines.write(json.dumps({"key": key, "result": known[key]}) + "\n")
                lines.flush()
            yield known[key]


def recorded_in_sqlite(items: Iterable[int], path: Path) -> Iterator[int]:
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=NORMAL")
        base.execute("CREATE TABLE IF NOT EXISTS finished (key BLOB PRIMARY KEY, result TEXT) WITHOUT ROWID")
        fresh: list[tuple[bytes, str]] = []
        for item in items:
            key = key_of(item)
            row = base.execute("SELECT result FROM finished WHERE key = ?", (key,)).fetchone()
            if row is None:
                result = noop(item)
                fresh.append((key, json.dumps(result)))
                if len(fresh) == 500:
                    with base:
                        base.executemany("INSERT INTO finished VALUES (?, ?)", fresh)
                    fresh.clear()
            else:
                result = json.loads(row[0])
            yield result
        with base:
            base.executemany("INSERT INTO finished VALUES (?, ?)", fresh)


def recorded_twice(meter: Meter, recorded: Any, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, meter.timed():
        path = Path(folder) / "journal"
        recording, replaying = (checked(recorded(numbers(count), path), count) for _ in range(2))
    meter.record(recording=recording / count, replaying=replaying / count)


@ROW.cell("JSON lines by hand", "a hash of the item, a line for each result, flushed; serial, no-ops only")
def with_lines(meter: Meter) -> None:
    recorded_twice(meter, recorded_in_lines, meter.size)


@ROW.cell("SQLite by hand", "a hash of the item, WAL, 500 rows a transaction; serial, no-ops only")
def with_sqlite(meter: Meter) -> None:
    recorded_twice(meter, recorded_in_sqlite, meter.size)


@ROW.cell("joblib.Memory", "a cached no-op, called in a loop, 1 % of the items: it keeps a folder an item")
def with_joblib(meter: Meter) -> None:
    from joblib import Memory

    def recorded(items: Iterable[int], path: Path) -> Iterator[int]:
        return map(Memory(path, verbose=0).cache(noop), items)

    recorded_twice(meter, recorded, meter.size // 100)


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    slower = medians.of("plait", "slower")
    yield Check(f"items of 1 ms: {slower:.3f} of the time without", slower <= SLOWER)
    rate = 1 / medians.of("plait", "recording")
    yield Check(f"{rate:,.0f} no-ops/s recorded", rate >= PER_SECOND)
