"""The pulse: a process that renews a worker's lease, which neither an event loop nor the GIL can starve.

It renews only while the worker ticks, however slowly: a worker that has hung or is stopped loses its jobs to others.
It ends when its standard input does, or its parent, so never outlives the worker.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time

from plait.errors import PlaitError
from plait.jobs.protocol import LEASE
from plait.places.processes.setting import import_path

__all__ = ["Pulse", "main"]

#: Seconds between two renewals.
EVERY = LEASE / 5
#: Seconds without a tick after which the worker counts as hung: a function of its own process may hold the GIL.
HUNG = 4 * LEASE
#: What the pulse says when the lease is gone.
LOST = b"L"
#: What its process runs: with the worker's own import path, whatever its folder has files for.
_MAIN = "from plait.jobs.worker.pulse import main; sys.exit(main())"


class Pulse:
    """The worker's side: starts the process, ticks, hears when the lease is lost."""

    def __init__(self, url: str, worker: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path[:] = {import_path()!r}; {_MAIN}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the worker's to act on
        )
        assert self._process.stdin is not None
        self._in = self._process.stdin
        os.set_blocking(self._in.fileno(), False)
        self._said = f"{worker} {url}\n".encode()
        with contextlib.suppress(OSError):
            os.write(self._in.fileno(), self._said)
        #: Set when the lease is lost.
        self.lost = threading.Event()
        threading.Thread(target=self._hear, name="plait-pulse", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the process is."""
        return self._process.poll() is None

    def _hear(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as out:
            for said in iter(lambda: out.read(1), b""):
                if said == LOST:
                    self.lost.set()

    def tick(self) -> None:
        """The worker makes progress."""
        with contextlib.suppress(OSError):
            os.write(self._in.fileno(), b".")

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._in.close()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal, where that can be seen."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] in (b"T", b"t")
    except OSError:
        return False


def main() -> int:
    """Renew until standard input ends."""
    from plait.jobs.open import open_store

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a worker that is asked to end needs its lease until it has
    worker, _, url = sys.stdin.buffer.readline().decode().rstrip("\n").partition(" ")
    if not url:
        return 2
    store = None
    ticked, parent = time.monotonic(), os.getppid()
    while True:
        try:
            store = store or open_store(url)
            if time.monotonic() - ticked < HUNG and not is_stopped(parent) and not store.beat(int(worker)):
                os.write(1, LOST)
                return 0
        except (PlaitError, OSError):  # it may be back before the lease has run out
            if store is not None:
                with contextlib.suppress(Exception):
                    store.close()
            store = None
        if os.getppid() != parent:  # somebody else has the other end of our standard input, too
            return 0
        until = time.monotonic() + EVERY
        while (left := until - time.monotonic()) > 0:
            if select.select([0], [], [], left)[0]:
                data = os.read(0, 4096)
                if not data:
                    return 0
                ticked = time.monotonic()
