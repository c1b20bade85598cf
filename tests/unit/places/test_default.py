"""The one current thing of a process."""

import pytest

from plait.places.default import Default


class Thing:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def default():
    made = Default(Thing)
    yield made
    made.reset()


def test_it_is_made_when_it_is_asked_for_and_once(default):
    assert default.now is None
    first = default.get()
    assert default.get() is first
    assert default.now is first


def test_another_takes_its_place_until_it_is_removed(default):
    own, other = default.get(), Thing()
    default.push(other)
    assert default.get() is default.now is other
    default.remove(other)
    assert default.get() is default.now is own


def test_without_one_there_was_none_afterwards_either(default):
    other = Thing()
    default.push(other)
    assert default.get() is other
    default.remove(other)
    assert default.now is None


def test_they_may_leave_in_another_order_than_they_came(default):
    """Two threads, each in a `with` of its own."""
    first, second = Thing(), Thing()
    default.push(first)
    default.push(second)
    default.remove(first)
    assert default.get() is second
    default.remove(second)
    default.remove(second)
    assert default.now is None


def test_reset_closes_what_was_made_here_and_the_next_use_makes_another(default):
    first = default.get()
    default.reset()
    assert first.closed == 1
    assert default.get() is not first
    assert first.closed == 1


def test_what_somebody_else_made_is_theirs_to_close(default):
    own, other = default.get(), Thing()
    default.push(other)
    default.reset()
    assert (own.closed, other.closed) == (1, 0)
    assert default.get() is other


FORKS = """
    import os
    from plait.places.default import Default

    class Thing:
        closed = False

        def close(self):
            print("closed in", "parent" if os.getpid() == parent else "child", flush=True)

    parent, default = os.getpid(), Default(Thing)
    before = default.get()
    pid = os.fork()
    if pid == 0:
        assert default.now is None
        assert default.get() is not before
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert default.get() is before
"""


def test_a_forked_child_has_none_and_the_end_of_the_process_closes_it(python):
    done = python(FORKS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "closed in parent\n"
