"""`Presence`: which workers of this machine are alive, by locks that the kernel lets go of when their process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from plait.jobs.neighbours import Neighbours
from plait.jobs.records import WorkerInfo, WorkerView

__all__ = ["Presence", "boot", "space"]


@cache
def boot() -> str:
    """What tells this start of the machine's kernel from all others; empty where there is nothing."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


@cache
def space() -> str:
    """What tells this process's set of process ids (a container's) from others; empty where there is nothing."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


class Presence:
    """Lock files of workers, in one folder.

    Parameters:
        folder: where they are; made when the first is held. Workers of one machine that use one store name the same.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[int, int] = {}
        self._free: dict[int, int] = {}
        self.neighbours = Neighbours()
        _all.add(self)

    def hold(self, worker: int) -> None:
        """Say that this process is `worker`, until it ends or lets go. Where that cannot be, its lease alone does."""
        new = self._folder / f"new-{worker}-{os.getpid()}"
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = self._held[worker] = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(new, self._name(worker, os.getpid()))  # there only when it is locked: nobody shall find it free

    def let_go(self, worker: int) -> None:
        """The opposite."""
        lock = self._held.pop(worker, None)
        if lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._name(worker, os.getpid()))
            os.close(lock)

    def gone(self, workers: Iterable[WorkerView]) -> list[int]:
        """Those whose processes are known to have ended: of this machine, and their lock is free."""
        here = {view.id: view.info.pid for view in workers if self._is_here(view.info) and view.id not in self._held}
        self.neighbours.know(here)  # before their locks are looked at: whoever ends in between is heard of
        found = {worker: pid for worker, pid in here.items() if self._is_free(worker, pid)}
        self._free |= found
        return list(found)

    def forget(self, worker: int) -> None:
        """Remove what a worker that is gone has left."""
        pid = self._free.pop(worker, None)
        if pid is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._name(worker, pid))

    def _is_here(self, info: WorkerInfo) -> bool:
        return bool(info.boot) and info.boot == boot() and info.space == space()

    def _is_free(self, worker: int, pid: int) -> bool:
        if worker in self._held:
            return False
        try:
            lock = os.open(self._name(worker, pid), os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # it has not got to it yet, or somebody forgets it just now: its lease decides
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(lock)
        return True

    def _name(self, worker: int, pid: int) -> Path:
        """With the process's id: a copy of a database has a worker of the same number, and the same folder."""
        return self._folder / f"worker-{worker}-{pid}.lock"

    def forked(self) -> None:
        """This is a child now. A lock is its children's as well: one that outlives the worker must not keep it."""
        held, self._held = self._held, {}
        for lock in held.values():
            with contextlib.suppress(OSError):
                os.close(lock)


_all: weakref.WeakSet[Presence] = weakref.WeakSet()


def _forked() -> None:
    for presence in list(_all):
        presence.forked()


os.register_at_fork(after_in_child=_forked)
