"""Log records and warnings, as a worker sends them and its parent takes them."""

import logging
import pickle
import warnings

import pytest

from plait.places.processes.forward import Forwarding, handle_log, handle_warning
from plait.places.processes.wire import Kind


@pytest.fixture
def sent():
    """What a worker's handler sends: `(kind, body)`. This process's own logging is put back afterwards."""
    frames: list[tuple[int, bytes]] = []
    handlers = list(logging.root.handlers)
    with warnings.catch_warnings():
        Forwarding(lambda kind, body: frames.append((kind, body)))
        yield frames
    logging.root.handlers[:] = handlers


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def logger():
    """A logger of the parent, with what it was given."""
    made = logging.getLogger("tests.forward")
    kept = Kept()
    made.addHandler(kept)
    made.setLevel(logging.DEBUG)
    made.kept = kept.records
    yield made
    made.removeHandler(kept)
    made.setLevel(logging.NOTSET)


def across(frames) -> list[int]:
    """Take what was sent, as the parent does."""
    handle = {Kind.LOG: handle_log, Kind.WARNING: handle_warning}
    for kind, body in frames:
        handle[kind](body)
    return [kind for kind, _ in frames]


def record(name: str = "tests.forward", level: int = logging.INFO, exc_info=None, msg="%s of %s", args=("1", "2")):
    return logging.LogRecord(name, level, "fetch.py", 7, msg, args, exc_info, "fetch")


class TestLog:
    def test_a_record_arrives_as_it_was_made(self, sent, logger):
        logging.root.handlers[0].emit(record())
        assert across(sent) == [Kind.LOG]
        (came,) = logger.kept
        assert (came.getMessage(), came.levelno, came.lineno, came.funcName) == ("1 of 2", logging.INFO, 7, "fetch")

    def test_an_exception_arrives_as_its_traceback(self, sent, logger):
        try:
            raise ValueError("no")
        except ValueError as error:
            logging.root.handlers[0].emit(record(exc_info=(ValueError, error, error.__traceback__)))
        across(sent)
        (came,) = logger.kept
        assert came.exc_info is None
        assert "ValueError: no" in came.exc_text
        assert "ValueError: no" in logging.Formatter().format(came)

    def test_what_cannot_be_pickled_is_shown(self, sent, logger):
        one = record()
        one.connection = connection = lambda: None
        logging.root.handlers[0].emit(one)
        across(sent)
        (came,) = logger.kept
        assert came.connection == repr(connection)
        assert came.getMessage() == "1 of 2"

    def test_arguments_are_formatted_where_they_live(self, sent, logger):
        class Local:
            def __str__(self):
                return "of the worker"

        logging.root.handlers[0].emit(record(msg="it is %s", args=(Local(),)))
        across(sent)
        assert logger.kept[0].getMessage() == "it is of the worker"

    def test_the_levels_here_decide(self, sent, logger):
        logging.root.handlers[0].emit(record(level=logging.DEBUG))
        logger.setLevel(logging.INFO)
        across(sent)
        assert logger.kept == []

    def test_a_record_that_cannot_be_formatted_harms_nobody(self, sent, capsys):
        logging.root.handlers[0].emit(record(args=("1",)))
        assert sent == []
        assert "Logging error" in capsys.readouterr().err

    def test_levels_of_the_parent_are_taken_over(self, sent):
        root = logging.root.level
        try:
            logging.root.handlers[0].take_levels({"tests.levels": logging.ERROR, "": logging.CRITICAL})
            assert not logging.getLogger("tests.levels").isEnabledFor(logging.WARNING)
            assert logging.root.level == logging.CRITICAL
        finally:
            logging.root.setLevel(root)
            logging.getLogger("tests.levels").setLevel(logging.NOTSET)


class Local(UserWarning):
    pass


class TestWarning:
    def test_it_is_shown_here_with_its_place(self, sent):
        warnings.warn("it is old", DeprecationWarning, stacklevel=1)
        with pytest.warns(DeprecationWarning, match="it is old") as caught:
            assert across(sent) == [Kind.WARNING]
        assert caught[0].filename == __file__

    def test_the_filters_here_decide(self, sent):
        warnings.warn("it is old", DeprecationWarning, stacklevel=1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            across(sent)
        assert caught == []

    def test_one_that_is_an_error_here_is_logged_since_nobody_could_catch_it(self, sent, caplog):
        warnings.warn("it is old", DeprecationWarning, stacklevel=1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            across(sent)
        assert "A worker warned: it is old" in caplog.text

    def test_a_category_that_cannot_travel_is_a_user_warning(self, sent):
        class Unknown(Warning):
            pass

        warnings.warn("odd", Unknown, stacklevel=1)
        assert pickle.loads(sent[0][1])[:2] == ("odd", UserWarning)

    def test_a_function_that_forks_is_not_warned_of_our_thread(self, sent):
        with warnings.catch_warnings():
            message = "This process (pid=1) is multi-threaded, use of fork() may lead to deadlocks in the child."
            warnings.warn(message, DeprecationWarning, stacklevel=1)
        assert sent == []
