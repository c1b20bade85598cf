"""Tasks that do what they should not, each in its own way; and one that behaves, for the others' jobs."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import plait

jobs = plait.Jobs(os.environ["FAULTS_URL"], max_bytes=16 << 20)
LOG = os.environ["FAULTS_LOG"]


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Unpicklable(Exception):
    def __init__(self, first, second):
        super().__init__("cannot travel")
        self.lock = threading.Lock()


class Bare(BaseException):
    pass


@jobs.task
def good(n: int) -> int:
    time.sleep(0.01)
    return n


@jobs.task
def leaves_a_child() -> int:
    """It keeps every descriptor that it may keep, and goes on for long after us."""
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    return child


@jobs.task
def leaves_a_program() -> int:
    return subprocess.Popen(["sleep", "600"]).pid


@jobs.task
def prints() -> str:
    line = "x" * 9_999 + "\n"
    for _ in range(10_000):
        sys.stdout.write(line)
    return "printed"


@jobs.task(timeout=1)
def never_returns() -> None:
    while True:
        time.sleep(3600)


@jobs.task(timeout=1)
def computes_for_ever() -> None:
    while True:
        pass


@jobs.task(timeout=1)
async def blocks_its_loop() -> None:
    time.sleep(3600)


@jobs.task(memory="120MiB", workers=1)
def leaks(megabytes: int) -> int:
    kept.append(b"x" * (megabytes << 20))
    time.sleep(0.15)  # it is weighed now and then
    return os.getpid()


kept = []


@jobs.task
def exits_at_once() -> None:
    os._exit(3)


@jobs.task
def kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@jobs.task
def segfaults() -> None:
    ctypes.string_at(0)


@jobs.task
def aborts() -> None:
    os.abort()


@jobs.task
def closes_everything() -> str:
    os.closerange(3, 4096)
    return "closed"


@jobs.task
def changes_signals() -> str:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        with contextlib.suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)
    return "changed"


@jobs.task
def blocks_signals() -> str:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    return "blocked"


@jobs.task
def exits() -> None:
    sys.exit("I am done here")


@jobs.task
def raises_bare() -> None:
    raise Bare("not an Exception")


@jobs.task
async def raises_bare_async() -> None:
    raise Bare("not an Exception")


@jobs.task
def interrupts() -> None:
    raise KeyboardInterrupt


@jobs.task
def raises_unpicklable() -> None:
    raise Unpicklable(1, 2)


@jobs.task
def raises_unspeakable() -> None:
    raise Unspeakable


@jobs.task
def raises_strange_text() -> None:
    raise ValueError("half a \ud800 and a \0 and \x1b[31m" + "z" * 100_000)


@jobs.task
def raises_many() -> None:
    raise ExceptionGroup("many", [ValueError(str(n)) for n in range(5000)])


@jobs.task
def returns_much() -> bytes:
    return b"x" * (10 << 20)


@jobs.task
def returns_too_much() -> bytes:
    return b"x" * (17 << 20)


@jobs.task
def returns_an_object() -> object:
    return object()


@jobs.task
def returns_itself() -> list:
    made = []
    made.append(made)
    return made


@jobs.task
def takes_much(data: bytes) -> int:
    return len(data)


@jobs.task
def starts_threads() -> str:
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "started"


@jobs.task
def recurses() -> None:
    recurses()


@jobs.task
def moves_away() -> str:
    os.chdir("/")
    os.environ.clear()
    sys.path.clear()
    return "moved"


@jobs.task
def replaces_itself() -> None:
    os.execv("/bin/true", ["true"])


@jobs.task
def stops_iterating() -> None:
    raise StopIteration("enough")


@jobs.task
def kills_its_group() -> None:
    os.killpg(0, signal.SIGKILL)


@jobs.task
def returns_none() -> None:
    return None
