"""Rules that hold for every evidence and situation."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from plait.fit.choose import Situation, choose
from plait.fit.evidence import Evidence

shares = st.floats(0.0, 1.0)
reasons = st.sampled_from([None, "because"])
MODELS = ("serial", "threads", "processes", "processes+threads")


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    seconds = draw(st.sampled_from([0.0, 1e-7, 1e-6, 2e-5, 1e-3, 0.04, 1.0, 300.0])) * draw(st.floats(0.5, 2.0))
    size = st.none() | st.floats(0, 1e9)
    return Evidence(
        items=draw(st.integers(1, 2000)),
        seconds=seconds,
        seconds_max=seconds * draw(st.floats(1, 100)),
        seconds_mean=seconds * draw(st.floats(0.9, 5)),
        cpu_share=draw(shares),
        gil_held=draw(st.none() | shares),
        bytes_in=draw(size),
        bytes_out=draw(size),
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    bound = st.none() | st.integers(1, 300)
    return Situation(
        cores=draw(st.integers(1, 128)),
        remaining=draw(st.none() | st.integers(0, 10**7)),
        is_async=draw(st.booleans()),
        pinned=draw(reasons),
        alone=draw(reasons),
        wants_kill=draw(st.booleans()),
        isolate=draw(st.booleans()),
        inside_worker=draw(st.booleans()),
        workers=draw(bound),
        width=draw(bound),
        start_seconds=draw(st.floats(0, 1)),
        allowed=draw(st.none() | st.lists(st.sampled_from(MODELS), min_size=1, unique=True).map(tuple)),
        travel=draw(reasons),
        bytes_per_item=draw(st.none() | st.floats(0, 1e9)),
        pickle_seconds_per_item=draw(st.none() | st.floats(0, 1)),
    )


free = situations().map(lambda it: replace(it, is_async=False, allowed=None, isolate=False, wants_kill=False))


@given(st.none() | evidences(), situations())
def test_there_is_always_a_placement_within_the_bounds_and_a_reason(evidence, situation):
    choice = choose(evidence, situation)
    at = choice.placement
    assert choice.reasons
    assert all(reason and len(reason) < 300 for reason in choice.reasons)
    assert (at.workers or 1) <= min(situation.cores, situation.workers or situation.cores)
    if at.style != "serial":
        assert at.width is not None
        assert at.width <= (situation.width or 128)
    if situation.remaining:
        assert (at.workers or 1) <= situation.remaining
    if situation.allowed and not situation.is_async:
        assert at.model in situation.allowed


@given(st.none() | evidences(), situations())
def test_the_same_figures_give_the_same_choice(evidence, situation):
    assert choose(evidence, situation) == choose(evidence, situation)


@given(evidences(), situations())
def test_what_must_stay_stays_and_what_must_leave_leaves(evidence, situation):
    situation = replace(situation, allowed=None)
    place = choose(evidence, situation).placement.place
    if situation.isolate:
        assert place != "here"
    elif situation.pinned or situation.travel or situation.inside_worker:
        assert place == "here"
    elif situation.wants_kill and not situation.is_async:
        assert place != "here"


@given(evidences(), situations())
def test_items_that_must_not_overlap_get_no_threads(evidence, situation):
    situation = replace(situation, allowed=None, alone="it counts")
    assert choose(evidence, situation).placement.style != "threads"


@given(evidences(), free, st.floats(0, 1), st.floats(0, 1))
def test_more_pickling_never_makes_processes_likelier(evidence, situation, cost, more):
    cheap = choose(evidence, replace(situation, pickle_seconds_per_item=cost)).placement.place
    dear = choose(evidence, replace(situation, pickle_seconds_per_item=cost + more)).placement.place
    assert (cheap, dear) != ("here", "processes")


@given(evidences(), free, st.floats(0, 10))
def test_dearer_workers_never_make_processes_likelier(evidence, situation, more):
    dear = replace(situation, start_seconds=situation.start_seconds + more)
    assert (choose(evidence, situation).placement.place, choose(evidence, dear).placement.place) != (
        "here",
        "processes",
    )


@given(evidences(), free)
def test_computing_on_one_core_gains_nothing(evidence, situation):
    computing = replace(evidence, cpu_share=1.0)
    assert choose(computing, replace(situation, cores=1)).placement.model == "serial"


@given(evidences(), free)
def test_threads_that_compute_are_no_more_than_the_cores(evidence, situation):
    at = choose(replace(evidence, cpu_share=1.0), situation).placement
    # Every worker gets the same number, rounded up: with one thread less in each, some core would have none.
    assert (at.workers or 1) * ((at.width or 1) - 1) < situation.cores
