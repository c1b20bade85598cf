"""A function that brings its own options."""

import inspect
import pickle

import pytest

import plait
from plait.errors import OptionError, UnknownOption
from plait.surface.task import Task, task


@task(retries=2, model="serial")
def double(x, times=2):
    """Twice as much."""
    return x * times


class Shop:
    rate = 3

    @task(model="serial")
    def price(self, x):
        return x * self.rate


def test_it_is_called_as_it_was():
    assert double(4) == 8
    assert double(4, times=3) == 12


def test_it_looks_like_the_function():
    assert (double.__name__, double.__doc__, double.__module__) == ("double", "Twice as much.", __name__)
    assert str(inspect.signature(double)) == "(x, times=2)"
    assert repr(double) == "<task double(retries=2, model='serial')>"


def test_without_brackets_it_has_no_options():
    @task
    def plain(x):
        return x

    assert isinstance(plain, Task)
    assert plain(1) == 1
    assert repr(plain).endswith("plain()>")


def test_map_takes_its_options():
    run = double.map([1, 2, 3])
    assert list(run) == [2, 4, 6]
    assert run.report.model == "serial"


def test_plait_map_takes_them_too():
    run = plait.map(double, [1, 2, 3])
    assert list(run) == [2, 4, 6]
    assert run.report.model == "serial"


def test_options_at_the_call_come_first():
    calls = []

    @task(model="serial", retries=0)
    def flaky(x):
        calls.append(x)
        raise ValueError("no")

    list(flaky.map([1], retries=plait.Retry(2, backoff=0), on_error="skip"))
    assert calls == [1, 1, 1]


def test_with_makes_another_and_leaves_it_as_it_is():
    other = double.with_(retries=5, name="other")
    assert repr(other) == "<task double(retries=5, model='serial', name='other')>"
    assert "retries=2" in repr(double)
    assert other(4) == 8


def test_bad_options_fail_at_decoration():
    with pytest.raises(OptionError, match="retries"):
        task(retries=-1)(len)
    with pytest.raises(UnknownOption, match="Did you mean 'retries'"):
        task(retrys=1)(len)


def test_an_async_function_is_known_as_one():
    with pytest.raises(OptionError, match="needs an event loop"):

        @task(model="threads")
        async def fetch(x):
            return x


def test_a_method_is_bound():
    shop = Shop()
    assert shop.price(2) == 6
    assert isinstance(Shop.price, Task)
    assert list(plait.map(shop.price, [1, 2], model="serial")) == [3, 6]


def test_it_travels():
    arrived = pickle.loads(pickle.dumps(task(retries=1)(len)))
    assert isinstance(arrived, Task)
    assert arrived("abc") == 3
