"""Loaded by every process of a worker under test (it lies on their PYTHONPATH): kills or stops one at a chosen place.

FAULT: "ROLE:METHOD:WHEN:NTH:SIGNAL", like "seat:begin:after:1:KILL"; or "random:SEED:RATE": any call, with that chance.
ROLE is worker, pulse or seat; METHOD one of the store's, `statement` or `finish`; WHEN before or after; SIGNAL may also
be FAIL: the call raises, as if the connection had broken. FAULT_HITS: a file where a process writes what it is about to
do to itself. FAULT_LEASE, FAULT_PATIENCE: seconds, instead of the usual.
"""

import contextlib
import os
import random
import signal
import sys
import threading

FAULT, HITS, LEASE = (os.environ.get(name, "") for name in ("FAULT", "FAULT_HITS", "FAULT_LEASE"))
METHODS = ["register", "beat", "turn", "transact", "begin", "note", "running", "unwanted", "leave", "recover"]
METHODS += ["workers", "upkeep", "schedules", "put_schedule", "fire"]


def role():
    """What this process is to a worker."""
    said = " ".join(sys.orig_argv)
    return "pulse" if "worker.pulse" in said else "seat" if "processes.starter" in said else "worker"


class _Fate:
    """Whether this process's hour has come."""

    def __init__(self):
        self.lock = threading.Lock()
        self.pid = self.count = 0
        kind, *rest = FAULT.split(":") if FAULT else ("",)
        self.kind = kind
        if kind == "random":
            self.seed, self.rate = rest[0], float(rest[1])
        elif kind:
            self.method, self.when, self.nth, self.signal = rest[0], rest[1], int(rest[2]), rest[3]

    def meet(self, method, when):
        if not self.kind or (self.kind != "random" and os.path.exists(HITS)):  # once is enough
            return
        with self.lock:
            if self.pid != os.getpid():
                self.pid, self.count = os.getpid(), 0
                self.random = random.Random(f"{FAULT} {self.pid}")
            if self.kind == "random":
                if self.random.random() < self.rate:
                    self.act(method, when, signal.SIGKILL)
            elif (self.kind, self.method, self.when) == (role(), method, when):
                self.count += 1
                if self.count == self.nth and self.signal == "FAIL":
                    self.note(method, when, "FAIL")
                    raise StoreError("the connection broke")
                if self.count == self.nth:
                    self.act(method, when, signal.Signals["SIG" + self.signal])

    def act(self, method, when, number):
        self.note(method, when, number.name)
        os.kill(os.getpid(), number)

    def note(self, method, when, what):
        line = f"{os.getpid()} {role()} {method} {when} {what}\n".encode()
        hits = os.open(HITS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(hits, line)
        os.close(hits)


fate = _Fate()


def _around(name, call):
    def wrapped(*args, **kwargs):
        fate.meet(name, "before")
        result = call(*args, **kwargs)
        fate.meet(name, "after")
        return result

    return wrapped


def _around_transact(call):
    @contextlib.contextmanager
    def wrapped(*args):
        fate.meet("transact", "before")
        with call(*args) as transaction:
            fate.meet("transact", "after")
            transaction.finish = _around("finish", transaction.finish)
            yield transaction

    return wrapped


def _sabotaged(store):
    for name in METHODS:
        made = _around_transact if name == "transact" else lambda call, name=name: _around(name, call)
        setattr(store, name, made(getattr(store, name)))
    session = sys.modules.get("plait.jobs.sqlite.connect") or sys.modules["plait.jobs.postgres.connect"]
    kind = getattr(session, "SqliteSession", None) or session.PostgresSession
    if not hasattr(kind, "sabotaged"):
        kind.sabotaged = True
        for name in ("rows", "run", "many"):
            setattr(kind, name, _around("statement", getattr(kind, name)))
    return store


if LEASE:
    from plait.jobs import protocol

    protocol.LEASE = float(LEASE)
if os.environ.get("FAULT_PATIENCE"):
    from plait.jobs.sqlite import connect

    connect.PATIENCE = float(os.environ["FAULT_PATIENCE"])
if FAULT:
    from plait.errors import StoreError
    from plait.jobs import open as opening

    open_store = opening.open_store
    opening.open_store = lambda url: _sabotaged(open_store(url))
