"""Evidence and choices in words that do not contradict each other or the figures."""

from dataclasses import replace

import pytest

from plait.fit.choose import Situation, choose
from plait.fit.evidence import Evidence
from plait.fit.reasons import gained, measured_words, percent, rate_words, span
from plait.fit.review import Stretch, review

PYTHON = Evidence(20, 0.001, 0.0012, 0.001, 1.0, 0.95)
TWO = Situation(cores=2, remaining=10_000)


def told(evidence: Evidence, situation: Situation = TWO) -> str:
    return "; ".join(choose(evidence, situation).reasons)


def around(gain: float, work: float) -> str:
    """What is said where processes gain about `gain`x over `work` seconds."""
    return told(PYTHON, replace(TWO, remaining=round(work / 0.001), start_seconds=work / gain - work / 2))


class TestThreshold:
    @pytest.mark.parametrize("gain", [1.16, 1.19, 1.195, 1.199])
    def test_what_is_not_worth_it_is_less_than_what_would_be(self, gain):
        said = around(gain, 10.0)
        assert "at most: 1.2x would be worth it" in said
        assert gain - 0.02 < float(said.rpartition("x at most")[0].rpartition(" ")[2]) < 1.2

    @pytest.mark.parametrize("gain", [1.21, 1.25, 1.3])
    def test_what_is_worth_it_is_more(self, gain):
        said = around(gain, 10.0)
        assert "x of serial is predicted" in said
        assert 1.2 <= float(said.rpartition("x of serial")[0].rpartition(" ")[2]) <= gain

    def test_what_takes_no_time_must_gain_more(self):
        assert "at most: 1.3x would be worth it" in around(1.27, 0.45)
        assert "is predicted" in around(1.35, 0.45)
        assert "is predicted" in around(1.27, 0.55)

    def test_where_the_source_sets_the_pace_no_gain_is_promised(self):
        said = told(replace(PYTHON, source=0.01))
        assert "its source or its consumer sets the pace" in said
        assert "would gain" not in said


class TestWords:
    def test_only_what_computes_is_said_to_compute(self):
        def without_gil(share: float) -> str:
            return told(replace(PYTHON, cpu_share=share, gil_held=0.02))

        assert "it computes without the GIL" in without_gil(1.0)
        assert "it waits and computes in turn" in without_gil(0.4)
        assert "it mostly waits" in without_gil(0.01)

    def test_one_unfinished_item_has_no_mean(self):
        waiting = Evidence(1, 0.0203, 0.0203, 0.0203, 0.0, 0.0, unfinished=True, notes=("others were begun",))
        said = told(waiting)
        assert said.startswith("an item still waited after 20.3 ms; others were begun")
        assert " an item," not in said
        assert "predicted" not in said

    def test_a_loop_that_is_full_is_not_said_to_wait(self):
        now = Stretch("async", 1.0, 12_700, 100.0, 0.97)
        each = Evidence(100, 0.007, 0.007, 0.007, 0.01, 0.01)
        move = review(now, each, Situation(cores=2, is_async=True, remaining=10**6), {})
        assert move is not None
        assert move.reasons[0] == "measured 12,700/s under async, its thread busy 97 %"

    def test_percent_are_written_in_one_way(self):
        assert percent(0.7) == "70 %"
        assert "GIL held 95 % of the time" in measured_words(PYTHON)

    @pytest.mark.parametrize(
        ("times", "said"), [(1.2, "1.20x"), (1.1999, "1.19x"), (1.999, "1.99x"), (5.12, "5.1x"), (1234.5, "1,234x")]
    )
    def test_gains(self, times, said):
        assert gained(times) == said

    @pytest.mark.parametrize(
        ("rate", "said"),
        [
            (12_700, "12,700/s"),
            (1e9, "1,000,000,000/s"),
            (3.33, "3.3/s"),
            (0.05, "0.05/s"),
            (0.001, "3.6/h"),
            (0, "0/s"),
        ],
    )
    def test_rates_have_no_exponent(self, rate, said):
        assert rate_words(rate) == said

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [
            (0.9999, "1 s"),
            (0.9994, "999 ms"),
            (0.0009999, "1 ms"),
            (1234.5, "1,234 s"),
            (3e-6, "3 us"),
            (1e-9, "under 0.01 us"),
        ],
    )
    def test_spans_have_none_either(self, seconds, said):
        assert span(seconds) == said
