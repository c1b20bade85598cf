"""Contract 6: bad options fail at the call, under every model, and say what to do."""

import re

import pytest

import plait
from plait import OptionError, Placement, UnknownOption
from tests.contract.models import awaited


def double(x):
    return x * 2


BAD = [
    ({"model": "thread"}, UnknownOption, "There is no model 'thread'. Did you mean 'threads'?"),
    ({"model": ("threads", "proceses")}, UnknownOption, "Did you mean 'processes'?"),
    ({"model": ()}, OptionError, "it takes a model's name"),
    ({"model": 3}, OptionError, "it takes a model's name"),
    ({"modle": "threads"}, UnknownOption, "There is no option 'modle'. Did you mean 'model'?"),
    ({"workers": 0}, OptionError, "workers=0 cannot be used: it takes a whole number from 1"),
    ({"workers": True}, OptionError, "whole number"),
    ({"workers": 2.5}, OptionError, "whole number"),
    ({"width": -1}, OptionError, "width=-1"),
    ({"buffer": 0}, OptionError, "buffer=0"),
    ({"ordered": "yes"}, OptionError, "True or False"),
    ({"retries": -1}, OptionError, "a number of further attempts from 0, or a plait.Retry"),
    ({"retries": "3"}, OptionError, "retries='3'"),
    ({"timeout": 0}, OptionError, "seconds above 0"),
    ({"timeout": "x"}, OptionError, "seconds above 0"),
    ({"timeout": float("nan")}, OptionError, "seconds above 0"),
    ({"deadline": -2}, OptionError, "deadline=-2"),
    ({"on_error": "explode"}, OptionError, "it takes one of 'raise', 'skip', 'return'"),
    ({"on_crash": "ignore"}, OptionError, "it takes one of 'rerun', 'fail'"),
    ({"max_failures": 3}, OptionError, 'it goes with on_error="skip" or "return"'),
    ({"max_failures": 1.5, "on_error": "skip"}, OptionError, "a count (int) or a share below 1"),
    ({"resources": [1]}, OptionError, '{"session": open_session}'),
    ({"resources": {"session": 3}}, OptionError, "a function that makes it, or a context manager"),
    ({"memory": "lots"}, OptionError, "lots"),
    ({"isolate": True, "model": "threads"}, OptionError, "use a model with processes"),
]


@pytest.mark.parametrize(("options", "kind", "message"), BAD, ids=lambda value: str(value)[:40])
def test_a_bad_option_fails_at_the_call(options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        plait.map(double, range(3), **options)


@pytest.mark.parametrize(("options", "kind", "message"), BAD, ids=lambda value: str(value)[:40])
def test_and_at_the_decoration_of_a_task(options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        plait.task(**options)(double)


@pytest.mark.parametrize("model", ["threads", "processes", "processes+threads"])
def test_an_async_function_under_a_model_without_a_loop(model):
    with pytest.raises(OptionError, match="an async function needs an event loop: use model="):
        plait.map(awaited(double), range(3), model=model)


@pytest.mark.parametrize("model", ["async", "processes+async"])
def test_a_sync_function_under_a_model_with_a_loop_says_so(model):
    with pytest.raises((OptionError, TypeError), match="async def"):
        list(plait.map(double, range(3), model=model))


def test_the_parts_of_a_placement_are_checked():
    with pytest.raises(UnknownOption, match=r"There is no place 'process'\. Did you mean 'processes'"):
        Placement("process", "serial")
    with pytest.raises(UnknownOption, match=r"There is no style 'loops'\. Did you mean 'loop'"):
        Placement("here", "loops")
    with pytest.raises(OptionError, match="width=0"):
        Placement("here", "threads", width=0)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="a function first, then the items; got 'list'"):
        plait.map([1, 2], double)


def test_isolate_keeps_even_the_probe_out_of_this_process():
    import os

    assert os.getpid() not in set(plait.map(lambda x: os.getpid(), range(50), isolate=True))
