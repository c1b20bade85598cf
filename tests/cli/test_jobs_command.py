"""`plait jobs`: what operators see, and what they do."""

import io
import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

import plait
from plait.cli.job_words import list_of
from plait.jobs.protocol import Event, State
from plait.jobs.records import Outcome, Snapshot, Want, WorkerInfo
from tests.contract.terminal import Terminal

pytestmark = pytest.mark.timeout(300)  # real processes, on machines that have other things to do


def filled(url):
    """A queue with jobs in every state; their ids by state."""
    with plait.Jobs(url) as jobs:
        double = jobs.task(name="double")(lambda n: 2 * n)
        fail = jobs.task(name="fail")(lambda n, why="no": 1 / 0)
        ids = {
            "failed": fail.enqueue(1, why="\x1b[31mnever\nmind").id,
            "done": double.enqueue(21).id,
            "cancelled": double.enqueue(3).id,
        }
        jobs.job(ids["cancelled"]).cancel()
        worker = jobs.store.register(WorkerInfo(host="far", pid=17, queues=("media", "default"), tasks=("double",)))
        for one in jobs.store.turn(worker, wants=[Want("double", 9), Want("fail", 9)]).claimed:
            said = {"error": "ZeroDivisionError: \x1b[2J!", "traceback": "Traceback\n  in \x1b[2J f\n"}
            event = Event.FAIL if one.task == "fail" else Event.SUCCEED
            outcome = Outcome(
                id=one.id, token=one.token, event=event, result=b"\x2a", **(said if one.task == "fail" else {})
            )
            jobs.store.turn(worker, [outcome])
        ids["running"] = double.with_(key="tenant-7").enqueue(4).id
        (held,) = jobs.store.turn(worker, wants=[Want("double", 1)]).claimed
        jobs.store.note([plait.jobs.records.Note(held.id, held.token, 0.4, "half\x07 of it")])
        ids["waiting"] = double.with_(queue="media", priority=5).enqueue(5).id
        ids["scheduled"] = double.with_(delay=7200).enqueue(6).id
    return ids


def listed(said):
    """The ids of JSON lines."""
    return [json.loads(line)["id"] for line in said.splitlines()]


def test_jobs_are_listed_and_filtered(shell, store):
    ids = filled(store)
    said = shell.said("jobs", "ls", store)
    assert max(map(len, said.splitlines())) <= 80
    assert [line.split()[0] for line in said.splitlines() if line.strip()[:1].isdecimal()] == [
        str(job) for job in sorted(ids.values(), reverse=True)
    ]
    for words in ("40% half", "ZeroDivisionError", "in 119 min", "cancelled", "media"):
        assert words in said
    assert "\x1b" not in said
    assert "\x07" not in said
    every = listed(shell.said("jobs", "ls", store, "--json"))
    assert every == sorted(ids.values(), reverse=True)
    assert listed(shell.said("jobs", "ls", store, "--json", "-s", "done", "-s", "failed")) == [
        ids["done"],
        ids["failed"],
    ]
    assert listed(shell.said("jobs", "ls", store, "--json", "--queue", "media")) == [ids["waiting"]]
    assert listed(shell.said("jobs", "ls", store, "--json", "--key", "tenant-7")) == [ids["running"]]
    assert listed(shell.said("jobs", "ls", store, "--json", "--task", "fail")) == [ids["failed"]]
    assert listed(shell.said("jobs", "ls", store, "--json", "-n", 2, "--before", every[1])) == every[2:4]
    assert f"There may be more: --before {every[1]}" in shell.said("jobs", "ls", store, "-n", 2)
    assert listed(shell.said("jobs", "dead", store, "--json")) == [ids["failed"]]
    assert "There are no such jobs." in shell.said("jobs", "ls", store, "--task", "nothing")


@pytest.mark.parametrize("width", [72, 80, 120])
def test_a_long_error_leaves_room_for_what_it_is_an_error_of(width):
    """It is the one thing in a list that may be cut short."""
    known = {"queue": "default", "state": State.FAILED, "attempt": 2, "error": "ValueError: " + "far too long " * 40}
    said = io.StringIO()
    console = Console(file=said, width=width)
    console.print(list_of([Snapshot(id=12345, task="thumbnail", **known)], now=90.0))
    lines = said.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    (line,) = [line for line in lines if "12345" in line]
    assert line.split()[:5] == ["12345", "thumbnail", "default", "failed", "2"]
    assert "Va" in line
    assert "…" in line


def test_a_job_is_shown_whole(shell, store):
    ids = filled(store)
    said = shell.said("jobs", "show", store, ids["failed"])
    for words in (
        "fail(n=1, why='\\x1b[31mnever\\nmind')",
        "failed",
        "ZeroDivisionError",
        "in \N{REPLACEMENT CHARACTER}[2J f",
        " ago)",
    ):
        assert words in said
    assert "\x1b" not in said
    shown = json.loads(shell.said("jobs", "show", store, ids["done"], "--json"))
    assert (shown["args"], shown["result"], shown["state"], shown["attempt"]) == (None, 42, "done", 1)
    assert "in 119 min" in shell.said("jobs", "show", store, ids["scheduled"])
    assert "is not known" in shell.refused("jobs", "show", store, 999, code=1)


def test_jobs_are_counted(shell, store):
    filled(store)
    said = shell.said("jobs", "stats", store)
    assert max(map(len, said.splitlines())) <= 80
    for words in ("1 waiting", "1 scheduled, 1 running, 1 done, 1 cancelled", "17 on far", "s left", "media, default"):
        assert words in said
    counted = json.loads(shell.said("jobs", "stats", store, "--json"))
    assert {(view["queue"], view["task"]): view["counts"] for view in counted["queues"]} == {
        ("default", "double"): {"scheduled": 1, "running": 1, "done": 1, "cancelled": 1},
        ("default", "fail"): {"failed": 1},
        ("media", "double"): {"waiting": 1},
    }
    assert [(view["info"]["pid"], view["running"]) for view in counted["workers"]] == [(17, 1)]


def test_jobs_run_again_and_are_cancelled_by_id(shell, store):
    ids = filled(store)
    assert "Run again: 2." in shell.said("jobs", "retry", store, ids["failed"], ids["cancelled"])
    assert "is done" in shell.refused("jobs", "retry", store, ids["done"], code=1)
    assert "is not known" in shell.refused("jobs", "retry", store, 999, code=1)
    said = shell.said("jobs", "cancel", store, ids["waiting"], ids["running"])
    assert f"Job {ids['waiting']} is cancelled." in said
    assert f"Job {ids['running']} is being stopped." in said
    assert shell.run("jobs", "cancel", store, 999).returncode == 1
    assert shell.run("jobs", "cancel", store, ids["done"]).returncode == 1


def test_all_that_fit_are_meant_only_with_a_yes(shell, store):
    filled(store)
    with plait.Jobs(store) as jobs:
        jobs.task(name="double")(lambda n: n).enqueue_many([(n,) for n in range(2500)])
    assert "say --yes" in shell.refused("jobs", "cancel", store, "--all", "--task", "double")
    assert "about 2,503 jobs" in shell.refused("jobs", "cancel", store, "--all")
    said = shell.said("jobs", "cancel", store, "--all", "--state", "waiting", "--queue", "default", "--yes")
    assert said == "Cancelled, or being stopped: 2,500.\n"
    assert shell.said("jobs", "retry", store, "--all", "--state", "cancelled", "--yes") == "Run again: 2,501.\n"
    assert shell.said("jobs", "retry", store, "--all", "-y") == "Run again: 1.\n"
    assert shell.said("jobs", "retry", store, "--all") == "There are no such jobs.\n"


def test_on_a_terminal_it_asks(shell, store):
    filled(store)
    command = [sys.executable, "-m", "plait", "jobs", "cancel", store, "--all", "--state", "waiting"]
    for answer, left in ((b"n\n", 1), (b"y\n", 0)):
        terminal = Terminal(shell.folder, *command)
        terminal.read_until(b"Cancel 1 jobs?")
        os.write(terminal.handle, answer)
        assert terminal.ended() == (2 if left else 0)
        assert len(listed(shell.said("jobs", "ls", store, "-s", "waiting", "--json"))) == left


def test_a_queue_is_paused_and_goes_on(shell, store):
    filled(store)
    shell.said("jobs", "pause", store, "media")
    assert "media (paused)" in shell.said("jobs", "stats", store)
    shell.said("jobs", "resume", store, "media")
    assert "paused" not in shell.said("jobs", "stats", store)


def test_the_queue_may_be_named_in_every_way(shell):
    filled(f"sqlite:///{shell.folder}/jobs.db")
    count = len(listed(shell.said("jobs", "ls", "app:jobs", "--json")))
    assert count == 6
    assert len(listed(shell.said("jobs", "ls", "app.py:jobs", "--json"))) == count
    assert len(listed(shell.said("jobs", "ls", "sqlite:///jobs.db", "--json"))) == count
    assert "Try sqlite:///jobs.db" in shell.refused("jobs", "ls", "jobs.db")
    shell.environment["PLAIT_JOBS"] = "sqlite:///jobs.db"
    assert len(listed(shell.said("jobs", "ls", "--json"))) == count
    assert '"id":1' in shell.said("jobs", "show", "1", "--json")
    shell.said("jobs", "pause", "media")
    assert "media (paused)" in shell.said("jobs", "stats")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("ls",), "set PLAIT_JOBS"),
        (("ls", "sqlite:///none.db"), "There is no queue: no file"),
        (("stats", "app:empty"), "There is no queue: no file"),
        (("ls", "app:inside"), "live in the process that enqueues them"),
        (("ls", "app:job"), "Did you mean 'jobs'?"),
        (("ls", "mysql://x"), "postgresql://USER@HOST/DATABASE"),
        (("ls", "sqlite:///app.py"), "is not a SQLite database"),
        (("stats", "postgresql://u:secret@127.0.0.1:1/db"), "cannot be reached"),
        (("show", "app:jobs", "x"), "is not the id of a job"),
        (("show", "app:jobs"), "Name one job"),
        (("cancel", "app:jobs"), "say --all"),
        (("cancel", "app:jobs", "1", "--all"), "or say --all"),
        (("retry", "app:jobs", "1", "--task", "x"), "Filters go with --all"),
        (("pause", "app:jobs"), "Name one queue"),
        (("move", "sqlite:///none.db", "sqlite:///b.db"), "no file"),
        (("move", "nothing", "sqlite:///b.db"), "sqlite:///FILE"),
    ],
)
def test_mistakes_are_said(shell, command, words):
    said = shell.refused("jobs", *command)
    assert words in said
    assert "secret" not in said
    assert set(os.listdir(shell.folder)) - {"__pycache__"} == {"app.py"}  # looking makes no store


def test_a_reader_that_goes_away_is_no_error(shell):
    url = f"sqlite:///{shell.folder}/jobs.db"
    with plait.Jobs(url) as jobs:
        jobs.task(name="double")(lambda n: n).enqueue_many([(n,) for n in range(9000)])
    piped = f"{sys.executable} -m plait jobs ls {url} -n 9000 --json | head -n 1"
    done = subprocess.run(["sh", "-c", piped], capture_output=True, text=True, timeout=300, check=False)
    assert listed(done.stdout) == [9000]
    assert done.stderr == ""


def test_a_queue_is_moved_and_says_so(shell, store):
    ids = filled(store)
    shell.said("jobs", "cancel", store, ids["running"])
    other = f"sqlite:///{shell.folder}/other.db"
    assert "Running jobs: 1" in shell.refused("jobs", "move", store, other, "--patience", 0)
    with plait.Jobs(store) as jobs:
        jobs.store.leave(jobs.store.workers()[0].id)
    done = shell.run("jobs", "move", store, other)
    assert done.returncode == 0, done.stderr
    assert "Moved 2 jobs that wait, and 4 that have ended." in done.stderr
    assert f"Start workers on sqlite:///{shell.folder}/other.db" in done.stderr
    assert len(listed(shell.said("jobs", "ls", other, "--json"))) == 6
    left = shell.run("jobs", "stats", store)
    assert "This queue has moved to sqlite:///" in left.stderr
    assert "has moved to" in shell.refused("jobs", "cancel", store, ids["waiting"])
    assert "has moved to" in shell.refused("jobs", "move", store, other)
    assert "has moved to" in shell.refused("work", "app:jobs")


def test_a_time_that_no_calendar_has_is_shown_all_the_same(shell, store):
    """Milliseconds that were taken for seconds."""
    with plait.Jobs(store) as jobs:
        job = jobs.task(name="double")(lambda n: 2 * n).with_(at=1_800_000_000_000.0).enqueue(1)
    assert "1800000000000 s after 1970" in shell.said("jobs", "show", store, str(job.id))
    assert "scheduled" in shell.said("jobs", "ls", store)
