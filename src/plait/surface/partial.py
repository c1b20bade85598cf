"""`Partial`: a file that grows beside its final place, under one writer at a time, and takes it when it is complete.

The lock is the operating system's, on the file itself: it ends with its holder, so that what a killed run left behind
stands in nobody's way. It is held by a descriptor of its own, which a forked child lets go of.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from typing import IO

from plait.surface.folders import PARTIAL

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Busy", "Partial"]

_held: set[int] = set()


class Busy(Exception):
    """Another writer, maybe of another process, is at it."""


class Partial:
    """`FINAL.partial`, from `open` to `commit` or `abandon`.

    Parameters:
        final: what it will be called.
        path: what it is called until then, where the system has locks; else that has a part of its own, too.
    """

    def __init__(self, final: str, path: str) -> None:
        self._final = final
        #: What it is called, for messages; and where that is, wherever the program has gone since.
        self.path, self.there = path, os.path.abspath(path)
        self._wanted = self.path, self.there
        self._lock: int | None = None

    def open(self) -> IO[bytes]:
        """The file, empty; what an earlier writer left there is gone.

        Raises:
            Busy: somebody is writing it now.
            OSError: it cannot be made.
        """
        self.path, self.there = self._wanted
        self._lock = _locked(self.there)
        if self._lock is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.anew().there)  # of one that was killed at that
            return open(self.there, "wb")
        own = f".{os.getpid()}-{uuid.uuid4().hex[:8]}{PARTIAL}"
        self.path, self.there = self.path.removesuffix(PARTIAL) + own, self.there.removesuffix(PARTIAL) + own
        return open(self.there, "xb")

    def anew(self) -> Partial:
        """Another one beside it, that may take its place."""
        return Partial(self._final, f"{self.there.removesuffix(PARTIAL)}.anew{PARTIAL}")

    def take_place_of(self, other: Partial) -> None:
        """Be what `other` was; its content is gone."""
        os.replace(self.there, other.there)
        self.path, self.there, self._wanted = other.path, other.there, other._wanted
        other._let_go()

    def commit(self) -> None:
        """Give it its final name, once it is closed and on the disk."""
        os.replace(self.there, self._final)
        _sync_folder(os.path.dirname(self._final))
        self._let_go()

    def abandon(self, *, keep: bool) -> None:
        """Leave it as it is, or remove it."""
        if not keep:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.there)
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None and self._lock in _held:
            _held.discard(self._lock)
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # not only closed: a child that was forked may have it open, too
            os.close(self._lock)
        self._lock = None


def _locked(path: str) -> int | None:
    """A descriptor that holds the lock of the file at `path`; `None` where there are no locks."""
    if fcntl is None:
        return None
    while True:
        lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(lock, path):  # else whoever had the lock has renamed or removed it since we opened it
                _held.add(lock)
                return lock
        except OSError as error:
            empty = os.fstat(lock).st_size == 0
            os.close(lock)
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise Busy from None
            if empty:
                os.unlink(path)
            return None
        os.close(lock)


def _is_at(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _sync_folder(folder: str) -> None:
    """Make a rename survive a crash of the machine, where the system can."""
    try:
        handle = os.open(folder or ".", os.O_RDONLY)
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.fsync(handle)
    os.close(handle)


def _in_child() -> None:
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
