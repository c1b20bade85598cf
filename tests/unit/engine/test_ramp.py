"""More items are begun while those in progress wait for nothing that they could burden."""

import os

import pytest

from plait.engine import ramp
from plait.engine.ramp import Ramp
from plait.fit.width import Width

linux = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc/self/fd")


class Clocks:
    """What the clocks say."""

    def __init__(self, monkeypatch):
        self.now = self.computed = 0.0
        self.open = 5
        monkeypatch.setattr(ramp.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(ramp.time, "process_time", lambda: self.computed)
        monkeypatch.setattr(ramp, "_descriptors", lambda: self.open)

    def looks(self, ramp: Ramp, many: int, *, every: float = 0.01, computing: float = 0.0) -> int:
        for _ in range(many):
            self.now += every
            self.computed += every * computing
            ramp.widens()
        return ramp.width.width


@pytest.fixture
def clocks(monkeypatch):
    return Clocks(monkeypatch)


def test_items_that_only_wait_get_company(clocks):
    assert clocks.looks(Ramp(Width(64, 1000), threads=True), 20) == 512


def test_items_that_hold_descriptors_may_burden_a_service(clocks):
    watched = Ramp(Width(64, 1000), threads=True)
    clocks.open += 64
    assert clocks.looks(watched, 20) == 64
    assert watched.over


def test_items_that_compute_get_none(clocks):
    assert clocks.looks(Ramp(Width(128, 1000), threads=False), 20, computing=1.0) == 128


def test_looks_that_come_late_tell_of_others_who_want_the_cpu(clocks):
    assert clocks.looks(Ramp(Width(64, 1000), threads=True), 20, every=0.05) == 64


def test_it_ends_with_the_first_item(clocks):
    width = Width(64, 1000)
    watched = Ramp(width, threads=True)
    width.finished(0.005, 1, 0, 0.005)
    assert clocks.looks(watched, 20) == 64
    assert watched.over


def test_where_the_system_does_not_count_descriptors_nothing_is_begun_unheard(clocks, monkeypatch):
    monkeypatch.setattr(ramp, "_descriptors", lambda: None)
    assert clocks.looks(Ramp(Width(64, 1000), threads=True), 20) == 64


@linux
def test_descriptors_are_counted():
    before = ramp._descriptors()
    with open(os.devnull), open(os.devnull):
        assert ramp._descriptors() == before + 2
