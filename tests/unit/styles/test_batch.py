"""A failed attempt: its traceback begins where the function does."""

from plait.errors import FunctionStopped
from plait.styles.batch import raised


def caught(function):
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def users_function():
    raise ValueError("mine")


def test_the_callers_own_frame_is_left_out():
    failed = raised(caught(users_function), 0.5)
    assert "in users_function" in failed.traceback
    assert "in caught" not in failed.traceback
    assert failed.traceback.rstrip().endswith("ValueError: mine")
    assert failed.seconds == 0.5


def test_an_error_with_no_frame_below_keeps_what_it_has():
    error = ValueError("never raised")
    assert raised(error, 0.0).traceback == "ValueError: never raised\n"


def test_stop_iteration_would_end_the_iteration_of_results():
    failed = raised(caught(lambda: next(iter([]))), 0.0)
    assert isinstance(failed.error, FunctionStopped)
    assert isinstance(failed.error.__cause__, StopIteration)
    assert "StopIteration" in failed.traceback


def test_an_error_that_cannot_say_itself_still_has_a_traceback():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    assert "Mute" in raised(Mute(), 0.0).traceback
