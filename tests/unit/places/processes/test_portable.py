"""Exceptions of every odd kind arrive as what they were."""

import pickle
import subprocess
import threading
import urllib.error

import pytest

from plait.errors import CannotTravel, ItemTimeout, OptionError, WorkerLost
from plait.places.processes.portable import by_value, portable


class Plain(Exception):
    pass


class Formatted(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


class KeywordOnly(Exception):
    def __init__(self, *, code, hint="none"):
        super().__init__(f"code {code}")
        self.code, self.hint = code, hint


class Several(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.a, self.b = a, b


class NoSuper(Exception):
    def __init__(self, a, b):
        self.a, self.b = a, b


class OwnWords(Exception):
    def __init__(self, a):
        self.a = a

    def __str__(self):
        return f"it was {self.a}"


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


class OwnReduce(Exception):
    def __reduce__(self):
        raise TypeError("never")


class Missing(OSError):
    def __init__(self, path):
        super().__init__(2, "No such thing", path)
        self.path = path


class Undecodable(UnicodeDecodeError):
    def __init__(self, data):
        super().__init__("utf-8", data, 0, 1, "not today")


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def undecodable():
    try:
        b"\xff".decode()
    except UnicodeDecodeError as error:
        return error
    raise AssertionError


def through(error):
    return pickle.loads(pickle.dumps(portable(error), 5))


def same(got, sent):
    assert type(got) is type(sent)
    assert str(got) == str(sent)
    assert got.args == sent.args
    assert got.__dict__ == sent.__dict__


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        ValueError("x", 2),
        KeyError("missing"),
        Plain("x"),
        Formatted(404),
        KeywordOnly(code=5),
        Several("a", "b"),
        NoSuper("a", "b"),
        OwnWords("odd"),
        OwnReduce("x"),
        SystemExit(3),
        KeyboardInterrupt(),
        StopIteration(7),
        AssertionError(),
        OSError(13, "denied", "/x"),
        FileNotFoundError(2, "No such file", "a", None, "b"),
        ConnectionResetError(104, "reset"),
        ImportError("no module", name="x", path="/y"),
        SyntaxError("bad", ("f.py", 1, 2, "x =", 1, 3)),
        UnicodeEncodeError("ascii", "\xff", 0, 1, "no"),
        undecodable(),
        subprocess.CalledProcessError(3, ["ls"], b"out"),
        subprocess.TimeoutExpired(["ls"], 3.0),
        ItemTimeout(3.0, "deadline", "fate"),
        WorkerLost(7, "killed by SIGKILL", 3, "stack", "hint"),
        CannotTravel("It", "why", "remedy"),
        Missing("/x"),
        Undecodable(b"\xff"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_it_arrives_as_it_was(error):
    same(through(error), error)


def test_what_the_system_says_of_a_file_arrives():
    got = through(Missing("/x"))
    assert (got.errno, got.strerror, got.filename, got.path) == (2, "No such thing", "/x", "/x")


def test_slots_arrive():
    assert through(Slotted(5)).code == 5


def test_one_that_holds_a_file_arrives():
    got = through(urllib.error.HTTPError("http://x", 404, "Not Found", None, None))
    assert type(got) is urllib.error.HTTPError
    assert (got.code, str(got)) == (404, "HTTP Error 404: Not Found")


def test_an_option_error_tells_its_value_in_words():
    got = through(OptionError("x", threading.Lock(), "it takes y"))
    assert type(got) is OptionError
    assert "lock" in got.value


def test_notes_arrive():
    error = Formatted(404)
    error.add_note("a note")
    assert through(error).__notes__ == ["a note"]


def test_an_attribute_that_cannot_travel_arrives_as_its_repr():
    error = Plain("x", threading.Lock())
    error.lock = threading.Lock()
    error.code = 5
    got = through(error)
    assert type(got) is Plain
    assert got.args[0] == "x"
    assert "lock" in got.args[1]
    assert "lock" in got.lock
    assert got.code == 5


def test_a_class_made_in_a_function_arrives_by_value():
    class Local(Exception):
        def __init__(self, *, code):
            super().__init__(f"code {code}")
            self.code = code

    got = through(Local(code=5))
    assert type(got).__name__ == "Local"
    assert (str(got), got.code) == ("code 5", 5)


class TestGroups:
    def test_a_group_arrives_with_all_that_is_in_it(self):
        got = through(ExceptionGroup("several", [ValueError("a"), ExceptionGroup("inner", [Formatted(404)])]))
        assert (got.message, [type(e) for e in got.exceptions]) == ("several", [ValueError, ExceptionGroup])
        inner = got.exceptions[1].exceptions[0]
        assert (type(inner), inner.status, str(inner)) == (Formatted, 404, "status 404")

    @pytest.mark.parametrize("odd", [KeywordOnly(code=5), OwnReduce("x"), Several("a", "b"), Missing("/x")], ids=repr)
    def test_what_is_odd_in_a_group_arrives_too(self, odd):
        got = through(ExceptionGroup("several", [ValueError("a"), odd]))
        assert isinstance(got, ExceptionGroup)
        same(got.exceptions[1], odd)


def test_one_that_cannot_say_itself_says_that():
    got = through(Mute("x"))
    assert "Mute" in type(got).__name__ or "Mute" in str(got)


def test_what_cannot_travel_at_all_keeps_its_words():
    class Stubborn(Exception):
        def __reduce__(self):
            raise TypeError("never")

        def __new__(cls, *args):
            if not args:
                raise TypeError("not without")
            return super().__new__(cls, *args)

        def __init_subclass__(cls):
            raise TypeError

        lock = threading.Lock()

    got = through(Stubborn("my words"))
    assert "my words" in str(got)
    assert "Stubborn" in f"{type(got).__name__} {got}"


@pytest.mark.parametrize(
    "error", [KeywordOnly(code=5), OwnReduce("x"), Mute("x")], ids=lambda error: type(error).__name__
)
def test_made_portable_twice_is_as_good_as_once(error):
    """A batch some of whose results refuse is pickled again, its errors portable already."""
    once = portable(error)
    got = pickle.loads(pickle.dumps(portable(once), 5))
    assert type(got) is type(pickle.loads(pickle.dumps(once, 5)))


def test_by_value_becomes_what_it_holds():
    made = by_value(lambda x: x + 1)
    assert pickle.loads(pickle.dumps(made))(1) == 2
    with pytest.raises(TypeError, match="lock"):
        by_value(threading.Lock())
