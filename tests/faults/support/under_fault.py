"""Workers that are real processes, with a fault planned for them; and the history that they have written."""

import contextlib
import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from plait.jobs.protocol import ENDED, LIVE, State
from plait.jobs.records import Filter

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
_numbers = itertools.count(1)
#: Seconds within which other workers look for leases that have run out, and somewhat more.
LOOK = 1.5


class Said(NamedTuple):
    """A line of a task's."""

    at: int
    what: str
    job: int
    token: int
    pid: int
    about: str


def pulses(worker: psutil.Process) -> list[psutil.Process]:
    """The processes that renew a worker's lease."""
    return [child for child in worker.children() if _is_pulse(child)]


def _is_pulse(process: psutil.Process) -> bool:
    try:
        return "worker.pulse" in " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return False


def family(worker: psutil.Process) -> list[psutil.Process]:
    """A worker and every process of its."""
    return [psutil.Process(worker.pid), *worker.children(recursive=True)]


class Scene:
    """A store, the workers on it, and what their tasks have written down.

    Parameters:
        folder: where logs go. url: of the store.
    """

    def __init__(self, folder: Path, url: str, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.url = folder, url
        self.log, self.hits = folder / "log", folder / "hits"
        patch.setenv("FAULTS_URL", url)
        patch.setenv("FAULTS_LOG", str(self.log))
        self._loaded: list[Any] = []
        self.app = self.load("app.py")
        self.store = self.app.jobs.store
        self.workers: list[psutil.Popen] = []
        self._started = 0

    def worker(self, fault: str = "", *, lease: float | None = None, args: tuple[str, ...] = (), **more: str) -> Any:
        """Start one; it ends with the test."""
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (HERE, ROOT / "src", ROOT))),
            "FAULT": fault,
            "FAULT_HITS": str(self.hits),
            "FAULT_LEASE": "" if lease is None else str(lease),
            **more,
        }
        self._started += 1
        with (self.folder / f"worker-{self._started}.log").open("w") as said:
            made = psutil.Popen(
                [sys.executable, "-m", "plait", "work", str(HERE / more.get("FAULTS_APP", "app.py")) + ":jobs", *args],
                env=environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.workers.append(made)
        return made

    def load(self, name: str) -> Any:
        """The jobs of a file, for this test."""
        spec = importlib.util.spec_from_file_location(f"app_{next(_numbers)}", HERE / name)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self._loaded.append(module)
        return module

    def go(self) -> None:
        """Let the jobs of `gated` end."""
        Path(f"{self.log}.go").touch()

    def seats(self, what: str = "begin") -> set[int]:
        """The processes in which jobs have begun."""
        return {said.pid for said in self.history() if said.what == what}

    def words(self) -> str:
        """What the workers said, for a test that fails."""
        logs = sorted(self.folder.glob("worker-*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)

    def enlisted(self, count: int = 1) -> bool:
        """Whether that many workers are registered."""
        return len(self.store.workers()) >= count

    def leases_over(self) -> Callable[[], bool]:
        """Whether the leases that workers have now would have run out by then, and whoever looks have seen it."""
        over = time.monotonic() + max(view.lease for view in self.store.workers()) + LOOK
        return lambda: time.monotonic() > over

    def history(self) -> list[Said]:
        """All lines so far."""
        if not self.log.exists():
            return []
        lines = [line.split(" ", 5) for line in self.log.read_text().splitlines()]
        return [Said(int(at), what, *map(int, numbers), about) for at, what, *numbers, about in lines]

    def count(self, what: str) -> Counter[int]:
        """How often each job has begun, or ended."""
        return Counter(said.job for said in self.history() if said.what == what)

    def met(self) -> list[str]:
        """The faults that have happened: role, method, when."""
        lines = self.hits.read_text().splitlines() if self.hits.exists() else []
        return [" ".join(line.split()[1:4]) for line in lines]

    def left(self) -> int:
        """Jobs that have not ended."""
        return len(self.store.find(Filter(states=tuple(LIVE), limit=100_000)))

    def tokens(self) -> dict[int, tuple[int, int]]:
        """Of each ended job: its attempt, and the token under which it was settled."""
        rows = self.store.read(lambda session: session.rows("SELECT id, attempt, token FROM plait_done"))
        return {job: (attempt, token) for job, attempt, token in rows}

    def rows(self, sql: str) -> list[Any]:
        """What the store's tables say."""
        return self.store.read(lambda session: session.rows(sql))

    def end(self) -> None:
        """Kill what still runs."""
        for worker in self.workers:
            others: list[psutil.Process] = []
            with contextlib.suppress(psutil.Error, OSError):
                others += worker.children(recursive=True)
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            for other in others:  # who was stopped by the test sees now that its worker is gone
                with contextlib.suppress(psutil.Error):
                    other.send_signal(signal.SIGCONT)
            worker.wait(30)
        for module in self._loaded:
            module.jobs.close()

    # --- what has to hold -------------------------------------------------------------------------------------------

    def assert_all_ended(self) -> dict[int, State]:
        """Each job is in one end state, and nothing is held for one that has ended; the states."""
        found = self.store.find(Filter(limit=100_000))
        states = {view.id: view.state for view in found}
        assert len(states) == len(found), "a job is in two states"
        assert {state for state in states.values() if state not in ENDED} == set()
        assert self.rows("SELECT gate, job FROM plait_slot") == [], "places were leaked"
        assert self.rows("SELECT key FROM plait_uniq WHERE until IS NULL") == [], "a unique key was leaked"
        assert self.rows("SELECT id FROM plait_grp WHERE then_ IS NOT NULL OR open <> 0") == [], "a group did not end"
        return states

    def assert_fenced(self, results: dict[int, int]) -> None:
        """What was stored of each job came from the attempt whose token was its last, and that attempt did end."""
        ended = {(said.job, said.token) for said in self.history() if said.what == "end"}
        settled = self.tokens()
        for job, token in results.items():
            assert settled[job][1] == token, f"job {job}: settled under {settled[job][1]}, its result has {token}"
            assert (job, token) in ended, f"job {job}: nobody has ended it with the token {token}"

    def assert_never_more_than(self, cap: int, jobs: dict[int, str]) -> None:
        """Of the jobs with one key never more than `cap` ran at once."""
        spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        open_: dict[tuple[int, int, int], int] = {}
        for said in self.history():
            if said.job not in jobs:
                continue
            which = said.job, said.token, said.pid
            if said.what == "begin":
                open_[which] = said.at
            elif which in open_:
                spans[jobs[said.job]].append((open_.pop(which), said.at))
        for key, its in spans.items():
            steps = sorted([(begin, 1) for begin, _ in its] + [(end, -1) for _, end in its])
            running = 0
            for at, step in steps:
                running += step
                assert running <= cap, f"{running} jobs of {key!r} ran at once at {at}"
