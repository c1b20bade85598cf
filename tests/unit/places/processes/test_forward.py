"""Log records and warnings, as a worker sends them and its parent takes them."""

import logging
import pickle
import warnings

import pytest

from plait.places.processes.forward import Forwarding, handle_log, handle_warning
from plait.places.processes.wire import Kind


class Worker:
    """What a worker's handler sends, until it `arrives` here."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.handlers = list(logging.root.handlers)
        self.forwarding = Forwarding(lambda kind, body: self.sent.append((kind, body)))
        assert logging.root.handlers == [self.forwarding]

    def arrives(self) -> list[int]:
        """This process is the parent again, and takes what was sent."""
        self.close()
        handle = {Kind.LOG: handle_log, Kind.WARNING: handle_warning}
        for kind, body in self.sent:
            handle[kind](body)
        return [kind for kind, _ in self.sent]

    def close(self) -> None:
        logging.root.handlers[:] = self.handlers


@pytest.fixture
def worker():
    with warnings.catch_warnings():
        made = Worker()
        yield made
        made.close()


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


def record(name: str = "tests.forward", level: int = logging.INFO, exc_info=None, msg="%s of %s", args=("1", "2")):
    return logging.LogRecord(name, level, "fetch.py", 7, msg, args, exc_info, "fetch")


class TestLog:
    def test_a_record_arrives_as_it_was_made(self, worker, logger):
        worker.forwarding.emit(record())
        assert worker.arrives() == [Kind.LOG]
        (came,) = logger.kept
        assert (came.getMessage(), came.levelno, came.lineno, came.funcName) == ("1 of 2", logging.INFO, 7, "fetch")

    def test_an_exception_arrives_as_its_traceback(self, worker, logger):
        try:
            raise ValueError("no")
        except ValueError as error:
            worker.forwarding.emit(record(exc_info=(ValueError, error, error.__traceback__)))
        worker.arrives()
        (came,) = logger.kept
        assert came.exc_info is None
        assert "ValueError: no" in came.exc_text
        assert "ValueError: no" in logging.Formatter().format(came)

    def test_what_cannot_be_pickled_is_shown(self, worker, logger):
        one = record()
        one.connection = connection = lambda: None
        worker.forwarding.emit(one)
        worker.arrives()
        (came,) = logger.kept
        assert came.connection == repr(connection)
        assert came.getMessage() == "1 of 2"

    def test_arguments_are_formatted_where_they_live(self, worker, logger):
        class Local:
            def __str__(self):
                return "of the worker"

        worker.forwarding.emit(record(msg="it is %s", args=(Local(),)))
        worker.arrives()
        assert logger.kept[0].getMessage() == "it is of the worker"

    def test_the_levels_here_decide(self, worker, logger):
        worker.forwarding.emit(record(level=logging.DEBUG))
        logger.setLevel(logging.INFO)
        worker.arrives()
        assert logger.kept == []

    def test_a_record_that_cannot_be_formatted_harms_nobody(self, worker, capsys):
        worker.forwarding.emit(record(args=("1",)))
        assert worker.sent == []
        assert "Logging error" in capsys.readouterr().err

    def test_levels_of_the_parent_are_taken_over(self, worker):
        root = logging.root.level
        try:
            worker.forwarding.take_levels({"tests.levels": logging.ERROR, "": logging.CRITICAL})
            assert not logging.getLogger("tests.levels").isEnabledFor(logging.WARNING)
            assert logging.root.level == logging.CRITICAL
        finally:
            logging.root.setLevel(root)
            logging.getLogger("tests.levels").setLevel(logging.NOTSET)


class TestWarning:
    def test_it_is_shown_here_with_its_place(self, worker):
        warnings.warn("it is old", DeprecationWarning, stacklevel=1)
        with pytest.warns(DeprecationWarning, match="it is old") as caught:
            assert worker.arrives() == [Kind.WARNING]
        assert caught[0].filename == __file__

    def test_the_filters_here_decide(self, worker):
        warnings.warn("it is old", DeprecationWarning, stacklevel=1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            worker.arrives()
        assert caught == []

    def test_one_that_is_an_error_here_is_logged_since_nobody_could_catch_it(self, worker, caplog):
        warnings.warn("it is old", DeprecationWarning, stacklevel=1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            worker.arrives()
        assert "A worker warned: it is old" in caplog.text

    def test_a_category_that_cannot_travel_is_a_user_warning(self, worker):
        class Unknown(Warning):
            pass

        warnings.warn("odd", Unknown, stacklevel=1)
        assert pickle.loads(worker.sent[0][1])[:2] == ("odd", UserWarning)

    def test_a_function_that_forks_is_not_warned_of_our_thread(self, worker):
        with warnings.catch_warnings():
            message = "This process (pid=1) is multi-threaded, use of fork() may lead to deadlocks in the child."
            warnings.warn(message, DeprecationWarning, stacklevel=1)
        assert worker.sent == []
