"""An inline run that takes longer than was measured is noticed, without costing the run anything."""

from typing import Any

import pytest

from plait.engine.drift import JUDGED, LOOK, Drift, Drifted
from plait.fit.evidence import Evidence

EACH = 0.001
EVIDENCE = Evidence(10, EACH, EACH, EACH, 1.0, 1.0)


class Run:
    """As a generator: `gi_running` says whether it is in an item."""

    def __init__(self, running: bool = True) -> None:
        self.gi_running = running


def watched(*, evidence: Evidence = EVIDENCE, running: bool = True) -> tuple[Drift, Any, list[BaseException]]:
    pairs, halt = enumerate(iter(range(10**6)), 40), []
    return Drift(Run(running), pairs, evidence, halt), pairs, halt


def look(drift: Drift, pairs: Any, seconds: float, rate: float) -> None:
    """Let `seconds` go by, in which items end at `rate`."""
    done = 0.0
    for _ in range(round(seconds / LOOK)):
        done += rate * LOOK
        while done >= 1:
            next(pairs)
            done -= 1
        drift._look()


def test_items_as_measured_are_left_alone():
    drift, pairs, halt = watched()
    look(drift, pairs, 2.0, 1 / EACH)
    assert not halt
    assert not drift.found


def test_items_that_take_much_longer_end_it():
    drift, pairs, halt = watched()
    look(drift, pairs, 0.5, 0.1 / EACH)
    assert [type(one) for one in halt] == [Drifted]
    assert not drift.found, "the run has not come to it yet"
    halt[0].unread.append("next")
    assert drift.found


def test_a_run_that_ended_by_itself_is_over():
    drift, pairs, halt = watched()
    look(drift, pairs, 0.5, 0.0)
    assert halt
    assert not drift.found


def test_one_that_never_ends_does_too():
    drift, pairs, halt = watched()
    look(drift, pairs, JUDGED + 2 * LOOK, 0)
    assert halt


def test_a_consumer_that_takes_its_time_is_not_the_items_fault():
    drift, pairs, halt = watched(running=False)
    look(drift, pairs, 2.0, 1.0)
    assert not halt


def test_a_source_that_was_slow_before_may_stay_so():
    slow = Evidence(10, EACH, EACH, EACH, 1.0, 1.0, source=0.02)
    drift, pairs, halt = watched(evidence=slow)
    look(drift, pairs, 2.0, 40.0)
    assert not halt


def test_what_is_left_begins_with_what_was_taken_already():
    drift, pairs, halt = watched()
    look(drift, pairs, 0.5, 0.0)
    halt[0].unread.append("taken")
    rest = drift.rest()
    assert [next(rest), next(rest)] == ["taken", 0]


@pytest.mark.parametrize("times", [2, 5])
def test_it_is_found_once(times):
    drift, pairs, halt = watched()
    for _ in range(times):
        look(drift, pairs, 0.5, 0.0)
    assert len(halt) == 1


def test_it_knows_what_the_consumer_took():
    drift, pairs, _ = watched(running=False)
    look(drift, pairs, 1.0, 0.0)
    assert drift.outside == pytest.approx(1.0)
    drift, pairs, _ = watched()
    look(drift, pairs, 1.0, 1 / EACH)
    assert drift.outside == 0
