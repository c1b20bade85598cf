import pytest

from plait.cli.flags import in_flags
from plait.errors import JournalChanged, TooManyFailures
from plait.journal.changes import changed_part


def test_what_python_says_is_said_in_flags():
    assert in_flags(TooManyFailures(2, 10, 1)).endswith("max_failures=1 allows; the run was ended.")
    assert in_flags(JournalChanged("a.db", "f", "its code")).endswith("To run every item again, give --restart.")
    assert in_flags("4 failures: see run.failures.\nIn all: 3") == "4 failures.\nIn all: 3"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "Return a list, or pass journal=plait.Journal('o.db', codec='pickle').",
            "Return a list, or give --journal-codec pickle --restart.",
        ),
        (
            "Pass journal=plait.Journal('o.db', codec='json'), or name another file.",
            "Give --journal-codec json, or begin anew with --restart.",
        ),
        ("It was not touched: name another file.", "It was not touched: name another file."),
    ],
)
def test_codecs(said, expected):
    assert in_flags(said) == expected


def test_other_words_stay():
    assert in_flags(changed_part((1,), "json")) == str(changed_part((1,), "json"))
