"""Whether a running lane should be somewhere else: one stretch of measured time against what others promise."""

from dataclasses import replace

import pytest

from plait.fit.choose import Situation
from plait.fit.evidence import Evidence
from plait.fit.review import Stretch, available, changed, renewed, review

TWO = Situation(cores=2, remaining=100_000)
WAITS = Evidence(10, 0.010, 0.010, 0.010, 0.01, 0.02)
COMPUTES = Evidence(10, 0.010, 0.010, 0.010, 1.0, 0.9)
RELEASES = Evidence(10, 0.010, 0.010, 0.010, 1.0, 0.02)


def stretch(model, *, rate, each, cpu, gil=None, seconds=1.0, workers=2):
    """A stretch in which `rate` items a second ended, each in progress for `each` seconds, of these `cpu` computing."""
    items = int(rate * seconds)
    return Stretch(model, seconds, items, items * each, items * cpu, gil, workers)


class TestWaitingThatTurnedIntoComputing:
    def test_threads_whose_gil_is_held_become_processes(self):
        now = stretch("threads", rate=230, each=0.28, cpu=0.004, gil=0.95, workers=64)
        move = review(now, WAITS, TWO, {})
        assert move is not None
        assert move.model.startswith("processes")
        assert "GIL held 95 %" in move.reasons[0]

    def test_threads_that_compute_without_the_gil_stay(self):
        now = stretch("threads", rate=450, each=0.14, cpu=0.004, gil=0.05, workers=64)
        assert review(now, WAITS, TWO, {}) is None

    def test_a_loop_whose_thread_is_saturated_is_joined_by_others(self):
        now = stretch("async", rate=480, each=0.25, cpu=0.002)
        move = review(now, None, replace(TWO, is_async=True), {})
        assert move is not None
        assert move.model == "processes+async"

    def test_what_must_stay_stays(self):
        now = stretch("threads", rate=230, each=0.28, cpu=0.004, gil=0.95, workers=64)
        assert review(now, WAITS, replace(TWO, pinned="it counts", alone="it counts"), {"serial": 100}) is None


class TestComputingThatTurnedIntoWaiting:
    def test_workers_whose_items_wait_become_threads(self):
        move = review(stretch("processes", rate=190, each=0.0105, cpu=0.0002), COMPUTES, TWO, {})
        assert move is not None
        assert move.model == "threads"

    def test_where_only_a_process_can_be_killed_they_get_threads(self):
        move = review(
            stretch("processes", rate=190, each=0.0105, cpu=0.0002), COMPUTES, replace(TWO, wants_kill=True), {}
        )
        assert move is not None
        assert move.model == "processes+threads"


class TestABusyMachine:
    def test_workers_that_get_half_of_it_stay(self):
        # Two workers on two cores, of which others take one: nobody would get more.
        now = stretch("processes", rate=100, each=0.010, cpu=0.010)
        assert review(now, COMPUTES, TWO, {"serial": 100}) is None

    def test_what_one_thread_would_get_is_counted(self):
        now = Stretch("processes", 1.0, 60, 0.6, 0.6, None, 2)
        assert available(now, 2) == pytest.approx(0.6)
        assert review(now, COMPUTES, TWO, {"serial": 100}) is None, "100 items/s were measured with a core at hand"

    def test_threads_that_share_it_with_others_stay(self):
        now = stretch("threads", rate=100, each=0.020, cpu=0.010, gil=0.03)
        assert review(now, RELEASES, TWO, {"serial": 100}) is None


class TestWhatWasShown:
    def test_serial_wins_where_threads_get_in_each_others_way(self):
        now = stretch("threads", rate=50, each=1.0, cpu=0.0005, workers=64)
        move = review(now, WAITS, replace(TWO, travel="it holds a lock"), {"serial": 100.0})
        assert move is not None
        assert move.model == "serial"
        assert "did 2.0x" in move.reasons[1]

    def test_a_placement_that_did_no_better_is_not_tried_again(self):
        now = stretch("threads", rate=230, each=0.28, cpu=0.004, gil=0.95, workers=64)
        known = {"processes": 210.0, "processes+threads": 200.0}
        assert review(now, WAITS, TWO, known) is None

    def test_nothing_is_worth_it_at_the_end(self):
        now = stretch("threads", rate=230, each=0.28, cpu=0.004, gil=0.95, workers=64)
        assert review(now, WAITS, replace(TWO, remaining=10), {}) is None

    def test_a_stretch_without_items_says_nothing(self):
        assert review(stretch("threads", rate=0, each=0.0, cpu=0.0), WAITS, TWO, {}) is None


class TestRenewed:
    def test_items_alone_have_their_own_seconds(self):
        fresh = renewed(WAITS, stretch("processes", rate=100, each=0.02, cpu=0.015))
        assert (fresh.seconds, fresh.cpu_share) == (pytest.approx(0.02), pytest.approx(0.75))

    def test_items_in_a_saturated_process_wait_for_each_other(self):
        fresh = renewed(WAITS, stretch("threads", rate=250, each=0.256, cpu=0.004, workers=64))
        assert fresh.seconds < 0.02
        assert fresh.cpu_share > 0.25

    def test_the_gil_is_held_as_it_was_for_the_same_share(self):
        fresh = renewed(COMPUTES, stretch("processes", rate=100, each=0.02, cpu=0.010))
        assert fresh.gil_held == pytest.approx(0.45)

    def test_without_evidence_it_is_all_there_is(self):
        fresh = renewed(None, stretch("async", rate=100, each=0.02, cpu=0.001))
        assert (fresh.items, fresh.gil_held) == (100, None)


class TestChanged:
    def test_items_that_cost_three_times_the_cpu_are_others(self):
        assert changed(stretch("threads", rate=9, each=0.1, cpu=0.001), stretch("threads", rate=9, each=0.1, cpu=0.003))

    def test_computing_items_that_a_busy_machine_slows_down_are_the_same(self):
        one, two = (stretch("processes", rate=9, each=each, cpu=0.01) for each in (0.01, 0.03))
        assert not changed(one, two)

    def test_items_that_wait_for_three_times_as_long_are_others(self):
        one, two = (stretch("threads", rate=9, each=each, cpu=0.0001) for each in (0.01, 0.03))
        assert changed(one, two)


class TestWhatWasTriedBefore:
    def test_where_others_want_the_cpus_a_second_that_was_better_does_not_outweigh_what_is_known_of_the_items(self):
        now = replace(stretch("processes+threads", rate=300, each=0.01, cpu=0.004), crowded=None)
        held = replace(COMPUTES, gil_held=1.0, cpu_share=0.6)
        assert review(now, held, TWO, {"threads": 450, "serial": 100}) is None
        move = review(now, held, TWO, {"threads": 700, "serial": 100})
        assert move is not None
        assert move.model == "threads"

    def test_what_kept_threads_that_release_the_gil_from_what_they_promised_keeps_processes_too(self):
        now = replace(stretch("serial", rate=100, each=0.010, cpu=0.010), crowded=0.3)
        move = review(now, RELEASES, TWO, {})
        assert move is not None
        assert review(now, RELEASES, TWO, {"threads": 90}) is None
