"""The parent's end of the starter: launch it, ask it for workers, hear what became of them."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

from plait.errors import StartFailed
from plait.places.processes.remote import Remote
from plait.places.processes.setting import BLAS, import_path
from plait.places.processes.starter import MESSAGE

__all__ = ["Starter"]

#: Imported in the starter, in a quiet moment, when the program itself uses them: later workers have them at once.
#: Only what starts no thread and opens nothing when it is imported (NumPy: with BLAS at one thread).
_PRELOADED = ("numpy", "pandas")


class Starter:
    """A running starter process.

    Raises:
        StartFailed: the interpreter cannot be executed again.
    """

    def __init__(self, preload: list[str], *, later: bool) -> None:
        quiet = [name for name in _PRELOADED if later and name in sys.modules]
        self.control, theirs = socket.socketpair()
        self.gone = False
        self.threaded = False  # it forks no more
        self._data = b""
        call = f"main({theirs.fileno()}, {os.getpid()}, {preload!r}, {quiet!r})"
        code = f"import sys; sys.path[:] = {import_path()!r}; from plait.places.processes.starter import main; {call}"
        try:
            self.process = subprocess.Popen(
                [*_interpreter(), "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C reaches the parent alone, which decides
                env=_environment(),
            )
        except OSError as error:
            self.control.close()
            raise StartFailed(f"{sys.executable!r} could not be executed: {error}") from error
        except BaseException:
            self.control.close()
            raise
        finally:
            theirs.close()

    def spawn(self, remote: Remote) -> None:
        """Ask for a worker that serves `remote`."""
        remote.starter = self
        fds = [remote.theirs.fileno(), remote.board.fd]
        with contextlib.suppress(OSError):  # it is gone: the pool hears of that, and buries what it asked for
            socket.send_fds(self.control, [struct.pack("<q", remote.number)], fds)
        remote.theirs.close()

    def messages(self) -> Iterator[tuple[bytes, int, int, int]]:
        """What it said: kind, worker's number, and two figures; sets `gone` at its end."""
        try:
            data = self.control.recv(64 << 10, socket.MSG_DONTWAIT)
            self.gone = not data
        except BlockingIOError:
            return
        except OSError:
            self.gone, data = True, b""
        self._data += data
        while len(self._data) >= MESSAGE.size:
            kind, number, a, b = MESSAGE.unpack_from(self._data)
            self._data = self._data[MESSAGE.size :]
            yield kind, number, a, b

    def close(self) -> None:
        """End it, and with it every worker."""
        self.gone = True
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)
        try:
            self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.control.close()


def _interpreter() -> list[str]:
    if not sys.executable:
        raise StartFailed("sys.executable is empty, so the interpreter cannot be executed again")
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # what multiprocessing uses, too
    return [sys.executable, *flags]


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    for name in BLAS:  # or NumPy, imported here, would start threads; a worker gets its share when a run opens it
        environment.setdefault(name, "1")
    return environment
