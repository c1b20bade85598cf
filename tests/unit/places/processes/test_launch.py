"""The starter, as its parent launches it and hears from it."""

import os
import select
import socket
import sys

import psutil
import pytest

from plait.errors import StartFailed
from plait.places.processes.launch import Starter
from plait.places.processes.setting import BLAS
from plait.places.processes.starter import MESSAGE

WAIT_MS = 5000


def heard(starter: Starter) -> list[tuple[bytes, int, int, int]]:
    """Wait until the starter says something, or ends."""
    found: list[tuple[bytes, int, int, int]] = []
    while not found and not starter.gone:
        poll = select.poll()
        poll.register(starter.control, select.POLLIN)
        assert poll.poll(WAIT_MS), "the starter says nothing"
        found = list(starter.messages())
    return found


@pytest.fixture
def starter(nothing_left, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for name in BLAS[1:]:
        monkeypatch.delenv(name, raising=False)
    made = Starter([], later=False)
    yield made
    made.close()


def test_it_says_when_it_is_ready_and_ends_when_closed(starter):
    assert heard(starter) == [(b"R", 0, 0, 0)]
    starter.close()
    assert starter.gone
    assert starter.process.returncode == 0


def test_ctrl_c_does_not_reach_it(starter):
    assert heard(starter)
    assert os.getsid(starter.process.pid) == starter.process.pid


def test_linear_algebra_gets_one_thread_there_unless_the_user_said_otherwise(starter):
    assert heard(starter)
    environ = psutil.Process(starter.process.pid).environ()
    assert {name: environ[name] for name in BLAS} == {**dict.fromkeys(BLAS, "1"), "OMP_NUM_THREADS": "7"}
    assert not set(BLAS[1:]) & set(os.environ), "this process's own is left alone"


def test_its_end_is_noticed(starter):
    assert heard(starter)
    starter.process.kill()
    assert heard(starter) == []
    assert starter.gone


def test_messages_may_come_in_parts(starter):
    """A socket promises no more than bytes."""
    heard(starter)
    own, starter.control = starter.control, None
    ours, starter.control = socket.socketpair()
    try:
        starter.control.setblocking(False)
        both = MESSAGE.pack(b"S", 1, 100, 0) + MESSAGE.pack(b"D", 2, 200, 9)
        ours.sendall(both[:5])
        assert list(starter.messages()) == []
        ours.sendall(both[5:30])
        assert list(starter.messages()) == [(b"S", 1, 100, 0)]
        ours.sendall(both[30:])
        assert list(starter.messages()) == [(b"D", 2, 200, 9)]
        assert list(starter.messages()) == [], "nothing to read is no end"
        assert not starter.gone
        ours.close()
        assert list(starter.messages()) == []
        assert starter.gone
    finally:
        ours.close()
        starter.control.close()
        starter.control = own


@pytest.mark.parametrize(
    ("executable", "words"), [("/nowhere/python", "'/nowhere/python' could not be executed"), ("", "is empty")]
)
def test_an_interpreter_that_cannot_be_executed_is_said_and_leaves_nothing(
    executable, words, monkeypatch, nothing_left
):
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(StartFailed, match=words):
        Starter([], later=False)
