"""`resources`: made once a worker, a thread or a loop; passed by keyword; closed at the end. Under every model."""

import asyncio
import os
import threading
import time
from contextlib import asynccontextmanager, contextmanager

import pytest

import plait
from plait import OptionError
from tests.contract.models import cases


def named():
    """Who makes it: the process, the thread, the loop."""
    try:
        loop = id(asyncio.get_running_loop())
    except RuntimeError:
        loop = 0
    return f"{os.getpid()}-{threading.get_ident()}-{loop}"


def kinds(calls):
    """Each kind of resource; all note when they are opened and closed."""

    class Handle:
        def __init__(self):
            calls.note(f"opened-{named()}")
            self.who = named()

        def close(self):
            calls.note("closed")

    class Entered(Handle):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    @contextmanager
    def managed():
        handle = Handle()
        yield handle
        handle.close()

    return {"function": Handle, "class with close and with": Entered, "generator": managed}


def async_kinds(calls):
    class Handle:
        def __init__(self):
            calls.note(f"opened-{named()}")
            self.who = named()

    @asynccontextmanager
    async def managed():
        await asyncio.sleep(0)
        yield Handle()
        await asyncio.sleep(0)
        calls.note("closed")

    class Closing(Handle):
        async def close(self):
            await asyncio.sleep(0)
            calls.note("closed")

    async def opened():
        await asyncio.sleep(0)
        return Closing()

    return {"async context manager": managed, "async function with async close": opened}


def uses(x, handle):
    time.sleep(0.001)
    return handle.who == named(), handle.who


@cases()
@pytest.mark.parametrize("kind", ["function", "class with close and with", "generator"])
def test_a_resource_is_made_once_a_worker_and_closed_at_the_end(case, calls, kind):
    run = case.map(uses, range(120), resources={"handle": kinds(calls)[kind]}, width=4)
    results = list(run)
    assert all(same for same, _ in results), "it was used elsewhere than where it was made"
    counts = calls.counts()
    opened = {word for word in counts if word.startswith("opened")}
    assert len({who for _, who in results}) <= len(opened)
    assert all(counts[word] == 1 for word in opened) or case.model == "auto"
    assert counts["closed"] == sum(counts[word] for word in opened)
    most = {
        "serial": 1,
        "async": 1,
        "threads": 4,
        "processes": 2,
        "processes+async": 2,
        "processes+threads": 8,
        "auto": 9,
    }
    assert len(opened) <= most[case.model]


@cases(lambda case: case.is_async)
@pytest.mark.parametrize("kind", ["async context manager", "async function with async close"])
def test_an_async_resource_for_an_async_function(case, calls, kind):
    results = list(case.map(uses, range(60), resources={"handle": async_kinds(calls)[kind]}, width=4))
    assert all(same for same, _ in results)
    counts = calls.counts()
    assert counts["closed"] == sum(n for word, n in counts.items() if word.startswith("opened"))
    assert counts["closed"] >= 1


@cases(lambda case: not case.is_async)
def test_an_async_resource_for_a_sync_function_is_refused(case, calls):
    managed = async_kinds(calls)["async context manager"]
    with pytest.raises(OptionError, match=r"resources\['handle'\].*asynchronous.*model='async'"):
        list(case.map(uses, range(5), resources={"handle": managed}))


class Refused(Exception):
    pass


@cases()
def test_a_resource_that_cannot_be_opened_ends_the_run_with_its_error(case):
    def fails():
        raise Refused("no connection")

    began = time.monotonic()
    with pytest.raises(Refused, match="no connection"):
        list(case.map(uses, range(20), resources={"handle": fails}, on_error="return"))
    assert time.monotonic() - began < 5


@cases()
def test_the_resources_before_the_one_that_fails_are_closed(case, calls):
    def fails():
        raise Refused("no connection")

    def both(x, first, second):
        return x

    resources = {"first": kinds(calls)["generator"], "second": fails}
    with pytest.raises(Refused):
        list(case.map(both, range(5), resources=resources, workers=1, width=1))
    counts = calls.counts()
    assert sum(counts.values()) - counts["closed"] >= 1


@cases()
def test_resources_are_closed_when_the_run_is_left(case, calls, until):
    with case.map(uses, range(10**6), resources={"handle": kinds(calls)["function"]}, width=2) as run:
        for n, _ in enumerate(run):
            if n == 5:
                break

    def all_closed():
        counts = calls.counts()
        return counts["closed"] == sum(n for word, n in counts.items() if word.startswith("opened"))

    until(all_closed, 3, "every resource closed")


@cases(lambda case: case.in_processes)
def test_a_replaced_worker_makes_its_own(case, calls):
    def dies_once(x, handle):
        if x == 5:
            calls.note("dying")
            if calls.counts()["dying"] == 1:
                os._exit(1)
        return handle.who == named()

    results = list(case.map(dies_once, range(40), resources={"handle": kinds(calls)["function"]}))
    assert results == [True] * 40


@cases()
def test_several_resources_by_name(case):
    def adds(x, one, two):
        return x + one + two

    assert list(case.map(adds, range(5), resources={"one": lambda: 10, "two": lambda: 100})) == [
        110 + x for x in range(5)
    ]


def test_starmap_passes_resources_too():
    run = plait.starmap(lambda a, b, one: a + b + one, [(1, 2), (3, 4)], model="threads", resources={"one": lambda: 10})
    assert list(run) == [13, 17]
