"""The starter: a clean, single-threaded process that forks workers when asked and buries them when they end.

It is exec'd, never forked from a threaded parent, and imports what every worker needs once, so that a worker is ready
in the milliseconds that a fork takes. Messages on its control socket:

    to the starter     8 bytes: the worker's number; with it two descriptors: the worker's socket and its board
    from the starter   24 bytes: "S" number pid - started; "D" pid status - ended and reaped; "R" - ready;
                       "T" - has threads, forks no more; "N" number - not started for that reason

It ends, with every worker and what those had started, when its parent does: it watches a pidfd, not only the socket,
since a grandchild may hold a copy of that.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

__all__ = ["MESSAGE", "main"]

MESSAGE = struct.Struct("<cxxxiqq")
_PR_SET_PDEATHSIG = 1


def main(control_fd: int, parent: int, preload: list[str], later: list[str]) -> None:
    """Serve until the parent ends or closes the control socket.

    Parameters:
        parent: process id of who started us.
        preload: modules to import before the first fork.
        later: modules to import once nothing has been asked for a while, so that the first workers need not wait.

    A fork of a process with threads is not safe. When what was preloaded has started some, the starter says so ("T")
    and forks no more: its parent launches another one, without preloading, and this one only looks after its workers.
    """
    control = socket.socket(fileno=control_fd)
    for name in preload:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    from plait.places.processes import worker  # what every worker needs is imported here, once

    gc.collect()
    gc.freeze()  # the collector of a worker must not touch, and so copy, what it shares with us
    starter = _Starter(control, parent, worker, later)
    starter.check()
    starter.serve()


#: Milliseconds without a request after which there is time to preload.
QUIET = 300


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


class _Starter:
    def __init__(self, control: socket.socket, parent: int, worker: Any, later: list[str]) -> None:
        self.control, self.parent, self.worker, self.later = control, parent, worker, later
        self.threaded = False
        self.workers: set[int] = set()
        self.prctl = _prctl()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of all processes of a service, the parent decides
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wake, self.woken = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self.woken, False)
        signal.set_wakeup_fd(self.woken, warn_on_full_buffer=False)

    def serve(self) -> None:
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        watched = -1
        with contextlib.suppress(OSError, AttributeError):
            watched = os.pidfd_open(self.parent)
            poll.register(watched, select.POLLIN)
        self.tell(b"R", 0, 0)
        while os.getppid() == self.parent:
            patience = QUIET if self.later else None if watched >= 0 else 500
            ready = poll.poll(patience)
            if not ready and self.later:
                self.preload()
            for fd, _ in ready:
                if fd == watched:
                    self.end()
                elif fd == self.wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wake, 4096)
                    self.bury()
                elif not self.asked():
                    self.end()
        self.end()

    def preload(self) -> None:
        names, self.later = self.later, []
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        gc.collect()
        gc.freeze()
        self.check()

    def check(self) -> None:
        """Forking is safe as long as we have no threads."""
        if not self.threaded and _threads() > 1:
            self.threaded = True
            self.tell(b"T", 0, 0)

    def tell(self, kind: bytes, a: int, b: int, number: int = 0) -> None:
        try:
            self.control.sendall(MESSAGE.pack(kind, number, a, b))
        except OSError:
            self.end()

    def asked(self) -> bool:
        """Take one request; false when the parent has hung up."""
        try:
            data, ancillary, _, _ = self.control.recvmsg(
                8, socket.CMSG_SPACE(2 * 4), getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except OSError:
            return False
        if len(data) < 8:
            return False
        fds = array.array("i")
        for _, kind, payload in ancillary:
            if kind == socket.SCM_RIGHTS:
                fds.frombytes(payload)
        (number,) = struct.unpack("<q", data)
        if self.threaded:  # asked before our parent knew: the worker never lived, and another starter is asked for one
            for fd in fds:
                os.close(fd)
            self.tell(b"N", 0, 0, number)
            return True
        starter = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # no more processes are allowed: those that live go on
            for fd in fds:
                os.close(fd)
            self.tell(b"N", 0, 0, number)
            return True
        if pid == 0:
            self.become_worker(starter, fds[0], fds[1])
        self.workers.add(pid)
        for fd in fds:
            os.close(fd)
        self.tell(b"S", pid, 0, number)
        return True

    def become_worker(self, starter: int, sock: int, board: int) -> None:
        status = 1
        try:
            os.setsid()  # a group of its own: what the user's function starts can be ended with it
            if self.prctl is not None:
                self.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != starter:
                    os._exit(1)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self.wake)
            os.close(self.woken)
            self.control.close()
            status = self.worker.main(sock, board)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def bury(self) -> None:
        """Reap every worker that ended, after ending what is left of its group (its id is still taken then)."""
        while self.workers:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            self.workers.discard(pid)
            self.tell(b"D", pid, status)

    def end(self) -> None:
        for pid in self.workers:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        # Reaped here: whoever inherits us may be slow to, and a zombie would still look like a process.
        until = time.monotonic() + 1.0
        while self.workers and time.monotonic() < until:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            self.workers.discard(pid)
            if not pid:
                time.sleep(0.001)
        os._exit(0)


def _prctl() -> Any:
    from plait.machine import capabilities

    if not capabilities().pdeathsig:
        return None
    import ctypes

    return ctypes.CDLL(None, use_errno=True).prctl
