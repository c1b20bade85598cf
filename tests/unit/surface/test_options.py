"""Every option: what it takes, what it refuses, and the words for that."""

import re

import pytest

from plait.engine.rules import Rules
from plait.errors import OptionError, UnknownOption
from plait.placement import Placement
from plait.policy.retry import Retry
from plait.surface.options import CHECKS, KNOWN, rules_from

COUNT = "it takes a whole number from 1, or None to measure"
SECONDS = "it takes seconds above 0, or None"
MODEL = 'it takes a model\'s name, a Placement, a tuple of names, or "auto"'
NAN, INF = float("nan"), float("inf")


def rules(is_async: bool = False, **options) -> Rules:
    return rules_from("f", options, is_async=is_async)


def refused(is_async: bool = False, **options) -> str:
    with pytest.raises(OptionError) as caught:
        rules(is_async, **options)
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


def test_without_options_everything_has_its_default():
    made = rules()
    assert made == Rules("f")
    assert (made.model, made.ordered, made.on_error, made.on_crash, made.isolate) == (
        "auto",
        True,
        "raise",
        "rerun",
        False,
    )
    assert made.retry.times == 0
    assert made.patience is None


@pytest.mark.parametrize(
    ("option", "value", "becomes"),
    [
        ("model", "auto", "auto"),
        ("model", "threads", "threads"),
        ("model", ("serial", "processes"), ("serial", "processes")),
        ("model", Placement("here", "threads", width=3), Placement("here", "threads", width=3)),
        ("workers", 1, 1),
        ("workers", None, None),
        ("width", 500, 500),
        ("buffer", 1, 1),
        ("buffer", None, None),
        ("ordered", False, False),
        ("retries", 3, Retry(3)),
        ("retries", Retry(2, backoff=1), Retry(2, backoff=1)),
        ("timeout", 3, 3.0),
        ("timeout", 0.001, 0.001),
        ("timeout", None, None),
        ("deadline", 60, 60.0),
        ("on_error", "skip", "skip"),
        ("on_error", "return", "return"),
        ("on_crash", "fail", "fail"),
        ("isolate", True, True),
        ("resources", {"db": dict}, {"db": dict}),
        ("resources", None, {}),
        ("memory", "2GiB", 2 << 30),
        ("memory", 1000, 1000),
        ("memory", None, None),
    ],
)
def test_what_an_option_takes(option, value, becomes):
    assert getattr(rules(**{option: value}), CHECKS[option][0]) == becomes


@pytest.mark.parametrize("value", [0, 5, 0.0, 0.25, 0.999])
def test_max_failures_is_a_count_or_a_share(value):
    assert rules(max_failures=value, on_error="skip").max_failures == value


@pytest.mark.parametrize(
    ("option", "value", "wants"),
    [
        *[("model", value, MODEL) for value in (5, None, (), ["threads"], ("threads", 5))],
        *[(name, value, COUNT) for name in ("workers", "width", "buffer") for value in (0, -1, 1.5, "4", True)],
        *[("ordered", value, "it takes True or False") for value in (0, 1, None, "yes")],
        *[("isolate", value, "it takes True or False") for value in (0, None)],
        *[
            ("retries", value, "it takes a number of further attempts from 0, or a plait.Retry")
            for value in (-1, 1.5, "3", None, True)
        ],
        *[(name, value, SECONDS) for name in ("timeout", "deadline") for value in (0, -1, "5s", True, NAN, INF)],
        *[("on_error", value, "it takes one of 'raise', 'skip', 'return'") for value in ("ignore", None, ["raise"])],
        *[("on_crash", value, "it takes one of 'rerun', 'fail'") for value in ("retry", None)],
        *[
            ("max_failures", value, "it takes a count (int) or a share below 1 (float)")
            for value in (-1, -0.1, 1.0, 2.5, "3", True, NAN, INF)
        ],
        *[("resources", value, 'it takes a dict like {"session": open_session}') for value in (5, [dict], {1: dict})],
    ],
)
def test_what_an_option_refuses_and_the_words_for_it(option, value, wants):
    extra = {"on_error": "skip"} if option == "max_failures" else {}
    assert refused(**{option: value}, **extra) == f"{option}={value!r} cannot be used: {wants}."


def test_a_resource_that_makes_nothing_is_named():
    assert refused(resources={"db": 5}) == (
        "resources['db']=5 cannot be used: it takes a function that makes it, or a context manager."
    )


@pytest.mark.parametrize("value", ["lots", "2 XB", -1, 0, 1.5, True, []])
def test_memory_is_bytes(value):
    assert refused(memory=value).startswith(f"memory={value!r} cannot be used: ")


class TestUnknown:
    def said(self, **options) -> str:
        with pytest.raises(UnknownOption) as caught:
            rules(**options)
        return str(caught.value)

    def test_an_option_is_corrected(self):
        said = self.said(retrys=3)
        assert said.startswith("There is no option 'retrys'. Did you mean 'retries'? Known: ")
        assert all(name in said for name in CHECKS)

    def test_a_model_is_corrected(self):
        said = self.said(model="thread")
        assert said.startswith("There is no model 'thread'. Did you mean 'threads'? Known: ")
        assert "auto" in said

    def test_a_model_in_a_tuple_is_corrected(self):
        assert "Did you mean 'processes'?" in self.said(model=("threads", "procesess"))

    def test_nothing_is_called_known_that_is_refused_as_unknown(self):
        """`progress`, `name` and `journal` are taken by `plait.map` itself, before."""
        for name in set(KNOWN) - set(CHECKS) - {"progress", "name", "journal"}:
            assert f"There is no option {name!r}" not in self.said(**{name: None})

    def test_auto_in_a_tuple_is_not_called_unknown_and_known_at_once(self):
        with pytest.raises((UnknownOption, OptionError)) as caught:
            rules(model=("auto", "threads"))
        assert "no model 'auto'" not in str(caught.value)


class TestAgreement:
    def test_max_failures_goes_with_a_run_that_goes_on(self):
        wants = 'it goes with on_error="skip" or "return"; with "raise" the first failure ends the run'
        assert refused(max_failures=5) == f"max_failures=5 cannot be used: {wants}."

    @pytest.mark.parametrize(
        ("model", "fits"),
        [("threads", "async"), ("processes", "processes+async"), ("processes+threads", "processes+async")],
    )
    def test_an_async_function_needs_a_loop(self, model, fits):
        said = refused(True, model=model)
        assert said == f'model={model!r} cannot be used: an async function needs an event loop: use model="{fits}".'

    def test_that_holds_for_a_placement_too(self):
        assert 'use model="async"' in refused(True, model=Placement("here", "threads"))

    @pytest.mark.parametrize("model", ["async", "processes+async", "serial", "auto", ("async", "processes+async")])
    def test_these_have_one(self, model):
        assert rules(True, model=model).model == model

    def test_a_tuple_without_a_loop_does_not_fit_an_async_function(self):
        assert re.search(
            r'model=.*an async function needs an event loop: .*"async"', refused(True, model=("threads", "processes"))
        )

    @pytest.mark.parametrize(
        "model", ["serial", "threads", "async", Placement("here", "threads"), ("serial", "threads")]
    )
    def test_isolated_functions_run_elsewhere(self, model):
        is_async = model == "async"
        assert "use a model with processes" in refused(is_async, isolate=True, model=model)

    @pytest.mark.parametrize("model", ["processes", "auto", "processes+threads", ("threads", "processes")])
    def test_these_are_elsewhere(self, model):
        assert rules(isolate=True, model=model).isolate

    @pytest.mark.parametrize("place", ["dask", "interpreters"])
    def test_a_place_that_nothing_opens_yet_is_refused_at_the_call(self, place):
        with pytest.raises((OptionError, UnknownOption)):
            rules(model=Placement(place, "serial"))


def test_the_shorter_of_timeout_and_deadline_bounds_an_attempt():
    assert (rules(timeout=3, deadline=5).patience, rules(timeout=3, deadline=5).impatience) == (3.0, "timeout")
    assert (rules(timeout=3, deadline=2).patience, rules(timeout=3, deadline=2).impatience) == (2.0, "deadline")
    assert rules(deadline=2).impatience == "deadline"
