import contextlib
from types import SimpleNamespace

import pytest

import plait
from plait.cli.delivery import FirstFailure
from plait.cli.flow_delivery import FlowBroken, FlowDelivery
from plait.cli.outputs import Nowhere
from plait.failure import Failure


def failure(index, stage="parse"):
    return Failure(index, index, stage, 1, ValueError(index), "")


class Kept(list):
    """Failures as a run keeps them: a list of the last ones, that may change while it is read."""

    def __init__(self, items=()):
        super().__init__(items)
        self.changes = 2

    def __iter__(self):
        if self.changes:
            self.changes -= 1
            raise RuntimeError("deque mutated during iteration")
        return super().__iter__()


class Run:
    """A run of which only its failures are asked."""

    def __init__(self):
        self.failures, self.total, self.heard = [], 0, []

    @property
    def report(self):
        return SimpleNamespace(failures=self.total)

    def observe(self, heard, types):
        self.heard.append(heard)
        return contextlib.nullcontext()

    def fail(self, *failures):
        self.total += len(failures)
        self.failures = [*self.failures, *failures][-1000:]
        for one in failures:
            for heard in self.heard:
                heard(one)


@pytest.fixture
def delivery():
    listed = FlowDelivery(Nowhere(), None, rows=False)
    listed.got = []
    listed._list_or_tell = listed.got.append
    return listed


def test_each_is_listed_once(delivery):
    run = Run()
    with delivery.gathering(run):
        for index in range(5000):
            run.fail(failure(index))
    assert [one.index for one in delivery.got] == list(range(5000))
    assert (delivery.failures, delivery.missed) == (5000, 0)


def test_what_came_too_many_at_once_is_counted(delivery):
    run = Run()
    with delivery.gathering(run):
        run.fail(*map(failure, range(1500)))
    assert (delivery.failures, delivery.missed) == (1000, 500)


def test_failures_may_come_while_they_are_gathered(delivery):
    run = Run()
    with delivery.gathering(run):
        run.failures, run.total = Kept([failure(1)]), 1
    assert delivery.failures == 1


def test_the_one_that_ended_the_run(delivery):
    run, last = Run(), failure(3)
    with pytest.raises(FirstFailure, match="item 3 failed in parse"):
        ended_by(delivery, run, last)
    assert delivery.got == []  # who catches it tells it, in full


def ended_by(delivery, run, last):
    with delivery.gathering(run):
        run.fail(last)
        raise last.exception


def test_what_the_users_code_around_the_stages_raised(delivery):
    with pytest.raises(FlowBroken) as caught, delivery.gathering(Run()):
        broken()
    first, second, *_ = str(caught.value).splitlines()
    assert (first, second) == ("ZeroDivisionError: division by zero", "Traceback (most recent call last):")
    assert "return 1 / 0" in str(caught.value)
    assert "flow_delivery.py" not in str(caught.value).replace(__file__, "")


def broken():
    return 1 / 0


def test_errors_of_plait_stay_what_they_are(delivery):
    with pytest.raises(plait.OptionError), delivery.gathering(Run()):
        plait.map(abs, [], width=0)
