"""`Placement` and the models by name."""

import pickle

import pytest

from plait.errors import OptionError, UnknownOption
from plait.placement import Placement, models, placement_for

MODELS = ["serial", "threads", "async", "processes", "processes+threads", "processes+async"]


@pytest.mark.parametrize("model", MODELS)
def test_a_model_makes_a_placement_that_goes_by_its_name(model):
    assert placement_for(model).model == model


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_registered(model):
    assert model in models.names()


@pytest.mark.parametrize(
    ("model", "place", "style", "width"),
    [
        ("serial", "here", "serial", 1),
        ("threads", "here", "threads", None),
        ("async", "here", "loop", None),
        ("processes", "processes", "serial", 1),
        ("processes+threads", "processes", "threads", None),
        ("processes+async", "processes", "loop", None),
    ],
)
def test_what_a_model_stands_for(model, place, style, width):
    assert placement_for(model) == Placement(place, style, width=width)


def test_a_placement_stands_for_itself():
    mine = Placement("processes", "loop", workers=2, width=64)
    assert placement_for(mine) is mine


def test_what_it_prints_can_be_pasted():
    mine = Placement("processes", "threads", workers=2, width=8)
    assert eval(repr(mine), {"Placement": Placement}) == mine


def test_it_travels():
    mine = Placement("processes", "threads", workers=2, width=8)
    assert pickle.loads(pickle.dumps(mine)) == mine


def test_it_is_a_key():
    assert len({Placement("here", "serial"), Placement("here", "serial"), Placement("here", "loop")}) == 2


def test_bounds_fill_only_what_is_open():
    assert Placement("processes", "loop", workers=2).with_bounds(8, 100) == Placement("processes", "loop", 2, 100)
    assert Placement("processes", "loop").with_bounds(None, None) == Placement("processes", "loop")


@pytest.mark.parametrize("option", ["workers", "width"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_counts_are_whole_numbers_from_one(option, value):
    with pytest.raises(OptionError, match="whole number from 1") as caught:
        Placement("processes", "serial", **{option: value})
    assert caught.value.option == option


def test_unknown_names_list_the_known_and_the_nearest():
    with pytest.raises(UnknownOption, match=r"no place 'process'\. Did you mean 'processes'\? Known: .*here"):
        Placement("process", "serial")
    with pytest.raises(
        UnknownOption, match=r"no style 'thread'\. Did you mean 'threads'\? Known: loop, serial, threads"
    ):
        Placement("here", "thread")
    with pytest.raises(UnknownOption, match=r"no model 'asynch'\. Did you mean 'async'\?") as caught:
        placement_for("asynch")
    assert set(MODELS) <= set(caught.value.known)


@pytest.mark.parametrize(
    ("place", "style", "numbers"),
    [
        ("here", "serial", {"workers": 3}),
        ("here", "threads", {"workers": 2}),
        ("here", "serial", {"width": 8}),
        ("processes", "serial", {"width": 2}),
    ],
)
def test_numbers_that_a_placement_cannot_have(place, style, numbers):
    with pytest.raises(OptionError, match="cannot be used"):
        Placement(place, style, **numbers)


def test_bounds_that_a_placement_cannot_have_are_left_out():
    assert Placement("here", "serial").with_bounds(3, 8) == Placement("here", "serial")
    assert Placement("processes", "serial").with_bounds(3, 8) == Placement("processes", "serial", 3)
