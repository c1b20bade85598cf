"""What cannot travel to a worker or back says what and why, costs itself only, and hangs nothing."""

import os
import pickle
import sqlite3
import threading

import pytest

import plait
from plait import CannotTravel, Failure

MODELS = ["processes", "processes+threads", "processes+async"]
every_model = pytest.mark.parametrize("model", MODELS)


def mapped(fn, items, model, **options):
    if model != "processes+async":
        return plait.map(fn, items, model=model, workers=2, **options)

    async def call(item):
        return fn(item)

    return plait.map(call, items, model=model, workers=2, **options)


@pytest.fixture
def pool():
    """Nothing dies here but by its item: the workers of all tests serve these, too."""
    return plait.default_pool()


class RefusesToTravel:
    def __reduce__(self):
        raise ValueError("I stay here")


class FailsOnArrival:
    def __reduce__(self):
        return explode, ()


def explode():
    raise RuntimeError("cannot be unpickled")


class DiesOnArrival:
    """Kills whoever unpickles it, but for the process that made it."""

    def __init__(self):
        self.home = os.getpid()

    def __reduce__(self):
        return die_elsewhere, (self.home,)


def die_elsewhere(home):
    if os.getpid() != home:
        os._exit(9)


STAY = {
    "lock": lambda: threading.Lock(),
    "generator": lambda: (x for x in range(3)),
    "connection": lambda: sqlite3.connect(":memory:"),
    "reduces badly": RefusesToTravel,
}


@every_model
@pytest.mark.parametrize("what", STAY)
def test_an_item_that_cannot_travel_is_a_failure(pool, model, what):
    items = [1, STAY[what](), 3]
    results = list(mapped(lambda x: 0, items, model, on_error="return"))
    assert [r == 0 for r in results] == [True, False, True]
    assert type(results[1].exception) is CannotTravel
    assert type(items[1]).__name__ in str(results[1].exception)
    assert "model='threads'" in str(results[1].exception)
    if what == "connection":
        items[1].close()


@every_model
@pytest.mark.parametrize("what", STAY)
def test_a_result_that_cannot_travel_is_a_failure(pool, model, what):
    make = STAY[what]
    results = list(mapped(lambda x: make() if x == 5 else x, range(10), model, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [5]
    assert type(results[5].exception) is CannotTravel
    assert "The result" in str(results[5].exception)


@every_model
def test_an_item_that_cannot_be_read_there_is_a_failure(pool, model):
    items = [1, FailsOnArrival(), 3]
    results = list(mapped(lambda x: 0, items, model, on_error="return"))
    assert [r == 0 for r in results] == [True, False, True]
    assert "cannot be unpickled" in str(results[1].exception)


@every_model
def test_a_result_that_cannot_be_read_here_is_a_failure(pool, model):
    results = list(mapped(lambda x: FailsOnArrival() if x == 5 else x, range(10), model, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [5]
    assert "cannot be unpickled" in str(results[5].exception)


@every_model
def test_an_item_that_kills_its_worker_on_arrival_is_a_failure(pool, model):
    """Nothing was begun when the worker died: which item it was has to be found out."""
    items = [1, 2, DiesOnArrival(), 4, 5]
    results = list(mapped(lambda x: 0, items, model, on_error="return"))
    assert [r == 0 for r in results] == [True, True, False, True, True]
    assert "exited with code 9" in str(results[2].exception)


@pytest.mark.parametrize("model", MODELS[:2])
def test_a_function_that_cannot_travel_names_what_is_in_the_way(pool, model):
    lock = threading.Lock()

    def closes_over(x):
        with lock:
            return x

    with pytest.raises(CannotTravel, match="'lock' is a lock") as caught:
        list(mapped(closes_over, range(5), model))
    assert "resources={...}" in str(caught.value) or "model='threads'" in str(caught.value)


def test_auto_keeps_such_a_function_here_and_says_so(pool):
    lock = threading.Lock()

    def closes_over(x):
        with lock:
            return sum(range(2000 + x))

    run = plait.map(closes_over, range(300))
    assert len(list(run)) == 300
    assert run.report.placement.place == "here"


@pytest.mark.slow
def test_a_function_that_drags_in_too_much_is_refused_by_name(pool):
    huge = bytearray(600 << 20)
    with pytest.raises(CannotTravel, match="'huge'"):
        list(plait.map(lambda x: x + len(huge), range(5), model="processes"))


def test_a_large_closure_travels_once_a_worker(pool):
    table = os.urandom(20 << 20)
    run = plait.map(lambda x: table[x], range(200), model="processes", workers=2)
    assert list(run) == list(table[:200])
    assert run.report.to_dict()["bytes_to_workers"] < 1 << 20


class Odd(Exception):
    def __init__(self, code, *, where):
        super().__init__(f"{code} at {where}")
        self.code, self.where = code, where


class Silent(Exception):
    def __init__(self, first, second, third):
        self.parts = (first, second, third)

    def __str__(self):
        return "/".join(self.parts)


class Holding(Exception):
    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


class Grumpy(Exception):
    def __reduce__(self):
        raise TypeError("not me")


class Local:
    """Makes an exception class that no module has."""

    @staticmethod
    def make():
        class Nameless(ValueError):
            pass

        return Nameless("nobody knows my class")


EXCEPTIONS = {
    "Odd": (lambda: Odd(404, where="here"), "404 at here"),
    "Silent": (lambda: Silent("a", "b", "c"), "a/b/c"),
    "Holding": (lambda: Holding("held"), "held"),
    "Nameless": (Local.make, "nobody knows my class"),
    "UnicodeDecodeError": (lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"), "can't decode byte"),
    "OSError": (lambda: FileNotFoundError(2, "gone", "a.txt"), "[Errno 2] gone: 'a.txt'"),
    "KeyError": (lambda: KeyError("k"), "'k'"),
    "ExceptionGroup": (lambda: ExceptionGroup("several", [ValueError("one"), KeyError("two")]), "several (2 sub"),
}


@every_model
@pytest.mark.parametrize("kind", EXCEPTIONS)
def test_exceptions_of_every_shape_arrive_as_they_were(pool, model, kind):
    make, text = EXCEPTIONS[kind]

    def fails(x):
        if x == 3:
            raise make()
        return x

    results = list(mapped(fails, range(6), model, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [3]
    assert type(results[3].exception).__name__ == kind if kind != "OSError" else "FileNotFoundError"
    assert text in str(results[3].exception)
    assert "in fails" in results[3].traceback


@every_model
def test_an_exception_keeps_its_attributes(pool, model):
    def fails(x):
        raise Odd(404, where="here")

    with pytest.raises(Odd) as caught:
        list(mapped(fails, [1], model))
    assert (caught.value.code, caught.value.where) == (404, "here")


@every_model
def test_an_exception_that_cannot_travel_is_told_in_words(pool, model):
    def fails(x):
        raise Grumpy("the message")

    [failure] = mapped(fails, [1], model, on_error="return")
    assert "the message" in str(failure.exception)
    assert "Grumpy: the message" in failure.traceback
    assert "in fails" in failure.traceback


@every_model
def test_an_exception_that_is_deeply_chained(pool, model):
    def fails(x):
        error = None
        for depth in range(50):
            try:
                raise ValueError(depth) from error
            except ValueError as new:
                error = new
        raise error

    [failure] = mapped(fails, [1], model, on_error="return")
    assert failure.exception.args == (49,)


def test_a_result_nested_too_deeply_is_a_failure(pool):
    def deep(x):
        nest = []
        for _ in range(100):
            nest = [nest]
        return nest

    assert [type(r) for r in plait.map(deep, range(3), model="processes")] == [list] * 3

    def too_deep(x):
        nest = []
        for _ in range(200_000):
            nest = [nest]
        return nest if x == 1 else x

    results = list(plait.map(too_deep, range(3), model="processes", on_error="return"))
    assert isinstance(results[1], Failure)
    assert (results[0], results[2]) == (0, 2)


def test_failures_themselves_can_be_pickled(pool):
    [failure] = plait.map(lambda x: 1 / x, [0], model="processes", on_error="return")
    assert str(pickle.loads(pickle.dumps(failure))) == str(failure)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_half_a_gigabyte_there_and_back(pool):
    item = bytes(500 << 20)
    (result,) = plait.map(lambda x: x, [item], model="processes", workers=1)
    assert type(result) is bytes
    assert result == item


@pytest.mark.parametrize("kind", [bytes, bytearray, str])
def test_large_items_of_every_kind_there_and_back(pool, kind):
    size = 40 << 20
    item = "x" * size if kind is str else kind(size)
    (result,) = plait.map(lambda x: x, [item], model="processes", workers=1)
    assert type(result) is kind
    assert result == item


@pytest.mark.slow
def test_half_a_gigabyte_in_many_items(pool):
    """More than the buffers in between hold: both directions at once must not block each other."""
    items = (bytes([x % 256]) * (5 << 20) for x in range(100))
    for x, result in enumerate(plait.map(lambda b: b + b"!", items, model="processes", workers=2)):
        assert len(result) == (5 << 20) + 1
        assert result[0] == x % 256


@every_model
def test_a_thousand_small_items_with_one_large_among_them(pool, model):
    items = [b"x" * (3 << 20) if x == 500 else b"s" * x for x in range(1000)]
    assert list(mapped(lambda b: b, items, model)) == items


def test_arrays_travel_whole(pool):
    numpy = pytest.importorskip("numpy")
    arrays = [numpy.full((200, 300), x, "f4") for x in range(30)]
    results = list(plait.map(lambda a: a * 2, arrays, model="processes", workers=2))
    assert all((r == 2 * x).all() and r.shape == (200, 300) for x, r in enumerate(results))
    for result in results:  # they outlive the run, and can be written to
        result += 1
