"""`Lock`: one run at a time holds a journal, and a killed one holds nothing."""

from __future__ import annotations

import os
import sys

from plait.errors import JournalBusy, JournalError

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

__all__ = ["Lock"]


class Lock:
    """The kernel's lock on a file beside the journal, held until `release` or the end of the process.

    On the journal itself it would end SQLite's own locks when it is closed. The file stays, and holds the process id of
    who locked it last.

    Parameters:
        path: the journal's.

    Raises:
        JournalBusy: another run holds it, in this process or another one of this machine.
        JournalError: the file cannot be made.

    **Caution**: on Windows nothing is locked; on network file systems it depends on their settings.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, path: str) -> None:
        self._descriptor: int | None = None
        while self._descriptor is None:  # until it is the file of that name: somebody may have removed the one locked
            descriptor = _opened(path)
            try:
                if fcntl is not None:
                    _lock(descriptor, path)
                _sign(descriptor)
                if os.path.samestat(os.fstat(descriptor), os.stat(path + ".lock")):
                    self._descriptor = descriptor
            except FileNotFoundError:
                pass
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    def release(self) -> None:
        """Let the next run have it; in a forked child: let go of it, while the parent goes on holding it.

        The lock goes with the last descriptor of the opened file: were it unlocked, a child would unlock its parent's.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _opened(path: str) -> int:
    try:
        return os.open(path + ".lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as error:
        raise JournalError(
            path,
            f"its lock file cannot be opened ({error.strerror}: {path}.lock)",
            "Name a file in a folder that you may write to.",
        ) from error


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalBusy(path, _signed(descriptor)) from None
    except OSError as error:  # a file system without locks
        raise JournalError(
            path, f"its lock file cannot be locked ({error.strerror})", "Name a file on a local disk."
        ) from error


def _sign(descriptor: int) -> None:
    """Say who holds it; without that, only the message of the next run knows less."""
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except OSError:
        pass


def _signed(descriptor: int) -> int | None:
    try:
        return int(os.read(descriptor, 32))
    except (OSError, ValueError):
        return None
