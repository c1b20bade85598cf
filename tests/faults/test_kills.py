"""Contract 2: whatever kills a worker, every result is there and right, and nothing is left behind."""

import ctypes
import os
import random
import resource
import signal
import threading
import time

import psutil
import pytest

import plait
from plait import Failure, WorkerLost

MODELS = ["processes", "processes+threads", "processes+async"]
SYNC = MODELS[:2]


def by_signal(number):
    def die():
        os.kill(os.getpid(), number)
        time.sleep(5)

    return die


def segfault():
    ctypes.string_at(0)


def exit_at_once():
    os._exit(3)


def abort():
    os.abort()


def out_of_memory():
    """What is left of a process that the kernel's OOM killer chose."""
    hog = b"x" * (64 << 20)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(len(hog))


WAYS = {
    "SIGKILL": (by_signal(signal.SIGKILL), "killed by SIGKILL"),
    "SIGTERM": (by_signal(signal.SIGTERM), "killed by SIGTERM"),
    "_exit": (exit_at_once, "exited with code 3"),
    "segfault": (segfault, "killed by SIGSEGV"),
    "abort": (abort, "killed by SIGABRT"),
    "out of memory": (out_of_memory, "memory='2GiB'"),
}
every_way = pytest.mark.parametrize("way", WAYS)
every_model = pytest.mark.parametrize("model", MODELS)


def mapped(fn, items, model, **options):
    """`plait.map`, of an async function where the model wants one."""
    if model != "processes+async":
        return plait.map(fn, items, model=model, workers=2, **options)

    async def call(item):
        return fn(item)

    return plait.map(call, items, model=model, workers=2, **options)


@every_model
@every_way
def test_what_kills_its_worker_costs_itself_only(pool, calls, model, way):
    die, status = WAYS[way]

    def poison(x):
        if x == 137:
            calls.note(x)
            die()
        return x

    run = mapped(poison, range(300), model, on_error="return")
    results = list(run)
    assert [x for x, r in enumerate(results) if r != x] == [137]
    failure = results[137]
    assert type(failure.exception) is WorkerLost
    assert status in str(failure.exception)
    assert calls.counts() == {"137": 3}, "it is given three workers"
    assert run.report.crashes == 3


@every_model
def test_a_crash_fails_at_once_if_told_so(pool, calls, model):
    def poison(x):
        if x == 7:
            calls.note(x)
            os._exit(1)
        return x

    results = list(mapped(poison, range(20), model, width=1, on_crash="fail", on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [7]
    assert calls.counts() == {"7": 1}


@every_model
def test_a_crash_is_not_an_attempt(pool, calls, model):
    def dies_once(x):
        if x == 5:
            calls.note(x)
            if calls.counts()["5"] == 1:
                os._exit(1)
        return x

    run = mapped(dies_once, range(20), model)
    assert list(run) == list(range(20))
    assert calls.counts() == {"5": 2}
    assert (run.report.crashes, run.report.retries) == (1, 0)


@every_model
def test_with_raise_the_lost_worker_is_raised_with_its_stack(pool, model):
    def poison(x):
        ctypes.string_at(0)

    with pytest.raises(WorkerLost, match="killed by SIGSEGV") as caught:
        mapped(poison, [1], model).wait()
    assert "poison" in str(caught.value), "the Python stack at its death is told"


@every_model
def test_every_item_kills_its_worker(pool, model):
    results = list(mapped(lambda x: os._exit(1), range(5), model, on_error="return"))
    assert [type(r) for r in results] == [Failure] * 5


@pytest.mark.slow
@pytest.mark.timeout(60)
@every_model
def test_fifty_kills_at_random_moments(pool, calls, workers, meanwhile, model):
    """1,000 items, 50 kills: all results right; what the parent had received is never run again."""

    def work(x):
        calls.note(x)
        time.sleep(0.004)
        return x * 3

    killed = 0

    def kill(stop):
        nonlocal killed
        while not stop.wait(0.002 + random.random() * 0.05) and killed < 50:
            for victim in random.sample(now := workers(), min(1, len(now))):
                victim.send_signal(random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
                killed += 1

    # An innocent item may meet three killers, which is a failure by the rules: it is told, not lost.
    stop = meanwhile(kill)
    received = {}
    round_ = 0
    while killed < 50:
        for index, result in enumerate(
            mapped(work, range(round_ * 1000, (round_ + 1) * 1000), model, on_error="return")
        ):
            received.setdefault(round_ * 1000 + index, (result, time.monotonic()))
        round_ += 1
        if round_ == 1:
            assert len(received) == 1000
        if round_ == 8:
            break
    stop.set()
    assert killed >= 40
    wrong = {x: r for x, (r, _) in received.items() if r != x * 3}
    assert all(isinstance(r, Failure) and isinstance(r.exception, WorkerLost) for r in wrong.values()), wrong
    assert len(wrong) <= 3
    assert len(received) == round_ * 1000
    again = [(x, at - received[int(x)][1]) for x, at in calls.noted() if at > received[int(x)][1]]
    assert again == [], "these were called although their result had been received"


@pytest.mark.slow
@every_model
def test_what_was_received_is_not_run_again(pool, calls, model):
    """Every 40th item kills its worker at its first call; unordered, so that a result is yielded as it is received."""

    def work(x):
        calls.note(x)
        if x % 40 == 39 and calls.counts()[str(x)] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(5)
        return x

    received = {}
    for result in mapped(work, range(400), model, ordered=False, buffer=60):
        received[result] = time.monotonic()
    assert sorted(received) == list(range(400))
    assert [(x, at) for x, at in calls.noted() if at > received[int(x)]] == []


@pytest.mark.parametrize("model", SYNC)
def test_an_item_that_gets_no_more_memory_is_a_failure(pool, model):
    """A limit on memory (RLIMIT_AS) makes a MemoryError of it, which is what is raised."""

    def hungry(x):
        if x != 3:
            return x
        used = psutil.Process().memory_info().vms
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
        try:
            return len(bytearray(1 << 30))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))

    results = list(plait.map(hungry, range(6), model=model, workers=1, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [3]
    assert type(results[3].exception) is MemoryError


@every_model
def test_the_starter_is_killed(pool, workers, calls, model):
    """The workers go with it; others take their place."""

    def work(x):
        calls.note(x)
        time.sleep(0.005)
        return x

    results = []
    for result in mapped(work, range(200), model, buffer=20):
        results.append(result)
        if result == 60:
            [starter] = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
            starter.kill()
    assert results == list(range(200))


@pytest.mark.parametrize("when", ["idle", "between"])
def test_warm_workers_that_died_meanwhile_are_not_used(pool, workers, when):
    assert list(plait.map(abs, range(20), model="processes", workers=2)) == list(range(20))
    before = workers()
    for victim in before:
        victim.kill()
    if when == "between":
        psutil.wait_procs(before, timeout=3)
    run = plait.map(abs, range(20), model="processes", workers=2)
    assert list(run) == list(range(20))
    assert not {p.pid for p in workers()} & {p.pid for p in before}


def test_a_stopped_worker_is_ended_with_its_run(pool, workers, until):
    """SIGSTOP: it hears nothing and says nothing; the run can still be left."""

    def work(x):
        if x == 10:
            os.kill(os.getpid(), signal.SIGSTOP)
        return x

    with plait.map(work, range(100), model="processes", workers=2) as run:
        run.start()
        until(lambda: any(p.status() == psutil.STATUS_STOPPED for p in workers()), what="a stopped worker")
        began = time.monotonic()
    assert time.monotonic() - began < 2


def test_workers_killed_while_a_run_opens(pool, workers, meanwhile):
    """Killed before they can begin, time and again: the run goes on once the killing ends."""
    enough = threading.Event()

    def kill(stop):
        count = 0
        while count < 10 and not stop.is_set():
            for victim in workers():
                try:
                    victim.kill()
                    count += 1
                except psutil.Error:
                    continue
        enough.set()

    meanwhile(kill)
    assert list(plait.map(abs, range(50), model="processes", workers=2)) == list(range(50))
