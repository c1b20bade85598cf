"""The straggler's threshold is the percentile of what was seen last; second issues stay within their share."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from plait.policy.hedge import ENOUGH, WINDOW, Hedge, Stragglers

percentiles = st.floats(0.5, 0.999)
durations = st.lists(st.floats(0, 1e6) | st.sampled_from([0.0, 1.0]), max_size=100)


@given(percentiles, durations, st.integers(0, 40))
def test_the_threshold_is_a_percentile_of_the_last_ones(percentile, durations, repeats):
    stragglers, everything = Stragglers(Hedge(percentile)), durations * repeats
    for seconds in everything:
        stragglers.observed(seconds)
    last = sorted(everything[-WINDOW:])
    threshold = stragglers.threshold()
    assert (threshold is None) is (len(last) < ENOUGH)
    if threshold is not None:
        assert threshold in last
        assert sum(seconds <= threshold for seconds in last) >= percentile * len(last)
        assert sum(seconds > threshold for seconds in last) <= ceil((1 - percentile) * len(last))


@given(st.floats(0.001, 1), st.lists(st.integers(0, 900) | st.just(-1), max_size=60))
def test_no_stretch_has_more_second_issues_than_its_share_and_what_was_saved(most, steps):
    """A number: so many end; -1: all that may be issued are."""
    stragglers, ended, history = Stragglers(Hedge(most=most)), 0, []
    for step in steps:
        for _ in range(max(0, step)):
            stragglers.observed(1.0)
            ended += 1
        while step < 0 and stragglers.may():
            stragglers.issued()
            history.append(ended)
    for first, before in enumerate(history):
        count = len(history) - first
        saved = max(1.0, most * WINDOW)
        assert count <= most * (ended - before) + saved + 1e-6
    assert len(history) <= most * ended + 1e-6
