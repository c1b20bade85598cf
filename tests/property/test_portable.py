"""Whatever an exception holds, something that speaks for it arrives."""

import pickle
import threading

from hypothesis import given
from hypothesis import strategies as st

from plait.places.processes.portable import portable


class Simple(Exception):
    pass


class Rebuilt(Exception):
    def __init__(self, *args, **parts):
        super().__init__("rebuilt", len(args))
        self.parts = parts


class KeywordOnly(Exception):
    def __init__(self, *, args):
        super().__init__(*args)


class FromOS(OSError):
    def __init__(self, number, *rest):
        super().__init__(number, "words")
        self.rest = rest


plain = st.none() | st.integers() | st.text() | st.binary() | st.lists(st.integers(), max_size=3)
anything = plain | st.builds(threading.Lock) | st.just(lambda: 5)
makers = st.sampled_from(
    [
        lambda args: Simple(*args),
        lambda args: Rebuilt(*args),
        lambda args: KeywordOnly(args=args),
        lambda args: FromOS(7, *args),
        lambda args: ValueError(*args),
        lambda args: SystemExit(*args),
    ]
)


@st.composite
def errors(draw: st.DrawFn, arguments: st.SearchStrategy) -> BaseException:
    error = draw(makers)(draw(st.lists(arguments, max_size=3)))
    for name in draw(st.sets(st.sampled_from(["code", "url", "detail"]))):
        setattr(error, name, draw(arguments))
    for note in draw(st.lists(st.text(), max_size=2)):
        error.add_note(note)
    return error


def through(error):
    return pickle.loads(pickle.dumps(portable(error), 5))


@given(errors(plain))
def test_one_that_holds_plain_data_arrives_as_it_was(error):
    got = through(error)
    assert type(got) is type(error)
    assert str(got) == str(error)
    assert got.args == error.args
    assert got.__dict__ == error.__dict__


@given(errors(anything))
def test_one_that_holds_anything_keeps_its_class(error):
    got = through(error)
    assert type(got) is type(error)
    assert set(got.__dict__) == set(error.__dict__)
    assert getattr(got, "__notes__", None) == getattr(error, "__notes__", None)


@given(st.lists(errors(anything), min_size=1, max_size=3), st.text())
def test_a_group_keeps_its_shape(members, message):
    got = through(BaseExceptionGroup(message, members))
    assert isinstance(got, BaseExceptionGroup)
    assert got.message == message
    assert [type(member) for member in got.exceptions] == [type(member) for member in members]
