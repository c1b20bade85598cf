"""Planted functions of both kinds: those that mean something else in another process, and those that do not."""

import asyncio
import collections
import functools
import io
import itertools
import logging
import math
import os
import queue
import re
import socket
import sqlite3
import sys
import threading
import types

import pytest

from plait.fit.meaning import runs_alone, stays_here

TABLE = {"a": 1}
SEEN: set[int] = set()
RESULTS: list[object] = []
GROUPS: dict[int, list[int]] = collections.defaultdict(list)
COUNTS: dict[int, int] = {}
BUFFER = bytearray()
RECENT: collections.deque[int] = collections.deque()
LOCK = threading.Lock()
IDS = itertools.count()
LOCAL = threading.local()
LOG = logging.getLogger("planted")
PATTERN = re.compile("a+")
SETTINGS = types.SimpleNamespace(depth=3, cache={}, count=0)
MODULE = types.ModuleType("made_up")
MODULE.FOUND = []  # type: ignore[attr-defined]
total = 0


# ------------------------------------------------------------------------------------------------------- they stay here


def writes_a_global(x):
    global total
    total += x


def deletes_a_global(x):
    global total
    del total


def appends(x):
    RESULTS.append(x)


def adds_under_a_condition(x):
    if x not in SEEN:
        SEEN.add(x)
        return x
    return None


def assigns_an_element(x):
    TABLE[str(x)] = x * 2 if x > 3 else math.sqrt(x)


def assigns_under_a_conditional_key(x):
    TABLE["even" if x % 2 == 0 else "odd"] = x


def counts(x):
    COUNTS[x] = COUNTS.get(x, 0) + 1


def counts_in_place(x):
    COUNTS[x] += 1


def deletes_an_element(x):
    del TABLE[x]


def appends_to_an_element(x):
    GROUPS[x % 3].append(x)


def extends_a_buffer(x):
    BUFFER.extend(bytes(x))


def pops_left(x):
    return RECENT.popleft() + x


def through_an_alias(x):
    found = RESULTS
    found.append(x)


def through_two_aliases(x):
    one, two = SEEN, x
    three, four = one, two
    three.add(four)


def in_a_comprehension(xs):
    return [RESULTS.append(x) for x in xs]


def in_an_inner_function(x):
    def inner():
        SEEN.add(x)

    inner()


def in_an_except_block(x):
    try:
        return 1 / x
    except ZeroDivisionError:
        RESULTS.append(x)
    finally:
        pass


def in_a_loop_with_calls(xs):
    for x in xs:
        with open(os.devnull) as file:
            print(x, file=file)
        TABLE[x] = max(x, *xs)


def by_a_helper(x):
    return appends(x + 1)


def changes_a_setting(x):
    SETTINGS.count = x


def changes_a_container_of_an_object(x):
    SETTINGS.cache[x] = x


def changes_a_container_of_a_module(x):
    MODULE.FOUND.append(x)


def memoises(x):
    if x not in TABLE:
        TABLE[x] = x**2
    return TABLE[x]


def remembers_in_a_default(x, seen=[]):  # noqa: B006
    seen.append(x)
    return len(seen)


def uses_a_global_lock(x):
    with LOCK:
        return x


def takes_the_next_id(x):
    return next(IDS), x


def counts_on_itself(x):
    counts_on_itself.calls += 1


async def appends_async(x):
    await asyncio.sleep(0)
    RESULTS.append(x)


def generates(x):
    yield x
    RESULTS.append(x)


@functools.lru_cache
def cached_but_appends(x):
    RESULTS.append(x)


def decorated(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args)

    return wrapper


@decorated
def appends_decorated(x):
    RESULTS.append(x)


STAY = [value for value in list(globals().values()) if callable(value) and getattr(value, "__module__", "") == __name__]
STAY.remove(decorated)


@pytest.mark.parametrize("fn", STAY, ids=lambda fn: fn.__name__)
def test_what_writes_outside_of_itself_stays(fn):
    reason = stays_here(fn)
    assert reason is not None
    assert "global" in reason or "argument" in reason


def test_reasons_name_the_function_and_what_it_changes():
    assert stays_here(writes_a_global) == "writes_a_global writes the global total"
    assert stays_here(appends) == "appends changes the global RESULTS"
    assert stays_here(by_a_helper) == "appends changes the global RESULTS"
    assert stays_here(uses_a_global_lock) == "uses_a_global_lock uses a lock, the global LOCK"
    assert stays_here(changes_a_container_of_an_object) == (
        "changes_a_container_of_an_object changes the global SETTINGS.cache"
    )


def closures():
    count, found = 0, []

    def nonlocal_count(x):
        nonlocal count
        count += x

    def closed_over_list(x):
        found.append(x)

    def in_inner(x):
        def inner():
            nonlocal count
            count = x

        return inner

    return [nonlocal_count, closed_over_list, in_inner, lambda x: found.append(x)]


@pytest.mark.parametrize("fn", closures(), ids=lambda fn: fn.__name__)
def test_what_writes_to_its_closure_stays(fn):
    assert "closed-over" in (stays_here(fn) or "")


def over(value):
    return lambda x: (value, x)


@pytest.fixture
def uncopyable():
    with socket.socket() as sock, open(os.devnull) as file:
        connection = sqlite3.connect(":memory:")
        yield {
            "a lock": [threading.Lock(), threading.RLock()],
            "an event": [threading.Event()],
            "a thread": [threading.Thread()],
            "a queue": [queue.Queue(), queue.SimpleQueue()],
            "an open file": [file],
            "a socket": [sock],
            "a generator": [(n for n in range(3))],
            "an iterator": [iter([1]), itertools.count()],
            "a database connection": [connection],
            "a database cursor": [connection.cursor()],
            "an asyncio object": [asyncio.Semaphore(1), asyncio.Queue()],
        }
        connection.close()


def test_what_holds_something_uncopyable_stays(uncopyable):
    for word, values in uncopyable.items():
        for value in values:
            holder = types.SimpleNamespace(inside=value)
            assert word in (stays_here(over(value)) or ""), value
            assert word in (stays_here(over(holder)) or ""), value
            assert word in (stays_here(functools.partial(pow, value)) or ""), value
            assert word in (stays_here(functools.partial(pow, exp=value)) or ""), value
            assert word in (stays_here(lambda x, held=value: x) or ""), value


def test_a_handle_that_threads_must_not_share_runs_alone(uncopyable):
    assert runs_alone(over(uncopyable["a database connection"][0]))
    assert runs_alone(over(uncopyable["an open file"][0]))
    assert runs_alone(over(uncopyable["a lock"][0])) is None
    assert runs_alone(over(uncopyable["a queue"][0])) is None


@pytest.mark.parametrize("fn", [writes_a_global, counts_in_place, changes_a_setting, counts_on_itself])
def test_what_reads_and_writes_in_two_steps_runs_alone(fn):
    assert runs_alone(fn)


@pytest.mark.parametrize("fn", [appends, adds_under_a_condition, memoises, appends_to_an_element, uses_a_global_lock])
def test_what_changes_in_one_step_may_overlap(fn):
    assert stays_here(fn)
    assert runs_alone(fn) is None


class Parser:
    limit = 3

    def __init__(self) -> None:
        self.errors: list[object] = []
        self.count = 0
        self.rules = {"a": 1}

    def pure(self, x):
        return self.rules.get(x, self.limit)

    def collect(self, x):
        self.errors.append(x)

    def bump(self, x):
        self.count += 1

    def indirect(self, x):
        return self.collect(x)

    def __call__(self, x):
        self.count = x


class Guarded(Parser):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def test_methods_that_change_their_object_stay():
    assert "self.errors" in (stays_here(Parser().collect) or "")
    assert "self" in (stays_here(Parser().bump) or "")
    assert "self.errors" in (stays_here(Parser().indirect) or "")
    assert stays_here(Parser()) is not None
    assert "a lock" in (stays_here(Guarded().pure) or "")
    assert stays_here(Parser().pure) is None


def test_a_list_given_by_partial_is_known():
    def put(into, x):
        into.append(x)

    assert stays_here(functools.partial(put, [])) == (
        "test_a_list_given_by_partial_is_known.<locals>.put changes its argument into"
    )
    assert "its items" in (stays_here(put) or "")


# ------------------------------------------------------------------------------------------------------ they may travel


def reads(x):
    return TABLE["a"] + math.pi * x + len(SEEN) + SETTINGS.depth + TABLE.get(x, 0)


def logs(x):
    LOG.info("item %s", x)
    logging.getLogger(__name__).debug("again")
    print(x, file=sys.stderr)
    return PATTERN.findall(str(x))


def uses_local_containers(xs):
    found, seen, index = [], set(), {}
    for x in xs:
        found.append(x)
        seen.add(x)
        index[x] = found
        index.setdefault(x, []).append(x)
    found[0] = 1
    del index[xs[0]]
    return sorted(found), {x: x for x in seen}


def shadows(x, RESULTS=None):
    RESULTS = RESULTS or []
    RESULTS.append(x)
    return RESULTS


def changes_a_copy(x):
    table = dict(TABLE)
    table[x] = 1
    mine = TABLE.copy()
    mine.update(a=2)
    list(RESULTS).append(x)
    sorted(RESULTS).pop()
    return table, mine


def changes_its_item_and_gives_it_back(x):
    x.append(1)
    x["a"] = 2
    x.name = "b"
    return x


def makes_an_object(x):
    parser = Parser()
    parser.count = x
    parser.errors.append(x)
    make(x).count = 1
    make(x).errors.append(1)
    return parser


def make(x):
    return Parser()


def writes_its_own_cell(x):
    count = 0

    def inner():
        nonlocal count
        count += x
        return count

    return inner()


def uses_its_own_lock_and_file(x):
    lock = threading.Lock()
    with lock, open(os.devnull) as file:
        return file.read()


def keeps_one_for_each_thread(x):
    if not hasattr(LOCAL, "session"):
        LOCAL.session = object()
    return LOCAL.session


def sets_the_environment(x):
    os.environ["PLANTED"] = str(x)
    sys.path.append("nowhere")


def as_text(x):
    out = io.StringIO()
    out.write(str(x))
    return out.getvalue()


async def waits(x):
    async with asyncio.timeout(1):
        await asyncio.sleep(0)
    return [y async for y in x]


@functools.lru_cache
def cached(x):
    return x**2


def calls_the_cached(x):
    return cached(x)


@pytest.mark.parametrize(
    "fn",
    [
        reads,
        logs,
        uses_local_containers,
        shadows,
        changes_a_copy,
        changes_its_item_and_gives_it_back,
        makes_an_object,
        writes_its_own_cell,
        uses_its_own_lock_and_file,
        keeps_one_for_each_thread,
        sets_the_environment,
        as_text,
        waits,
        cached,
        calls_the_cached,
        len,
        str.upper,
        int,
        Parser,
        "text".join,
        math.sqrt,
        functools.partial(pow, 2),
        functools.partial(reads),
        over([1, 2]),
        over(LOG),
        over(sys.stdout),
        over({"a": 1}.get),
        over(Parser),
        over(math),
        os.path.join,
    ],
    ids=lambda fn: getattr(fn, "__qualname__", type(fn).__name__),
)
def test_what_changes_nothing_outside_may_travel(fn):
    assert stays_here(fn) is None


@pytest.mark.parametrize("module", ["json", "textwrap", "ast", "statistics", "html.parser", "difflib", "csv"])
def test_whole_modules_are_looked_at_without_an_error(module):
    """Real code of every shape: an error inside would pass for harmless, so it is made visible here."""
    import importlib

    from plait.fit import meaning

    for value in vars(importlib.import_module(module)).values():
        members = vars(value).values() if isinstance(value, type) else [value]
        for fn in members:
            if isinstance(fn, types.FunctionType):
                list(meaning._pins(fn))


def test_it_never_raises():
    class Odd:
        def __getattribute__(self, name):
            raise RuntimeError(name)

    class Meta(type):
        @property
        def __mro__(cls):
            raise RuntimeError

    def unfilled():
        def fn(x):
            return later

        found = stays_here(fn)
        later = 1
        return found, later

    assert stays_here(Odd()) is None
    assert stays_here(over(Meta("Odd", (), {})())) is None
    assert stays_here(None) is None
    assert unfilled() == (None, 1)
