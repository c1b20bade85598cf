"""Where stages stand, as their reports say."""

import pytest

import plait
from plait.engine.figures import Figures
from plait.failure import Failure
from plait.placement import Placement
from plait.surface.report import Report
from plait.watch.standing import Standing, shape, standings


def test_of_a_stage_that_has_not_begun():
    assert standings(Report(Figures("parse", total=5))) == [Standing("parse", total=5, in_progress=0)]


def test_of_one_that_runs():
    figures = Figures("parse", total=100)
    figures.start()
    figures.chose(Placement("processes", "threads", 2, 8), ())
    figures.read, figures.finished, figures.failures, figures.retries = 50, 30, 5, 7
    figures.passed = 3  # failures of a stage before are neither finished here nor in progress
    (at,) = standings(Report(figures))
    assert (at.finished, at.in_progress, at.failures, at.retries) == (35, 12, 5, 7)
    assert (at.model, at.ended) == ("processes+threads x 2 x 8", False)
    figures.end()
    (at,) = standings(Report(figures))
    assert at.ended
    assert at.seconds == figures.wall


def test_of_a_flow():
    run = plait.flow(range(10)).map(abs, model="serial").map(halved, model="serial", on_error="return").map(bool).run()
    results = list(run)
    first, second, third = standings(run.report)
    assert [first.stage, second.stage, third.stage] == ["abs", "halved", "bool"]
    assert (first.finished, first.total, first.in_progress, first.ended) == (10, 10, 0, True)
    assert (second.finished, second.failures) == (10, 5)
    assert (third.finished, third.failures, third.in_progress) == (5, 0, 0)
    assert sum(isinstance(result, Failure) for result in results) == 5


def halved(number):
    if number % 2:
        raise ValueError(number)
    return number // 2


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((None, None), "serial"), ((1, 1), "serial"), ((1, 8), "serial x 8"), ((2, 128), "serial x 2 x 128")],
)
def test_shape(sizes, words):
    assert shape("serial", *sizes) == words
