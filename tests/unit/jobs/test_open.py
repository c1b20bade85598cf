"""Which URLs name a store."""

import os
from pathlib import Path

import pytest

from plait.errors import OptionError
from plait.jobs.memory.store import MemoryStore
from plait.jobs.open import checked_url, open_store, shared_store
from plait.jobs.sqlite.store import SqliteStore


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert checked_url("sqlite:///jobs.db") == f"sqlite:///{tmp_path}/jobs.db"
    assert checked_url("sqlite:///a/../jobs.db") == f"sqlite:///{tmp_path}/jobs.db"
    assert checked_url("sqlite:////var/jobs.db") == "sqlite:////var/jobs.db"
    assert checked_url(checked_url("sqlite:///jobs.db")) == checked_url("sqlite:///jobs.db")


@pytest.mark.parametrize(
    "url", ["postgresql://me@there/jobs?sslmode=require", "postgres:///jobs", "memory://", "memory://x"]
)
def test_others_stay_as_they_are(url: str):
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "jobs.db",
        "sqlite://jobs.db",
        "sqlite:///",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://",
        "redis://x",
        None,
        3,
    ],
)
def test_what_names_no_store_is_refused_with_what_does(url: object):
    with pytest.raises(OptionError, match=r"sqlite:///FILE.*postgresql://.*memory://"):
        checked_url(url)


def test_a_file_url_has_no_parameters():
    with pytest.raises(OptionError, match=r"x\.db\?mode=ro' cannot be used: a SQLite file's URL has no parameters"):
        checked_url("sqlite:///x.db?mode=ro")


def test_a_file_url_with_too_few_slashes_is_told_how_many():
    with pytest.raises(OptionError, match="three slashes"):
        checked_url("sqlite://jobs.db")


@pytest.mark.parametrize(
    ("url", "driver", "extra"), [("sqlite:///{}/x.db", "apsw", "jobs"), ("postgresql:///x", "psycopg", "postgres")]
)
def test_a_driver_that_is_missing_is_asked_for_by_its_extra(python, tmp_path: Path, url: str, driver: str, extra: str):
    done = python(f"""
        import sys
        sys.modules["{driver}"] = None
        import plait
        jobs = plait.Jobs("{url.format(tmp_path)}")
        try:
            jobs.store
        except plait.MissingExtra as error:
            print(error)
    """)
    assert f"needs {driver}, which is not installed. Run: pip install 'plait[{extra}]'" in done.stdout, done.stderr


def test_each_url_opens_its_kind_of_store(tmp_path: Path):
    store = open_store(f"sqlite:///{tmp_path}/jobs.db")
    assert isinstance(store, SqliteStore)
    assert store.path == f"{tmp_path}/jobs.db"
    store.close()
    assert isinstance(open_store("memory://"), MemoryStore)


def test_a_process_shares_one_store_for_each_url(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/jobs.db"
    store = shared_store(url)
    assert shared_store(url) is store
    assert shared_store(f"sqlite:///{tmp_path}/other.db") is not store
    child = os.fork()
    if child == 0:
        os._exit(0 if shared_store(url) is not store else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "a forked child opens its own"
    shared_store(f"sqlite:///{tmp_path}/other.db").close()
    store.close()
