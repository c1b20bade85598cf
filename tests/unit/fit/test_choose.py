"""The table of how `auto` decides, row by row, and the order of what binds it."""

from dataclasses import replace

import pytest

from plait.errors import UnknownOption
from plait.fit.choose import Choice, Situation, choose, gil_seconds, predict
from plait.fit.evidence import Evidence
from plait.placement import Placement


def seen(seconds: float, share: float, held: float | None, **more: float) -> Evidence:
    return Evidence(20, seconds, seconds * 1.2, seconds, share, held, **more)


PYTHON = seen(0.003, 0.98, 0.95)
HASHING = seen(0.003, 1.0, 0.03)
SLEEPING = seen(0.003, 0.01, 0.02)
FETCHING = seen(0.100, 0.05, 0.06)
HALF = seen(0.006, 0.45, 0.40)
NO_OP = seen(1e-7, 1.0, None)
TWO = Situation(cores=2, remaining=10_000)


def model(evidence: Evidence | None, situation: Situation = TWO) -> str:
    return choose(evidence, situation).placement.model


def told(choice: Choice) -> str:
    return "; ".join(choice.reasons)


@pytest.mark.parametrize(
    ("evidence", "placement"),
    [
        (NO_OP, Placement("here", "serial", width=1)),
        (seen(3e-6, 1.0, 0.9), Placement("here", "serial", width=1)),
        (PYTHON, Placement("processes", "serial", 2, 1)),
        (seen(2e-4, 1.0, 0.9), Placement("processes", "serial", 2, 1)),
        (HASHING, Placement("here", "threads", None, 2)),
        (SLEEPING, Placement("here", "threads", None, 64)),
        (FETCHING, Placement("here", "threads", None, 40)),
        (seen(0.05, 0.14, 0.14), Placement("here", "threads", None, 16)),
        (seen(0.05, 0.2, 0.2), Placement("processes", "threads", 2, 8)),  # 5 threads saturate the GIL
        (HALF, Placement("processes", "threads", 2, 4)),
    ],
)
def test_what_the_evidence_leads_to(evidence: Evidence, placement: Placement):
    assert choose(evidence, TWO).placement == placement


def test_waiting_with_the_gil_in_hand_needs_processes():
    assert choose(seen(0.010, 0.02, 0.97), TWO).placement.place == "processes"


def test_an_unknown_share_of_the_gil_counts_as_held():
    assert model(replace(PYTHON, gil_held=None)) == "processes"
    assert model(replace(SLEEPING, gil_held=None)) == "threads"
    assert gil_seconds(replace(PYTHON, gil_held=None)) == pytest.approx(0.98 * 0.003)
    assert gil_seconds(HASHING) == 0


@pytest.mark.parametrize("evidence", [PYTHON, HASHING, NO_OP])
def test_one_core_computes_serially(evidence: Evidence):
    choice = choose(evidence, replace(TWO, cores=1))
    assert choice.placement.model == "serial"
    assert "one core" in told(choice) or evidence is NO_OP


def test_one_core_waits_in_threads():
    assert model(FETCHING, replace(TWO, cores=1)) == "threads"


def test_a_job_shorter_than_what_starting_costs_stays_serial():
    few = replace(TWO, remaining=12)
    assert model(PYTHON, few) == "serial"
    assert model(PYTHON, replace(few, start_seconds=0.001)) == "processes"
    assert "starting anything would not pay" in told(choose(PYTHON, few))
    assert model(PYTHON, replace(TWO, remaining=0)) == "serial"


def test_an_input_of_unknown_length_is_worth_starting_for():
    assert model(PYTHON, replace(TWO, remaining=None)) == "processes"
    assert model(NO_OP, replace(TWO, remaining=None)) == "serial"


def test_pickling_that_costs_more_than_it_gains_stays_here():
    assert model(PYTHON, replace(TWO, pickle_seconds_per_item=0.0001)) == "processes"
    assert model(PYTHON, replace(TWO, pickle_seconds_per_item=0.003)) == "serial"
    assert model(PYTHON, replace(TWO, bytes_per_item=1e8)) == "serial"
    assert model(replace(PYTHON, bytes_out=1e8)) == "serial"


def test_no_more_workers_or_threads_than_items_or_bounds():
    few = Situation(cores=8, remaining=3, start_seconds=0.005)
    assert choose(seen(1.0, 1.0, 0.9), few).placement == Placement("processes", "serial", 3, 1)
    assert choose(seen(1.0, 0.01, 0.0), few).placement == Placement("here", "threads", None, 3)
    assert choose(PYTHON, Situation(cores=8, workers=2)).placement.workers == 2
    assert choose(PYTHON, Situation(cores=2, workers=9)).placement.workers == 2
    assert choose(SLEEPING, replace(TWO, width=5)).placement.width == 5


# ------------------------------------------------------------------------------------------------------------- async


def test_async_runs_on_a_loop():
    choice = choose(None, replace(TWO, is_async=True))
    assert choice.placement == Placement("here", "loop", None, 128)
    assert "async function" in told(choice)
    assert choose(None, replace(TWO, is_async=True, width=7)).placement.width == 7
    assert choose(None, replace(TWO, is_async=True, remaining=9)).placement.width == 9


def test_async_that_saturates_its_loop_goes_to_processes():
    busy = replace(TWO, is_async=True)
    choice = choose(seen(0.004, 0.9, 0.9), busy)
    assert choice.placement == Placement("processes", "loop", 2, 64)
    assert "saturated" in told(choice)
    assert model(seen(0.100, 0.001, 0.02), busy) == "async"
    assert model(seen(0.004, 0.9, 0.9), replace(busy, pinned="it writes a global")) == "async"


# ------------------------------------------------------------------------------------------------------------ bounds


def test_pinned_python_stays_serial_and_says_that_threads_would_not_help():
    choice = choose(PYTHON, replace(TWO, pinned="f writes the global n"))
    assert choice.placement.model == "serial"
    assert "it stays in this process: f writes the global n" in choice.reasons
    assert "threads would queue for the GIL" in choice.reasons


def test_pinned_that_waits_uses_threads_unless_its_items_must_not_overlap():
    pinned = replace(TWO, pinned="it appends to a list")
    assert model(SLEEPING, pinned) == "threads"
    choice = choose(SLEEPING, replace(pinned, alone="it counts in a global"))
    assert choice.placement.model == "serial"
    assert "its items must not overlap: it counts in a global" in choice.reasons


def test_alone_may_use_processes_but_no_threads_in_them():
    assert model(HALF, replace(TWO, alone="a parser that is not thread-safe")) == "processes"


def test_what_cannot_travel_stays():
    choice = choose(PYTHON, replace(TWO, travel="a lock cannot be pickled"))
    assert choice.placement.place == "here"
    assert "it cannot go to another process: a lock cannot be pickled" in choice.reasons


@pytest.mark.parametrize(
    ("evidence", "wanted"), [(PYTHON, "processes"), (SLEEPING, "processes+threads"), (NO_OP, "processes")]
)
def test_a_timeout_prefers_a_place_that_can_kill(evidence: Evidence, wanted: str):
    choice = choose(evidence, replace(TWO, wants_kill=True))
    assert choice.placement.model == wanted
    assert "timeout= is set" in told(choice)


def test_a_timeout_gives_way_to_what_pins():
    assert model(SLEEPING, replace(TWO, wants_kill=True, pinned="it holds a socket")) == "threads"
    assert model(None, replace(TWO, wants_kill=True, is_async=True)) == "async"


def test_isolated_items_never_run_here():
    isolated = replace(TWO, isolate=True)
    assert model(None, isolated) == "processes"
    assert model(NO_OP, isolated) == "processes"
    assert model(None, replace(isolated, is_async=True)) == "processes+async"
    assert model(None, replace(isolated, pinned="it writes a global")) == "processes"


def test_a_map_inside_a_worker_adds_no_workers():
    inside = replace(TWO, inside_worker=True)
    assert [model(one, inside) for one in (PYTHON, SLEEPING, HASHING)] == ["serial"] * 3
    assert model(None, replace(inside, is_async=True)) == "async"
    assert model(PYTHON, replace(inside, allowed=("processes",))) == "processes"


def test_allowed_restricts():
    assert model(SLEEPING, replace(TWO, allowed=("serial", "processes"))) == "processes"
    assert model(HASHING, replace(TWO, allowed=("processes", "serial"))) == "processes"
    assert model(NO_OP, replace(TWO, allowed=("serial", "processes"))) == "serial"
    assert model(PYTHON, replace(TWO, allowed=("threads",))) == "threads"
    assert model(PYTHON, replace(TWO, allowed=("processes",), pinned="it writes a global")) == "processes"
    assert model(PYTHON, replace(TWO, allowed=("serial", "processes"), pinned="it writes a global")) == "serial"
    with pytest.raises(UnknownOption, match="Did you mean 'threads'"):
        choose(PYTHON, replace(TWO, allowed=("serial", "thread")))


def test_nothing_measured():
    choice = choose(None, TWO)
    assert choice.placement.model == "serial"
    assert choice.reasons == ("no item was measured",)


# ----------------------------------------------------------------------------------------------------------- reasons


def test_reasons_give_the_figures():
    choice = choose(replace(PYTHON, gil_held=0.84), TWO)
    assert choice.reasons[0] == "3 ms an item, CPU share 0.98, GIL held 84 % of the time"
    assert "threads would queue for the GIL" in choice.reasons
    assert any("x of serial is predicted" in reason for reason in choice.reasons)


def test_the_choice_does_not_tip_over_with_the_noise_of_a_busy_machine():
    for evidence in (PYTHON, HASHING, SLEEPING, HALF, NO_OP):
        wanted = model(evidence)
        for seconds in (0.6, 1.0, 1.6):
            for share in (0.93, 1.0):
                for held in (-0.04, 0.0, 0.04):
                    noisy = replace(
                        evidence,
                        seconds=evidence.seconds * seconds,
                        seconds_mean=evidence.seconds_mean * seconds,
                        cpu_share=min(1.0, evidence.cpu_share * share),
                        gil_held=None if evidence.gil_held is None else max(0.0, evidence.gil_held + held),
                    )
                    assert model(noisy) == wanted, noisy


def test_predictions_follow_the_formulas():
    assert predict("serial", PYTHON, TWO) == pytest.approx(30.0)
    assert predict("threads", PYTHON, TWO) == pytest.approx(29.4, rel=0.03)
    assert predict("processes", PYTHON, TWO) == pytest.approx(15.0, rel=0.03)
    assert predict("threads", SLEEPING, TWO) == pytest.approx(10_000 * 0.003 / 64, rel=0.2)
