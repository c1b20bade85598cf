"""The texts of errors, what they keep, and that each survives the way from a worker to its parent."""

import copy
import pickle

import pytest

from plait import errors
from plait.errors import (
    ArgumentRefused,
    CannotTravel,
    ConnectionRefused,
    FunctionStopped,
    ItemTimeout,
    JobCancelled,
    JobFailed,
    JobUnknown,
    JournalBusy,
    JournalChanged,
    JournalError,
    MissingExtra,
    OptionError,
    PlaitError,
    QueueMoved,
    ResultTimeout,
    RunCancelled,
    RunUsedTwice,
    Stale,
    StartFailed,
    StoreBusy,
    StoreError,
    TooManyFailures,
    UnknownOption,
    WorkerLost,
    nearest,
)

EXAMPLES: list[PlaitError] = [
    PlaitError("something happened"),
    OptionError("workers", -1, "it takes a whole number from 1"),
    UnknownOption("model", "thread", ["serial", "threads"]),
    RunUsedTwice("list()"),
    MissingExtra("reading Parquet", "pyarrow", "parquet"),
    ItemTimeout(1.5),
    ItemTimeout(30, option="deadline", fate="its worker was ended"),
    TooManyFailures(6, 10, 0.5),
    CannotTravel("The result of item 5", "it holds a lock", "Return plain data."),
    FunctionStopped(),
    WorkerLost(17, "killed by SIGKILL", 1),
    WorkerLost(17, "exit code 3", 3, stack="in f", hint="Try fewer workers."),
    StartFailed("fork: out of memory"),
    RunCancelled(),
    RunCancelled("Ctrl-C"),
    JournalError("run.db", "it is damaged", "Move it away."),
    JournalBusy("run.db", 17),
    JournalBusy("run.db"),
    JournalChanged("run.db", "clean", "its function's code is another"),
    StoreError("jobs.db cannot grow"),
    StoreBusy("jobs.db was locked"),
    QueueMoved("postgresql://there/jobs", done=True),
    QueueMoved("sqlite:////there.db", done=False),
    QueueMoved("sqlite:////here.db", done=False, source="postgresql://there/jobs"),
    ConnectionRefused("connection= is closed"),
    ArgumentRefused("thumbnail", "path= is no text"),
    Stale(17),
    JobFailed(17, "ValueError: no", "in f"),
    JobCancelled(17),
    JobUnknown(17),
    ResultTimeout(17, 1.5, "waiting"),
]


def test_every_class_has_an_example_here():
    classes = {getattr(errors, name) for name in errors.__all__}
    assert {type(error) for error in EXAMPLES} == classes


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickling_keeps_type_text_and_parts(error, protocol):
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again).keys() == vars(error).keys()
    assert vars(again) == vars(error) or isinstance(error, OptionError)  # whose value arrives as its repr


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_copying_keeps_the_text(error):
    assert str(copy.copy(error)) == str(error)


@pytest.mark.parametrize(
    ("kind", "also"),
    [
        (OptionError, ValueError),
        (UnknownOption, TypeError),
        (RunUsedTwice, RuntimeError),
        (MissingExtra, ImportError),
        (ItemTimeout, TimeoutError),
        (TooManyFailures, RuntimeError),
        (CannotTravel, TypeError),
        (FunctionStopped, RuntimeError),
        (JournalBusy, JournalError),
        (JournalChanged, UserWarning),
        (WorkerLost, RuntimeError),
        (StartFailed, RuntimeError),
    ],
)
def test_it_is_caught_where_people_expect_it(kind, also):
    assert issubclass(kind, PlaitError)
    assert issubclass(kind, also)


@pytest.mark.parametrize("error", [ItemTimeout(2), OptionError("workers", 0, "it takes more")])
def test_notes_travel(error):
    error.add_note("item 5 of stage f")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["item 5 of stage f"]


def test_an_option_error_travels_though_its_value_cannot():
    error = OptionError("timeout", lambda: None, "it takes seconds")
    again = pickle.loads(pickle.dumps(error))
    assert (again.option, again.wants) == ("timeout", "it takes seconds")
    assert "lambda" in again.value
    assert str(again) == str(error)


def test_a_subclass_with_a_signature_of_its_own_travels():
    assert str(pickle.loads(pickle.dumps(Own(1, two=2)))) == "1 and 2"


class Own(PlaitError):
    def __init__(self, one: int, *, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            OptionError("workers", -1, "it takes a whole number from 1"),
            "workers=-1 cannot be used: it takes a whole number from 1.",
        ),
        (
            UnknownOption("model", "thread", ["threads", "serial"]),
            "There is no model 'thread'. Did you mean 'threads'? Known: serial, threads.",
        ),
        (UnknownOption("model", "zzz", ["threads"]), "There is no model 'zzz'. Known: threads."),
        (
            MissingExtra("reading Parquet", "pyarrow", "parquet"),
            "reading Parquet needs pyarrow, which is not installed. Run: pip install 'plait[parquet]'",
        ),
        (ItemTimeout(1.5), "The attempt was not finished after timeout=1.5 s."),
        (
            ItemTimeout(30, "deadline", "its worker was ended"),
            "The attempt was not finished after deadline=30 s; its worker was ended.",
        ),
        (
            CannotTravel("The result of item 5", "it holds a lock", "Return plain data."),
            "The result of item 5 cannot travel between processes: it holds a lock. Return plain data.",
        ),
        (WorkerLost(17, "killed by SIGKILL", 1), "Worker 17 died: killed by SIGKILL."),
        (
            WorkerLost(17, "exit code 3", 3, hint="Try fewer workers."),
            "Worker 17 died: exit code 3; 3 workers died with this item in hand. Try fewer workers.",
        ),
        (
            StartFailed("fork: out of memory"),
            'No worker could be started: fork: out of memory. model="threads" runs without worker processes.',
        ),
        (
            RunCancelled("Ctrl-C"),
            "The run was cancelled (Ctrl-C); results that were not delivered yet are gone.",
        ),
        (JournalError("run.db", "it is damaged", "Move it away."), "Journal run.db: it is damaged. Move it away."),
        (
            JournalBusy("run.db", 17),
            (
                "Journal run.db: the run of process 17 is using it. "
                "Wait until that run has ended, or give this run a journal of its own."
            ),
        ),
        (
            JournalChanged("run.db", "clean", "its function's code is another"),
            (
                "Journal run.db: stage 'clean' has changed since its results were recorded: its function's code is "
                "another. They are replayed all the same. To run every item again, delete the file (`plait map` has "
                "--restart for that)."
            ),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_text_says_what_happened_and_what_to_do(error, text):
    assert str(error) == text


def test_a_lost_worker_shows_its_stack_last():
    assert str(WorkerLost(17, "SIGSEGV", 1, stack="  in f")).endswith("\nIts Python stack when it died:\n  in f")


def test_too_many_failures_says_where_they_are():
    text = str(TooManyFailures(6, 10, 0.5))
    assert text.startswith("6 of 10 finished items failed, more than max_failures=0.5 allows")
    assert "run.failures" in text


def test_a_run_used_twice_names_the_use_and_the_way_out():
    text = str(RunUsedTwice("await"))
    assert "now by await" in text
    assert "plait.map" in text


def test_unknown_option_lists_what_is_known_in_order():
    assert UnknownOption("style", "x", ("threads", "loop")).known == ["loop", "threads"]


@pytest.mark.parametrize(
    ("name", "says"),
    [("thread", " Did you mean 'threads'?"), ("Serial", " Did you mean 'serial'?"), ("", ""), ("nothing like it", "")],
)
def test_nearest(name, says):
    assert nearest(name, ["threads", "serial"]) == says
