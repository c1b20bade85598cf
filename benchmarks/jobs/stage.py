"""`Stage`: everything that one engine needs for one measurement: its server, its queue, its workers; and their end.

An engine is a module of `apps`, which finds its server's URL in the environment and has

    prepare()           makes tables and the like
    one_by_one(calls)   enqueues each call by itself, as the engine's users do, in a loop over `work.asking(calls)`
    at_once(calls)      enqueues them as fast as the engine can; missing where it has nothing for that
    workers(purpose)    the commands that start its worker, for "noops", "latency" or "mixed"
    close()             lets go of its connections; missing where nothing complains
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.jobs import servers
from benchmarks.jobs.board import Board, board
from benchmarks.jobs.work import Call
from benchmarks.meter import process_tree

__all__ = ["CORES", "URL", "Crew", "Stage", "stage"]

CORES = len(os.sched_getaffinity(0))
#: Names the server, for the processes that run jobs.
URL = "PLAIT_BENCH_URL"
ROOT = Path(__file__).resolve().parents[2]


class Crew:
    """Worker processes. They are killed, with all their descendants, when it is left: ending well is not measured."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def launch(self, commands: Sequence[Sequence[str]]) -> float:
        """Start them; when that was."""
        launched = time.monotonic()
        for command in commands:
            with (self._folder / f"worker-{len(self.processes)}.log").open("wb") as said:
                self.processes.append(
                    subprocess.Popen(
                        [sys.executable, *command], cwd=ROOT, stdout=said, stderr=said, start_new_session=True
                    )
                )
        return launched

    def said(self) -> str:
        """The last line that a worker wrote: why it did nothing, perhaps."""
        for number in range(len(self.processes)):
            log = self._folder / f"worker-{number}.log"
            lines = log.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1].strip()[:160].replace(str(self._folder), "").replace(str(ROOT), "")
        return "its workers said nothing"

    def end(self) -> None:
        """Kill all of them."""
        alive: list[psutil.Process] = []
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                alive += process_tree(psutil.Process(process.pid))
        for one in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(alive, timeout=10)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        self.processes.clear()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()


class Stage:
    """One engine, ready to be measured.

    Attributes:
        app: its module. url: its server's. folder: for files; gone afterwards. board: what its jobs do.
    """

    def __init__(self, app: str, url: str, folder: Path, size: int) -> None:
        self.url, self.folder = url, folder
        os.environ[URL] = url
        self.board = Board.made(folder / "board", size)
        board.cache_clear()
        self.crew = Crew(folder)
        self.app: Any = importlib.import_module(f"benchmarks.jobs.apps.{app}")
        self.app.prepare()

    def fill(self, calls: list[Call]) -> None:
        """Enqueue all of them, by whatever way is the fastest."""
        getattr(self.app, "at_once", self.app.one_by_one)(calls)

    def launch(self, purpose: str) -> float:
        """Start the engine's worker; when that was."""
        return self.crew.launch(self.app.workers(purpose))

    def until_over(self, limit: float, count: int | None = None) -> bool:
        """Wait until all jobs (or those below `count`) have ended.

        Raises:
            RuntimeError: none has, in so many seconds.
        """
        if self.board.wait(limit, count):
            return True
        if not self.board.done():
            raise RuntimeError(f"no job ran in {limit:.0f} s: {self.crew.said()}")
        return False


@contextmanager
def stage(app: str, store: str, size: int) -> Iterator[Stage]:
    """An engine over "sqlite", "redis" or "postgres", for jobs numbered from 0 to `size`."""
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="plait-bench-")))
        folder.chmod(0o755)  # PostgreSQL may run as somebody else
        if store == "sqlite":
            url = f"sqlite:///{folder / 'jobs.db'}"
        else:
            url = ending.enter_context(servers.redis(folder) if store == "redis" else servers.postgres(folder))
        made = Stage(app, url, folder, size)
        ending.callback(getattr(made.app, "close", lambda: None))
        ending.enter_context(made.crew)
        yield made
