import os
import sys

import pytest

import plait
from plait.cli.flags import FlagError
from plait.cli.journaling import Journaling
from plait.errors import JournalBusy, JournalError


@pytest.fixture
def said(tmp_path, monkeypatch):
    """What the command line says of a journal beside `out.jsonl`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def make(*, journal=None, resume=False, restart=False, output="out.jsonl"):
        return Journaling(journal=journal, resume=resume, restart=restart, codec="msgpack", output=output)

    return make


def record(path, items=(1, 2)):
    assert list(plait.map(abs, items, model="serial", journal=path)) == list(items)


def test_where_it_lies(said):
    assert said().path is None
    assert said().option() is None
    assert said(resume=True).path == "out.jsonl.journal"
    assert said(restart=True).option() == plait.Journal("out.jsonl.journal")
    assert said(resume=True, journal="mine.db").path == "mine.db"
    assert said(journal="mine.db", output="-").path == "mine.db"
    assert said(journal="~/mine.db").path == os.path.expanduser("~/mine.db")


@pytest.mark.parametrize("output", ["-", "/dev/null", None])
def test_a_pipe_has_no_place_beside_it(said, output):
    with pytest.raises(FlagError, match="--restart has no file to keep the journal beside"):
        _ = said(restart=True, output=output).path


def test_restart_throws_it_away(said, tmp_path):
    record("out.jsonl.journal")
    said(resume=True).ready()
    assert (tmp_path / "out.jsonl.journal").exists()
    said(restart=True).ready()
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_all_is_done_unless_it_was_named(said, tmp_path):
    record("out.jsonl.journal")
    record("mine.db")
    said(resume=True).completed()
    said(resume=True, journal="mine.db").completed()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.db", "mine.db.lock"]


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_none_or_in_use_is_not_touched(said, tmp_path, restart):
    (tmp_path / "out.jsonl.journal").write_text("my diary")
    with pytest.raises(JournalError, match="not a journal of Plait"):
        said(resume=True, restart=restart).ready()
    assert (tmp_path / "out.jsonl.journal").read_text() == "my diary"
    results = iter(plait.map(abs, iter(int, 1), journal="mine.db", buffer=1))
    next(results)
    try:
        with pytest.raises(JournalBusy):
            said(journal="mine.db", restart=restart).ready()
    finally:
        results.close()


def test_how_to_go_on(said, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/plait", "map", "a.py:f", "my file", "--restart"])
    assert said(restart=True).go_on("my file") == "Go on with: plait map a.py:f 'my file' --resume"
    assert said(restart=True, journal="a.db").go_on("-") == "Go on with the same input and: plait map a.py:f 'my file'"
    assert said().go_on(None).startswith("It kept no journal")
