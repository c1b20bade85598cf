"""The jobs of the tests of faults: one of each kind, each writing down when it begins and when it ends."""

import asyncio
import os
import signal
import time

import psutil

import plait
from plait.jobs import by_key, current

jobs = plait.Jobs(os.environ["FAULTS_URL"])
LOG = os.environ["FAULTS_LOG"]


def say(what, about=""):
    """A line: when, what, the job, its token, the process, and what it is about."""
    job = current()
    line = f"{time.monotonic_ns()} {what} {job.id} {job._token} {os.getpid()} {about}\n"
    log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(log, line.encode())
    os.close(log)
    return job._token


@jobs.task
async def fetch(n: int) -> int:
    say("begin")
    await asyncio.sleep(0.02)
    return say("end")


@jobs.task
def wait(n: int) -> int:
    say("begin")
    current().progress(0.5, "half of it")
    time.sleep(0.02)
    return say("end")


@jobs.task
def compute(n: int) -> int:
    say("begin")
    until = time.process_time() + 0.005
    while time.process_time() < until:
        n += 1
    return say("end")


@jobs.task(transactional=True)
def pay(connection, n: int) -> int:
    say("begin")
    mark = "?" if jobs.url.startswith("sqlite") else "%s"
    connection.execute(f"INSERT INTO effect (job) VALUES ({mark})", (current().id,))
    return say("end")


@jobs.task(retries=plait.Retry(3, backoff=0.01))
def flaky(n: int) -> int:
    say("begin")
    if current().attempt < 3:
        raise ValueError("not yet")
    return say("end")


@jobs.task
def part(n: int) -> int:
    say("begin")
    say("end")
    return n


@jobs.task
def gather(numbers: list[int]) -> list[int]:
    say("begin")
    say("end", numbers)
    return numbers


@jobs.task
def link(before: int, step: int) -> int:
    say("begin")
    say("end", step)
    return before + step


@jobs.task
def only(n: int) -> int:
    say("begin")
    return say("end")


@jobs.task(limit=plait.Limit(1, key=by_key))
def limited(n: int) -> int:
    say("begin", current().id)
    time.sleep(0.01)
    return say("end", n)


@jobs.task
def stuck(n: int) -> int:
    """Does not end unless it has lost a worker."""
    say("begin")
    while not current().crashes:
        time.sleep(60)
    return say("end")


@jobs.task(model="processes+threads")
def gated(n: int) -> int:
    """Ends when the test says so."""
    say("begin")
    while not os.path.exists(LOG + ".go"):
        time.sleep(0.01)
    return say("end")


@jobs.task(timeout=2.0)
def hasty(seconds: float) -> int:
    say("begin")
    time.sleep(seconds)
    return say("end")


@jobs.task
def tick() -> int:
    say("begin")
    return say("end")


if os.environ.get("FAULTS_SCHEDULE"):
    jobs.schedule(1, tick)


@jobs.task
def murder(n: int) -> None:
    """Kills the worker, not only its own process."""
    say("begin")
    starter = psutil.Process(os.getppid())
    os.kill(starter.ppid(), signal.SIGKILL)
    time.sleep(60)
