"""What travels by reference, what by value, and what is said of that which cannot."""

import functools
import math
import operator
import os.path
import pickle
import sys
import threading
import types

import numpy
import pytest

from plait.errors import CannotTravel
from plait.places.processes import travel
from plait.places.processes.portable import portable
from plait.places.processes.travel import dumps_each, dumps_items, load, ship, why_not
from plait.places.processes.wire import Frame, Kind, loads
from plait.styles.batch import Batch, Raised
from tests.unit.engine.seats import failing

BIG = "x" * 5000
LOCK = threading.Lock()


def module_function(x):
    return x + 1


def uses_the_lock(x):
    with LOCK:
        return x


def uses_much(x):
    return len(BIG) + x


class OnlyHere:
    """Pickles nowhere."""

    def __reduce__(self):
        raise TypeError("OnlyHere stays")


class KeywordOnly(Exception):
    def __init__(self, *, code):
        super().__init__(f"code {code}")
        self.code = code


def again(thing):
    return load(ship(thing, "It"))


def frame_of(made) -> Frame:
    body, buffers = made
    return Frame(Kind.CHUNK, 0, 0, 0, 0.0, body, [bytearray(buffer) for buffer in buffers])


class TestShip:
    @pytest.mark.parametrize("thing", [math.sqrt, len, os.path.join, functools.reduce, operator.add, numpy.sum])
    def test_what_modules_define_goes_by_reference(self, thing):
        shipped = ship(thing, "It")
        assert len(shipped.blob) < 200
        assert load(shipped) is thing

    def test_a_lambda_goes_by_value(self):
        assert again(lambda x: x * 2)(4) == 8

    def test_a_closure_goes_with_what_it_closes_over(self):
        offset = 40

        def add(x):
            return x + offset

        assert again(add)(2) == 42

    def test_a_partial_goes(self):
        assert again(functools.partial(pow, 2))(5) == 32

    def test_an_instance_that_can_be_called_goes(self):
        assert again(operator.itemgetter(1))("ab") == "b"

    def test_a_function_of_a_module_that_no_worker_could_import_goes_by_value(self):
        module = types.ModuleType("nowhere_to_be_found")
        exec("def double(x):\n    return factor() * x\ndef factor():\n    return 2", vars(module))
        sys.modules[module.__name__] = module
        try:
            shipped = ship(module.double, "It")
        finally:
            del sys.modules[module.__name__]
        assert load(shipped)(21) == 42

    def test_a_function_of_a_test_goes(self):
        assert again(module_function)(1) == 2

    def test_resources_go(self):
        made = again({"lock": threading.Lock, "n": 5, "make": lambda: 7})
        assert (made["n"], made["make"](), made["lock"]) == (5, 7, threading.Lock)

    def test_a_closed_over_culprit_is_named(self):
        handle = threading.Lock()
        with pytest.raises(CannotTravel) as caught:
            ship(lambda x: handle, "The function 'f'")
        assert str(caught.value).startswith("The function 'f' cannot travel between processes: ")
        assert "the closed-over variable 'handle' is a lock: " in str(caught.value)
        assert "pass it as resources={...}" in str(caught.value)
        assert "choose model='threads'." in str(caught.value)

    def test_a_global_culprit_is_named(self):
        module = types.ModuleType("__main__")
        made = types.FunctionType(uses_the_lock.__code__, {"LOCK": LOCK, "__name__": "__main__"})
        made.__module__ = module.__name__
        with pytest.raises(CannotTravel, match="the global 'LOCK' is a lock: "):
            ship(made, "It")

    def test_a_resource_that_cannot_go_is_named(self):
        with pytest.raises(CannotTravel, match="'db' is a lock: "):
            ship({"n": 5, "db": threading.Lock()}, "The resources")

    def test_what_drags_in_too_much_is_refused_and_the_heaviest_named(self, monkeypatch):
        monkeypatch.setattr(travel, "HUGE", 2000)
        heavy = "y" * 5000
        with pytest.raises(CannotTravel, match=r"weighs 0 MiB, most of it the closed-over variable 'heavy'"):
            ship(lambda x: len(heavy), "It")

    def test_classes_of_main_go_once_beforehand(self):
        main = sys.modules["__main__"]
        Point = type("Point", (), {"__module__": "__main__", "x": 5})
        main.PlaitPoint, Point.__qualname__, Point.__name__ = Point, "PlaitPoint", "PlaitPoint"
        try:
            shipped = ship(lambda: 1, "It")
            assert "PlaitPoint" in dict(shipped.definitions)
            del main.PlaitPoint
            load(shipped)
            assert main.PlaitPoint.x == 5
            assert pickle.loads(pickle.dumps(main.PlaitPoint())).x == 5
        finally:
            vars(main).pop("PlaitPoint", None)


class TestWhyNot:
    @pytest.mark.parametrize("thing", [5, "x", [1, {}], math.sqrt, lambda x: x, numpy.arange(3), (1, lambda: 2)])
    def test_nothing_is_said_of_what_can_go(self, thing):
        assert why_not(thing) is None

    def test_what_is_in_the_way_is_said(self):
        assert "lock" in why_not(threading.Lock())
        handle = threading.Lock()
        assert "'handle' is a lock" in why_not(lambda: handle)
        assert "OnlyHere stays" in why_not((1, OnlyHere()))


class TestItems:
    def test_plain_items_go_as_they_are(self):
        items = [1, "x", numpy.arange(5)]
        got = loads(frame_of(dumps_items(items, whole=False)))
        assert got[:2] == [1, "x"]
        assert (got[2] == numpy.arange(5)).all()

    def test_items_that_only_go_by_value_do(self):
        got = loads(frame_of(dumps_items([1, lambda x: x + 1], whole=False)))
        assert (got[0], got[1](1)) == (1, 2)

    def test_everything_by_value_when_asked(self):
        made = dumps_items([module_function], whole=True)
        assert loads(frame_of(made))[0](1) == 2

    def test_those_that_cannot_go_are_named_by_their_place(self):
        refused = dumps_items([1, OnlyHere(), 2, threading.Lock()], whole=False)
        assert sorted(refused) == [1, 3]
        assert "The item (of type 'OnlyHere') cannot travel between processes: OnlyHere stays" in str(refused[1])
        assert "lock" in str(refused[3])
        assert all("Pass plain data instead, or choose model='threads'." in str(error) for error in refused.values())


class TestBatches:
    def through(self, batch: Batch) -> Batch:
        return Batch(*loads(frame_of(dumps_each(batch))))

    def test_results_that_refuse_go_by_value_or_as_failures(self):
        got = self.through(Batch(7, [1, lambda x: x + 1, OnlyHere(), 4], [], None, 0.5, (11, 2)))
        assert (got.first, got.values[0], got.values[1](1), got.values[2:]) == (7, 1, 2, [None, 4])
        assert (got.seconds, got.back) == (0.5, (11, 2))
        ((at, failed),) = got.errors
        assert at == 2
        assert isinstance(failed.error, CannotTravel)
        assert "The result (of type 'OnlyHere')" in str(failed.error)

    def test_failures_of_before_stay_in_their_places(self):
        got = self.through(Batch(0, [OnlyHere(), None, OnlyHere()], [(1, failing(KeyError("x")))], None, 0.0))
        assert [at for at, _ in got.errors] == [0, 1, 2]
        assert isinstance(got.errors[1][1].error, KeyError)

    def test_an_odd_exception_beside_them_arrives_as_it_was(self):
        odd = Raised(portable(KeywordOnly(code=5)), "text", 0.0)  # as the worker has prepared it already
        got = self.through(Batch(0, [None, OnlyHere()], [(0, odd)], None, 0.0))
        error = got.errors[0][1].error
        assert type(error) is KeywordOnly
        assert error.code == 5
