"""Files, a database and other programs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fit.grid import SERIAL, chunked, process_threads, processes, threads
from benchmarks.fit.workload import Workload

#: A connection for each thread.
_local = threading.local()


def digested(path: str) -> tuple[str, int]:
    """Read a small file, hash it, parse it."""
    data = Path(path).read_bytes()
    return hashlib.sha256(data).hexdigest(), sum(json.loads(data)["numbers"])


def insert(item: tuple[str, int]) -> int:
    """Write a row and commit it, on this thread's connection."""
    path, number = item
    connection = getattr(_local, "connection", None)
    if connection is None or _local.owner != (os.getpid(), path):
        connection = _local.connection = sqlite3.connect(path, timeout=60)
        _local.owner = os.getpid(), path
    with connection:
        connection.execute("INSERT INTO entries (number, word) VALUES (?, ?)", (number, f"word {number}"))
    return number


def sorted_by_program(text: str) -> str:
    """Have `sort` sort a few lines."""
    return subprocess.run(["sort"], input=text, capture_output=True, text=True, check=True).stdout


class SmallFiles(Workload):
    name = "small-files"
    what = "2000 files of 4 KB, each read, hashed and parsed, ten times over"
    full, quick, each = 20_000, 400, 8e-5
    grid = (SERIAL, *processes(), *threads(2, 4, 8, 32), *process_threads(2, 8), *chunked(4, 16, 64, 256))
    fn = staticmethod(digested)

    @contextmanager
    def setting(self) -> Iterator[None]:
        draw = random.Random(3)
        with tempfile.TemporaryDirectory() as folder:
            self.files = []
            for number in range(2000 if self.size == self.full else 50):
                file = Path(folder) / f"{number}.json"
                file.write_text(json.dumps({"numbers": [draw.randrange(10**5) for _ in range(590)]}))
                self.files.append(str(file))
            self.known = [digested(file) for file in self.files]
            yield

    def items(self) -> list[str]:
        return [self.files[x % len(self.files)] for x in range(self.size)]

    def expected(self) -> Iterable[Any]:
        return [self.known[x % len(self.known)] for x in range(self.size)]


class SqliteWrites(Workload):
    name = "sqlite-writes"
    what = "one row into one SQLite file, committed: a connection for each thread"
    full, quick, each = 25_000, 60, 6e-5
    grid = (SERIAL, *threads(2, 4, 8), *processes(1), *processes(), *process_threads(2), *chunked(16))
    fn = staticmethod(insert)

    @contextmanager
    def setting(self) -> Iterator[None]:
        # In memory where that can be: a disk that others use, too, takes 0.5 ms for a commit now and 10 ms then.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            self.path = str(Path(folder) / "entries.db")
            with closing(sqlite3.connect(self.path)) as connection, connection:
                connection.execute("CREATE TABLE entries (number INTEGER, word TEXT)")
            yield

    def items(self) -> list[tuple[str, int]]:
        return [(self.path, number) for number in range(self.size)]

    def expected(self) -> Iterable[Any]:
        return range(self.size)

    def wrong(self, results: list[Any]) -> str | None:
        with closing(sqlite3.connect(self.path)) as connection:
            found = sorted(number for (number,) in connection.execute("SELECT number FROM entries"))
        if found != list(range(self.size)):
            return f"{len(found)} rows ({len(set(found))} different ones) for {self.size} items"
        return super().wrong(results)


class Subprocesses(Workload):
    name = "subprocesses"
    what = "the program `sort`, given ten lines and waited for"
    full, quick, each = 2_000, 20, 1e-3
    grid = (*threads(2, 4, 8, 16), SERIAL, *processes(), *processes(4), *process_threads(2, 4), *chunked(1, 4))
    fn = staticmethod(sorted_by_program)

    def items(self) -> list[str]:
        draw = random.Random(5)
        return ["".join(f"{draw.randrange(1000):04}\n" for _ in range(10)) for _ in range(self.size)]

    def expected(self) -> Iterable[Any]:
        return ["".join(sorted(text.splitlines(keepends=True))) for text in self.items()]
