"""Who dies on this machine is heard of at once, and once."""

import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plait.jobs.neighbours import Neighbours

pytestmark = pytest.mark.timeout(120)
LONG = 3600.0  # whoever waits so long hangs: the test has a limit


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def wake():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield theirs


@pytest.fixture
def neighbours():
    made = Neighbours()
    yield made
    made.close()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_end_is_heard_of_at_once_and_only_once(neighbours, sleeper, wake):
    neighbours.know({1: sleeper.pid, 2: os.getpid()})
    sleeper.kill()
    assert neighbours.wait(LONG, wake.fileno())
    neighbours.know({1: sleeper.pid, 2: os.getpid()})  # nobody has recovered it yet
    assert not neighbours.wait(0.0, wake.fileno())


def test_a_wake_ends_the_wait(neighbours, sleeper):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        neighbours.know({1: sleeper.pid})
        ours.send(b"x")
        assert not neighbours.wait(LONG, theirs.fileno())


def test_who_is_gone_already_is_left_to_the_look_at_its_lock(neighbours, sleeper, wake):
    sleeper.kill()
    sleeper.wait()
    neighbours.know({1: sleeper.pid})
    assert not neighbours.wait(0.0, wake.fileno())


def test_nothing_stays_open(sleeper):
    before = open_descriptors()
    neighbours = Neighbours()
    neighbours.know({1: sleeper.pid, 2: os.getpid()})
    neighbours.know({2: os.getpid()})
    neighbours.close()
    assert open_descriptors() == before


def test_without_process_descriptors_nothing_is_heard(neighbours, sleeper, wake, monkeypatch):
    monkeypatch.setenv("PLAIT_WITHOUT", "pidfd")
    neighbours.know({1: sleeper.pid})
    sleeper.kill()
    assert not neighbours.wait(0.0, wake.fileno())


def test_one_that_ends_while_it_is_forgotten_does_not_end_who_waits(monkeypatch):
    """A client of the worker's process looks after the store, or closes it, while the worker lingers."""
    raised, waiting, poll = [], threading.Event(), select.poll

    class Telling:
        """Tells of each wait as it begins."""

        def __init__(self):
            inner = poll()
            self.register, self._wait = inner.register, inner.poll

        def poll(self, timeout):
            waiting.set()
            return self._wait(timeout)

    monkeypatch.setattr(select, "poll", Telling)

    def waits(neighbours, wake):
        try:
            neighbours.wait(LONG, wake)
        except BaseException as error:
            raised.append(error)

    for _ in range(20):
        neighbours, process = Neighbours(), subprocess.Popen(["sleep", "1000"])
        ours, theirs = socket.socketpair()
        with ours, theirs:
            neighbours.know({1: process.pid})
            thread = threading.Thread(target=waits, args=(neighbours, theirs.fileno()))
            thread.start()
            assert waiting.wait(LONG)
            waiting.clear()
            process.kill()
            neighbours.close()
            ours.send(b"x")
            thread.join()
            process.wait()
    assert raised == []
