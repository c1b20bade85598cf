"""`told`: what went wrong with a journal's file, in words, and what to do about it."""

from __future__ import annotations

import os
import sqlite3

from plait.errors import JournalError

__all__ = ["is_busy", "told"]

KEPT = "What was recorded before is kept, and replayed by the next run"

#: Bytes free on a disk below which an error that says only "I/O" is put down to it.
NEARLY_FULL = 1 << 20


def told(path: str, error: BaseException) -> JournalError:
    """The error to raise in place of one of SQLite's or the operating system's (set it as the cause)."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_nearly_full(path)):
        return JournalError(path, "the disk that it is on is full", f"Free some space and run again. {KEPT}.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalError(
            path,
            "another program keeps it locked",
            f"Close what has it open (a database browser, an sqlite3 shell) and run again. {KEPT}.",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return JournalError(path, f"it cannot be written ({error})", "Name a file in a folder that you may write to.")
    if code == sqlite3.SQLITE_IOERR:
        return JournalError(
            path,
            f"it cannot be read or written ({error})",
            f"See whether its disk works, and whether a quota or `ulimit -f` bounds its size. {KEPT}.",
        )
    return JournalError(path, f"it cannot be used ({type(error).__name__}: {error})", f"{KEPT}.")


def damaged(path: str, how: str) -> JournalError:
    """The error for a file whose content makes no sense."""
    return JournalError(path, f"it is damaged ({how})", "Move it away and run again: every item is then run afresh.")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether trying again later may help."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", -1) & 0xFF


def _is_nearly_full(path: str) -> bool:
    try:
        disk = os.statvfs(os.path.dirname(path) or ".")
        return disk.f_bavail * disk.f_frsize < NEARLY_FULL
    except (AttributeError, OSError):
        return False
