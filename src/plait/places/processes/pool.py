"""`Pool`: the starter, the workers, and the one thread that listens to all of them."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType

from plait import machine
from plait.errors import OptionError, StartFailed
from plait.events import Hub, WorkerEnded, WorkerStarted
from plait.places.default import Default
from plait.places.processes import forward
from plait.places.processes.launch import Starter
from plait.places.processes.remote import Client, Remote, told
from plait.places.processes.wire import Kind
from plait.sync.ticker import ticker

__all__ = ["Pool", "current", "default_pool"]

log = logging.getLogger("plait")

#: Seconds that starting a worker usually takes, with the starter.
START = 0.15
#: Seconds that a worker which is not wanted any more has to close its resources.
RETIRING = 10.0
#: Seconds that workers beyond `workers` wait for another lease.
SPARE = 15.0
#: Times `workers` that may wait.
SPARES = 2


class Pool:
    """Worker processes that runs share, one run at a time each; they stay warm in between.

    `plait.default_pool()` is the process-wide one; inside `with Pool(...)` that is this one instead.

    Parameters:
        workers: how many a run gets unless it asks for fewer; as many stay warm. `None`: one for each core.
        recycle: items after which a worker is replaced, against slow leaks; `None`: never.
        preload: modules to import once, before workers are forked, so that each has them at once. They must not
            start threads or open connections: workers would share them.

    Concurrency: safe from any thread. After a `fork` the child has to make its own.
    """

    def __init__(self, workers: int | None = None, *, recycle: int | None = None, preload: Sequence[str] = ()) -> None:
        for name, value in (("workers", workers), ("recycle", recycle)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise OptionError(name, value, "it takes a whole number from 1, or None")
        self.workers = workers or machine.cores()
        self.recycle = recycle
        self.preload = list(preload)
        self.preload_later = True
        #: Seconds until a cold worker is ready for items: as measured here last, until then what is usual.
        self.start_seconds = START
        self.hub = Hub()
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._starter: Starter | None = None
        self._keepers: list[Starter] = []  # starters that fork no more, but whose workers live
        self._starts: deque[float] = deque(maxlen=5)
        self._remotes: dict[int, Remote] = {}
        self._idle: deque[Remote] = deque()
        self._numbers = itertools.count(1)
        self._selector: selectors.BaseSelector | None = None
        self._thread: threading.Thread | None = None
        self._wake: socket.socket | None = None
        self._woken: socket.socket | None = None
        self._closed = False

    @property
    def warm(self) -> bool:
        """Whether a worker is ready and waiting."""
        return any(remote.pid for remote in tuple(self._idle))

    def start(self, workers: int) -> None:
        """Have at least `workers` that wait, started in the background. What cannot be started, nobody is told here."""
        with self._lock, contextlib.suppress(OSError, StartFailed):
            self._check()
            while len(self._idle) < workers:
                self._idle.append(self._spawn(None))

    def prepare(self, modules: Sequence[str]) -> None:
        """Have workers that are yet to start find `modules` imported, if none has started; in the background.

        They must not start threads, nor open anything, when they are imported.
        """
        with self._lock, contextlib.suppress(OSError, StartFailed):
            self._check()
            if self._starter is None:
                self.preload += [name for name in modules if name not in self.preload]
                self._started()

    def lease(self, client: Client) -> Remote:
        """A worker for `client` alone: a warm one, or a new one.

        Raises:
            StartFailed: none can be started.
        """
        with self._lock:
            self._check()
            while self._idle:
                remote = self._idle.pop()
                if not remote.ended and not remote.killed_for and not remote.hung_up:
                    remote.last_call()
                    remote.client = client
                    return remote
            try:
                return self._spawn(client)
            except OSError as error:
                remedy = (
                    'Raise the limit that it names (`ulimit -a`), or use model="threads", which needs no processes.'
                )
                raise StartFailed(f"{type(error).__name__}: {error}", remedy) from error

    def give_back(self, remote: Remote) -> None:
        """The lease is over. The worker waits for the next one, or ends if it is old or one too many."""
        with self._lock:
            remote.client = None
            remote.last_call()
            if remote.ended or self._closed:
                return
            old = self.recycle is not None and remote.items >= self.recycle
            if remote.killed_for or old or len(self._idle) >= SPARES * self.workers:
                self._retire(remote, "recycled" if old else "idle")
                return
            self._idle.append(remote)
            if len(self._idle) > self.workers:  # the next run may want as many: a flow has several stages
                self._call_last(remote, SPARE, lambda: self._spare(remote))

    def _spare(self, remote: Remote) -> None:
        """Nobody has wanted it for a while, and there are enough others."""
        with self._lock:
            if remote in self._idle and len(self._idle) > self.workers:
                self._idle.remove(remote)
                self._retire(remote, "idle")

    def expect(self, remote: Remote) -> None:
        """It will come back by itself, once it has started; not within some seconds: it is ended.

        To be called before the worker is asked to: who comes back ends the waiting.
        """
        with self._lock:
            self._call_last(remote, RETIRING, lambda: remote.kill("never came back"))

    def retire(self, remote: Remote, reason: str) -> None:
        """End a worker that has nothing in hand."""
        with self._lock:
            remote.client = None
            self._retire(remote, reason)

    def _retire(self, remote: Remote, reason: str) -> None:
        remote.killed_for = reason
        if remote.send(Kind.EXIT):  # after what was sent before: a lane is closed, and its resources, first
            self.flush(remote)
        self._call_last(remote, RETIRING, lambda: remote.kill(reason))
        if self.hub.wanted:
            self.hub.emit(WorkerEnded(pid=remote.pid, reason=reason))

    def _call_last(self, remote: Remote, seconds: float, call: Callable[[], object]) -> None:
        """Have `call` made in `seconds`, unless the worker is gone or wanted by then. Under the lock."""
        remote.last_call()
        if remote.number in self._remotes and not self._closed:
            remote.last_call = ticker().at(time.monotonic() + seconds, call)

    def flush(self, remote: Remote) -> None:
        """What the socket did not take at once is sent by the pool's thread."""
        with self._lock, contextlib.suppress(KeyError, ValueError, AttributeError, OSError):
            assert self._selector is not None
            self._selector.modify(remote.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, remote)
        self._poke()

    # --- starting ---------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _check(self) -> None:
        if self._closed:
            raise StartFailed("this pool is closed", "Make a new plait.Pool, or use plait.default_pool().")
        if self._pid != os.getpid():
            raise StartFailed("this pool belongs to the parent process", "After a fork, make a new plait.Pool.")

    def _spawn(self, client: Client | None) -> Remote:
        starter = self._started()
        remote = Remote(next(self._numbers))
        remote.client = client
        assert self._selector is not None
        try:
            self._selector.register(remote.sock, selectors.EVENT_READ, remote)
        except OSError:
            remote.close()
            remote.board.close()
            raise
        self._remotes[remote.number] = remote
        starter.spawn(remote)
        self._poke()
        return remote

    def _started(self) -> Starter:
        if self._starter is not None and not self._starter.gone and not self._starter.threaded:
            return self._starter
        if self._starter is not None and self._starter.threaded:
            self._keepers.append(self._starter)
        now = time.monotonic()
        if len(self._starts) == self._starts.maxlen and now - self._starts[0] < 5:
            raise StartFailed(f"the starter process ended {len(self._starts)} times within 5 s")
        self._starts.append(now)
        if self._selector is None:
            selector = selectors.DefaultSelector()
            self._wake, self._woken = socket.socketpair()
            self._wake.setblocking(False)
            self._woken.setblocking(False)
            selector.register(self._wake, selectors.EVENT_READ, None)
            self._thread = threading.Thread(target=self._listen, args=(selector,), name="plait-pool", daemon=True)
            self._thread.start()
            self._selector = selector
        self._starter = Starter(self.preload, later=self.preload_later)
        self._selector.register(self._starter.control, selectors.EVENT_READ, self._starter)
        self._poke()
        return self._starter

    # --- listening --------------------------------------------------------------------------------------------------

    def _poke(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self._woken.send(b"x")  # type: ignore[union-attr]

    def _listen(self, selector: selectors.BaseSelector) -> None:
        while not self._closed:
            for key, mask in selector.select():
                try:
                    self._ready(key.data, mask)
                except BaseException:
                    log.exception("A worker could not be listened to; it is replaced.")
                    if isinstance(key.data, Remote):
                        key.data.kill("unintelligible")

    def _ready(self, what: Starter | Remote | None, mask: int) -> None:
        if what is None:
            with contextlib.suppress(OSError):
                assert self._wake is not None
                self._wake.recv(4096)
        elif isinstance(what, Remote):
            if mask & selectors.EVENT_WRITE and not what.flush():
                with self._lock, contextlib.suppress(KeyError, ValueError, OSError):
                    again = selectors.EVENT_WRITE if what.flush() else 0
                    self._selector.modify(what.sock, selectors.EVENT_READ | again, what)  # type: ignore[union-attr]
            if mask & selectors.EVENT_READ:
                self._hear(what)
        else:
            self._hear_starter(what)

    def _hear(self, remote: Remote, *, last: bool = False) -> None:
        """Take in what a worker sent; with `last`, everything that is there."""
        while not remote.hung_up:
            try:
                open_ = remote.decoder.receive()
            except BlockingIOError:
                break
            except OSError:
                open_ = False
            if not open_:
                remote.hung_up = True
                self._forget(remote.sock)
                if not last:
                    remote.kill(remote.killed_for)  # it hung up alive: its function closed our socket
                break
            for frame in remote.decoder.frames():
                if frame.kind == Kind.LOG:
                    forward.handle_log(frame.body)
                elif frame.kind == Kind.WARNING:
                    forward.handle_warning(frame.body)
                elif (client := remote.client) is not None:
                    client.heard(remote, frame)
            if not last:
                break

    def _hear_starter(self, starter: Starter) -> None:
        for kind, number, a, b in starter.messages():
            if kind == b"S":
                remote = self._remotes.get(number)
                if remote is not None:
                    remote.pid = a
                    if remote.killed_for:
                        remote.kill(remote.killed_for)
                    if self.hub.wanted:
                        self.hub.emit(WorkerStarted(pid=a))
            elif kind == b"D":
                for remote in [r for r in list(self._remotes.values()) if r.pid == a]:
                    self._bury(remote, told(b))
            elif kind == b"T":
                log.info(
                    "What was preloaded for workers (%s) starts threads: workers import it themselves.", self.preload
                )
                starter.threaded, self.preload, self.preload_later = True, [], False
            elif kind == b"N" and number in self._remotes:
                self._bury(self._remotes[number], "not started")
        if starter.gone and not self._closed:
            self._forget(starter.control)
            starter.close()
            with self._lock:  # who leases holds it until the starter was asked
                orphans = [remote for remote in self._remotes.values() if remote.starter is starter]
            for remote in orphans:
                remote.kill("its starter ended")
                self._bury(remote, told(None))

    def _bury(self, remote: Remote, status: str) -> None:
        try:
            self._hear(remote, last=True)
        except Exception:
            log.warning("The last words of worker %d could not be understood.", remote.pid, exc_info=True)
        self._forget(remote.sock)
        with self._lock:
            self._remotes.pop(remote.number, None)
            with contextlib.suppress(ValueError):
                self._idle.remove(remote)
            client, remote.client = remote.client, None
            remote.last_call()
        remote.close()
        if client is not None:
            client.lost(remote, status)
        remote.board.close()

    def _forget(self, sock: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError, AttributeError):
            self._selector.unregister(sock)  # type: ignore[union-attr]

    # --- ending -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End every worker and the starter. Runs that still use them fail with `StartFailed`."""
        with self._lock:
            if self._closed or self._pid != os.getpid():
                return
            self._closed = True
            starters = [*self._keepers, *([self._starter] if self._starter else [])]
        for starter in starters:
            starter.close()
        self._poke()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)
        for remote in list(self._remotes.values()):  # those that the thread did not bury itself
            client, remote.client = remote.client, None
            remote.last_call()
            remote.close()
            if client is not None:
                client.lost(remote, "ended with its pool")
            remote.board.close()
        self._remotes.clear()
        self._idle.clear()
        for sock in (self._wake, self._woken, self._selector):
            if sock is not None:
                sock.close()

    def __enter__(self) -> Pool:
        current.push(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current.remove(self)
        self.close()


#: The process-wide pool.
current: Default[Pool] = Default(Pool)


def default_pool() -> Pool:
    """The pool of worker processes that runs use unless a `with plait.Pool(...)` replaces it.

    Made on first use, closed when the interpreter exits. Safe from any thread; a forked child gets its own.
    """
    return current.get()
