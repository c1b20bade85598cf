"""The key of a function: the same for the same code, another one for another meaning, and nothing of it is run."""

import functools
import hashlib
import operator
import sys
import textwrap
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import plait
from plait.fit import codehash
from plait.fit.codehash import code_key


def made(source: str, name: str = "work", **others: object):
    """The function that a file with this source would hold."""
    names = {"__name__": "script", **others}
    exec(compile(source, "script.py", "exec"), names)
    return names[name]


WORK = "def work(x, k=3):\n    return [x * k + 17 for _ in range(x) if x in {'a', 'b'}]\n"


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for, or depends on, this machine's CPUs."""
    monkeypatch.setattr(codehash, "_counted", (float("inf"), 4))


# --------------------------------------------------------------------------------------------------------------- alike


@pytest.mark.parametrize(
    "source",
    [
        WORK,
        WORK.replace("work", "renamed"),
        "# a comment\n\n\n" + WORK.replace("17 for", "17\n        for"),
        WORK.replace("x, k", "item, factor")
        .replace("x * k", "item * factor")
        .replace("x)", "item)")
        .replace("x in", "item in"),
        "def outer():\n" + textwrap.indent(WORK, "    ") + "    return work\nrenamed = outer()\n",
    ],
    ids=["the same", "renamed", "reformatted", "other local names", "nested"],
)
def test_the_same_code_has_the_same_key(source):
    if sys.version_info[:2] == (3, 12) and "\n\n" in source:
        pytest.skip("Python 3.12 keeps an instruction for some lines: code that is laid out anew is measured anew")
    assert code_key(made(source, "renamed" if "renamed" in source else "work")) == code_key(made(WORK))


def test_a_docstring_is_no_code():
    one, other = (made(f'def work(x):\n    "{text}"\n    return x + 100000\n') for text in ("It adds.", "It sums."))
    assert code_key(one) == code_key(other)


def test_a_text_that_is_no_docstring_counts():
    one, other = (made(f'def work(x):\n    return x + "{text}"\n') for text in ("a", "b"))
    assert code_key(one) != code_key(other)
    one, other = (made(f'work = lambda x: "{text}"\n') for text in ("a", "b"))
    assert code_key(one) != code_key(other)


def test_other_processes_with_other_hash_seeds_find_the_same_key(python, monkeypatch):
    script = f"from plait.fit.codehash import code_key\n{WORK}\nprint(code_key(work))"
    found = set()
    for seed in "17":
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        done = python(script)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


def test_a_run_that_changes_data_keeps_the_key():
    """Else what is remembered after a run would never be recalled before the next."""
    work = made("seen = None\ndef work(x, cache={}):\n    global seen\n    cache[x] = seen = x\n")
    before = code_key(work)
    work(3)
    assert code_key(work) == before


# ----------------------------------------------------------------------------------------------------------- different


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ 17", "+ 18000"),
        ("+ 17", "- 17"),
        ("'b'", "'c'"),
        ("k=3", "k=4"),
        ("k=3", "k=3.0"),
        ("k=3", "*k"),
        ("range", "list"),
    ],
)
def test_other_code_has_another_key(old, new):
    assert code_key(made(WORK.replace(old, new))) != code_key(made(WORK))


def test_constants_are_told_apart_by_type():
    keys = [
        code_key(made(f"def work(x, k={value}):\n    return x\n"))
        for value in ("1", "True", "1.0", "'1'", "b'1'", "1j")
    ]
    keys += [
        code_key(made(f"def work(x, k={value}):\n    return x\n"))
        for value in ("(1,)", "((1,),)", "-1", "None", "...", "0.0", "-0.0")
    ]
    assert len(set(keys)) == len(keys)


def test_an_async_function_is_another():
    assert code_key(made("async def work(x):\n    return x\n")) != code_key(made("def work(x):\n    return x\n"))


def test_what_it_calls_in_its_module_counts():
    """`lambda item: step(item)` is in every other script."""
    source = "def step(x):\n    return x + {}\nwork = lambda x: step(x)\n"
    assert code_key(made(source.format(1000))) != code_key(made(source.format(2000)))
    assert code_key(made(source.format(1000))) == code_key(made(source.format(1000)))


def test_what_an_imported_name_stands_for_counts():
    source = "from hashlib import {} as digest\ndef work(x):\n    return digest(x)\n"
    assert code_key(made(source.format("md5"))) != code_key(made(source.format("sha256")))


def test_a_variable_that_it_counts_in_is_not_part_of_it():
    count = 0

    def counting(x):
        nonlocal count
        count += 1
        return x

    before = code_key(counting)
    counting(1)
    assert code_key(counting) == before


def test_plain_values_that_it_closes_over_count():
    def times(factor):
        return lambda x: x * factor

    assert code_key(times(3)) == code_key(times(3)) != code_key(times(4))
    assert code_key(times([3])) == code_key(times([4]))


def test_functions_that_it_closes_over_count():
    def through(function):
        return lambda x: function(x)

    assert code_key(through(lambda x: x + 1)) == code_key(through(lambda x: x + 1))
    assert code_key(through(lambda x: x + 1)) != code_key(through(lambda x: x - 1))


@pytest.mark.parametrize("what", ["version", "cpus", "format"])
def test_another_python_machine_or_format_has_another_key(what, monkeypatch):
    before = code_key(len)
    if what == "version":
        python = SimpleNamespace(version_info=(3, 99), implementation=sys.implementation, abiflags="")
        monkeypatch.setattr(codehash, "sys", python)
    elif what == "cpus":
        monkeypatch.setattr(codehash, "_counted", (float("-inf"), 0))
        monkeypatch.setattr(codehash, "cores", lambda: 7)
    else:
        monkeypatch.setattr(codehash, "FORMAT", "plait 2")
    assert before != code_key(len) is not None


# ------------------------------------------------------------------------------------------------------- looked through


class Scraper:
    def __init__(self, step=None):
        self.step = step

    def fetch(self, url):
        return self, url

    @classmethod
    def parse(cls, page):
        return cls, page

    def __call__(self, item):
        return item


class Other(Scraper):
    pass


def plain(x, k=1):
    return x * k


def test_partials():
    partial = functools.partial
    assert code_key(partial(plain, k=2)) == code_key(partial(plain, k=2)) != code_key(plain)
    assert code_key(partial(plain, k=2)) != code_key(partial(plain, k=3))
    assert code_key(partial(plain, 2)) != code_key(partial(plain, 3))
    assert code_key(partial(max, key=plain)) != code_key(partial(max, key=len))


def test_methods_go_with_their_class_not_with_their_object():
    assert code_key(Scraper().fetch) == code_key(Scraper().fetch) != code_key(Scraper.fetch)
    assert code_key(Scraper().fetch) != code_key(Other().fetch)
    assert code_key(Scraper.parse) != code_key(Other.parse)


def test_callable_objects():
    assert code_key(Scraper()) == code_key(Scraper()) is not None
    assert code_key(Scraper()) != code_key(Other())
    assert code_key(Scraper(lambda x: x + 1)) != code_key(Scraper(lambda x: x - 1))


def test_decorated_functions():
    @functools.wraps(plain)
    def wrapper(*args):
        return plain(*args)

    assert len({code_key(fn) for fn in (plain, wrapper, functools.lru_cache(plain), functools.lru_cache(len))}) == 4
    assert code_key(plait.task(plain)) == code_key(plait.task(retries=3)(plain)) is not None
    assert code_key(functools.lru_cache(lambda x: x + 1)) != code_key(functools.lru_cache(lambda x: x - 1))


def test_built_ins_and_classes_go_by_their_name():
    known = [
        len,
        max,
        hashlib.sha256,
        str.upper,
        str.lower,
        ",".join,
        ";".join,
        [].append,
        int,
        str,
        Scraper,
        int.__add__,
    ]
    keys = [code_key(fn) for fn in known]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_of_others_nothing_is_said():
    assert code_key(operator.itemgetter(1)) is None
    assert code_key(3) is None
    assert code_key(None) is None


# ------------------------------------------------------------------------------------------------------------- harmless


class Meta(type):
    def __getattribute__(cls, name):
        raise AssertionError(f"asked for {name}")


class Hostile(metaclass=Meta):
    """Anything that is asked of it fails the test."""

    def __getattribute__(self, name):
        raise AssertionError(f"asked for {name}")

    def _fail(self, *args):
        raise AssertionError("was run")

    __call__ = __eq__ = __hash__ = __repr__ = __str__ = __len__ = __iter__ = __bool__ = _fail
    __wrapped__ = __dict__ = property(_fail)


class Text(str):
    __slots__ = ()

    def __hash__(self):
        raise AssertionError("was hashed")

    __eq__ = __repr__ = encode = __hash__


def test_nothing_of_others_is_run():
    hostile, text = object.__new__(Hostile), Text("h")
    asked = [hostile, functools.partial(plain, hostile, k=Text("k")), functools.partial(plain, (hostile, Text("k")))]
    asked += [lambda x, k=hostile, h=text: (x, hostile, k, h)]
    asked += [made("def work(x):\n    return thing(x), word\n", thing=hostile, word=Text("word"))]
    failures = []
    for fn in asked:
        walk = codehash._Walk()
        try:
            walk.callable(fn)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures


def test_code_that_calls_itself_or_holds_itself_ends():
    work = made("def work(n):\n    return other(n)\ndef other(n):\n    return work(n - 1)\n")
    assert code_key(work)
    plain_again = functools.wraps(plain)(lambda x: x)
    plain_again.__wrapped__ = plain_again
    assert code_key(plain_again)
    looped = Scraper()
    looped.__wrapped__ = looped
    assert code_key(looped)


def test_large_and_deep_data_is_cut():
    deep: tuple = ()
    for _ in range(10_000):
        deep = (deep,)
    wide: object = 1
    for _ in range(20):
        wide = (wide,) * 50
    for data in (deep, wide, tuple(range(1_000_000)), frozenset(range(100_000)), "x" * 10_000_000, 1 << 1_000_000):
        walk = codehash._Walk()
        assert walk.callable(functools.partial(plain, data))
        assert len(walk.text()) < 2_000_000
        assert code_key(functools.partial(plain, data))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
        lambda inside: st.tuples(inside, inside) | st.frozensets(st.integers()) | st.lists(inside),
    )
)
def test_any_plain_data_has_a_key(data):
    assert code_key(functools.partial(plain, data)) == code_key(functools.partial(plain, data)) is not None


@given(st.lists(st.text(max_size=3), min_size=2, max_size=2), st.lists(st.text(max_size=3), min_size=2, max_size=2))
def test_arguments_do_not_run_into_each_other(one, other):
    partial = functools.partial
    assert (code_key(partial(plain, *one)) == code_key(partial(plain, *other))) is (one == other)
