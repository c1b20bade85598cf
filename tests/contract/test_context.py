"""Contract 9 and what workers take over: contextvars, log records, warnings, folder, environment, paths."""

import asyncio
import contextvars
import logging
import os
import sys
import warnings

import pytest

import plait
from tests.contract.models import cases

var = contextvars.ContextVar("var", default="nobody")


@cases(lambda case: not case.in_processes)
def test_contextvars_reach_items(case):
    token = var.set("the caller")
    try:
        assert set(case.map(lambda x: var.get(), range(30))) == {"the caller"}
    finally:
        var.reset(token)


@cases(lambda case: not case.in_processes)
def test_contextvars_reach_items_of_an_async_caller(case):
    async def consume(name):
        var.set(name)
        return set(await case.map(lambda x: var.get(), range(30)))

    async def both():
        return await asyncio.gather(consume("first"), consume("second"))

    assert asyncio.run(both()) == [{"first"}, {"second"}]


def sets(x):
    before = var.get()
    var.set(f"item {x}")
    return before


@cases(lambda case: case.model != "serial" or case.is_async)
def test_contextvars_do_not_leak_from_item_to_item(case):
    assert set(case.map(sets, range(200))) == {"nobody"}
    assert var.get() == "nobody"


@cases()
def test_log_records_reach_the_callers_loggers(case, caplog):
    def logs(x):
        logging.getLogger("user.module").warning("item %d", x)
        logging.getLogger("user.module").debug("not wanted")
        return x

    with caplog.at_level(logging.INFO):
        list(case.map(logs, range(20)))
    told = [r for r in caplog.records if r.name == "user.module"]
    assert sorted(r.getMessage() for r in told) == sorted(f"item {x}" for x in range(20))
    assert {r.levelname for r in told} == {"WARNING"}


@cases(lambda case: case.in_processes)
def test_a_logged_exception_keeps_its_traceback(case, caplog):
    def logs(x):
        try:
            raise ValueError("inner")
        except ValueError:
            logging.getLogger("user").exception("caught")

    list(case.map(logs, [1]))
    assert "ValueError: inner" in caplog.text
    assert "in logs" in caplog.text


@cases(lambda case: case.in_processes)
def test_a_record_with_what_cannot_travel_arrives_in_words(case, caplog):
    def logs(x):
        logging.getLogger("user").warning("%s", object(), extra={"odd": lambda: 0})

    list(case.map(logs, [1]))
    assert "<object object at" in caplog.text


class Stale(UserWarning):
    pass


@cases(lambda case: case.in_processes)
def test_warnings_of_workers_are_warned_here(case, until):
    def warns(x):
        warnings.warn(f"item {x}", Stale, stacklevel=1)
        return x

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(case.map(warns, range(3)))
    told = [w for w in caught if w.category is Stale]
    assert sorted(str(w.message) for w in told) == ["item 0", "item 1", "item 2"]
    assert told[0].filename == __file__


@cases(lambda case: case.in_processes)
def test_a_warning_that_is_an_error_here_does_not_end_the_worker(case, caplog):
    def warns(x):
        warnings.warn("careful", Stale, stacklevel=1)
        return x

    assert list(case.map(warns, range(3))) == [0, 1, 2]
    assert "careful" in caplog.text


@cases(lambda case: case.in_processes)
def test_workers_follow_the_parent(case, tmp_path, monkeypatch):
    """Also those that were started before: folder, environment, import path, arguments."""

    def seen(x):
        return os.getcwd(), os.environ.get("PLAIT_TEST"), sys.path[0], sys.argv

    list(case.map(seen, range(4)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLAIT_TEST", "new")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["program", "argument"])
    for cwd, variable, path, argv in case.map(seen, range(4)):
        assert (cwd, variable, path) == (str(tmp_path), "new", str(tmp_path))
        assert argv == ["program", "argument"]
    monkeypatch.delenv("PLAIT_TEST")
    assert {variable for _, variable, _, _ in case.map(seen, range(4))} == {None}


@cases(lambda case: case.in_processes)
def test_a_module_that_became_importable_later(case, tmp_path, monkeypatch):
    list(case.map(abs if not case.is_async else (lambda x: x), range(4)))
    (tmp_path / f"later_{case.style}.py").write_text("def work(x): return x + 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def imports(x):
        import importlib

        return importlib.import_module(f"later_{case.style}").work(x)

    assert list(case.map(imports, range(4))) == [1, 2, 3, 4]


def test_linear_algebra_in_workers_has_its_share_of_the_cores(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    shares = set(
        plait.map(lambda x: os.environ.get("OMP_NUM_THREADS"), range(10), model="processes", workers=os.cpu_count())
    )
    assert shares == {"1"}


@pytest.mark.parametrize("model", ["processes", "processes+threads"])
def test_random_numbers_differ_from_worker_to_worker(model):
    numpy = pytest.importorskip("numpy")

    def draws(x):
        import random
        import time

        time.sleep(0.005)
        return os.getpid(), random.random(), numpy.random.random()

    draws_ = list(plait.map(draws, range(60), model=model, workers=2))
    assert len({r for _, r, _ in draws_}) == 60
    assert len({n for _, _, n in draws_}) == 60
