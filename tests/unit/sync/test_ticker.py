"""Timers on one thread, made when needed and gone when idle."""

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from plait.sync.ticker import Ticker, ticker


class Hasty(Ticker):
    IDLE = 0.02


@pytest.fixture
def hasty() -> Hasty:
    return Hasty()


def in_a_moment() -> float:
    return time.monotonic() + 0.005


def tickers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "plait-ticker"}


@pytest.fixture(autouse=True)
def no_thread_left(until) -> Iterator[None]:
    before = tickers()
    yield
    until(lambda: not tickers() - before, what="no ticker's thread")


def test_it_calls_at_the_time_and_not_before(hasty):
    called, at = threading.Event(), []
    when = time.monotonic() + 0.03
    hasty.at(when, lambda: (at.append(time.monotonic()), called.set()))
    assert called.wait(5)
    assert at[0] >= when


def test_what_is_due_is_called_at_once_in_the_order_of_its_times(hasty):
    called, order, gate = threading.Event(), [], threading.Event()
    hasty.at(0, gate.wait)  # holds the thread until all are set
    for when in (3, 1, 2):
        hasty.at(when, lambda when=when: order.append(when))
    hasty.at(4, called.set)
    gate.set()
    assert called.wait(5)
    assert order == [1, 2, 3]


def test_an_earlier_timer_overtakes_one_that_is_waited_for(hasty):
    early = threading.Event()
    off = hasty.at(time.monotonic() + 3600, lambda: None)
    hasty.at(in_a_moment(), early.set)
    assert early.wait(5)
    off()
    hasty.at(0, lambda: None)  # wakes the thread, which looks again


def test_what_is_called_off_is_not_called(hasty):
    called, after = [], threading.Event()
    when = time.monotonic() + 0.02
    off = hasty.at(when, lambda: called.append(1))
    hasty.at(when + 0.001, after.set)
    off()
    off()  # twice is harmless
    assert after.wait(5)
    assert not called


def test_a_timer_that_fails_is_logged_and_breaks_no_other(hasty, caplog):
    called = threading.Event()
    with caplog.at_level(logging.ERROR, "plait"):
        hasty.at(0, lambda: 1 / 0)
        hasty.at(in_a_moment(), called.set)
        assert called.wait(5)
    assert "ZeroDivisionError" in caplog.text


def test_every_calls_again_and_again_until_called_off(hasty):
    times, enough = [], threading.Event()

    def call() -> None:
        times.append(time.monotonic())
        if len(times) == 3:
            stop()
            enough.set()

    stop = hasty.every(0.005, call)
    assert enough.wait(5)
    after = threading.Event()
    hasty.at(time.monotonic() + 0.02, after.set)
    assert after.wait(5)
    assert len(times) == 3


def test_every_goes_on_after_a_call_that_fails(hasty, caplog):
    calls, again = [], threading.Event()

    def call() -> None:
        calls.append(1)
        if len(calls) > 1:
            again.set()
        raise ValueError("no")

    stop = hasty.every(0.002, call)
    assert again.wait(5)
    stop()


def test_the_thread_goes_when_idle_and_comes_back_when_needed(hasty, until):
    before = tickers()
    for _ in range(2):
        called = threading.Event()
        hasty.at(0, called.set)
        assert called.wait(5)
        until(lambda: not tickers() - before, what="the thread's end")


@pytest.mark.parametrize("far", [1e10, 1e300, float("inf")])
def test_a_time_beyond_what_the_system_can_wait_harms_no_other_timer(hasty, far):
    called = threading.Event()
    off = hasty.at(far, lambda: None)
    hasty.at(in_a_moment(), lambda: None)
    hasty.at(in_a_moment() + 0.01, called.set)
    assert called.wait(2)
    off()
    hasty.at(0, lambda: None)


def test_there_is_one_for_the_process():
    assert ticker() is ticker()


def test_a_forked_child_gets_its_own(python):
    ran = python(
        """
        import os, threading, time
        from plait.sync.ticker import ticker

        ours = ticker()
        started = threading.Event()
        ours.at(0, started.set)
        started.wait(5)
        pid = os.fork()
        if pid == 0:
            called = threading.Event()
            ticker().at(time.monotonic(), called.set)
            os._exit(0 if ticker() is not ours and called.wait(5) else 1)
        print(os.waitpid(pid, 0)[1])
        """
    )
    assert ran.stdout.strip() == "0", ran.stderr
