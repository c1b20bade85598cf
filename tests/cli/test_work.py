"""`plait work`: what it says, and how it ends. Signals: `tests/faults/test_jobs_ends.py`."""

import contextlib
import signal
import subprocess
import sys
import threading

import msgspec
import psutil
import pytest

import plait
from plait.errors import QueueMoved
from plait.jobs.move import move
from plait.jobs.records import Draft

pytestmark = pytest.mark.timeout(300)  # real processes, on machines that have other things to do


def states(jobs):
    """How many jobs are in which state."""
    found = {}
    for view in jobs.store.queues():
        for state, count in view.counts.items():
            found[state] = found.get(state, 0) + count
    return found


def enqueue(jobs, task, count=1, **args):
    """Store jobs as the application's own code does."""
    where = "media" if task == "thumb" else "default"
    drafts = [Draft(task=task, args=msgspec.msgpack.encode(args), queue=where)] * count
    return [placed.id for placed in jobs.store.enqueue(drafts)[0]]


def test_it_runs_what_there_is_and_says_what_failed(shell, store):
    with plait.Jobs(store) as jobs:
        enqueue(jobs, "double", 3, n=1)
        enqueue(jobs, "thumb", 2, path="a")
        (job,) = enqueue(jobs, "fail", n=7)
        done = shell.run("work", "app:jobs", "--burst")
        assert done.returncode == 0, done.stderr
        first, *rest = done.stderr.splitlines()
        assert "runs fail, double, thumb, wait of " in first
        assert "queues: all" in first
        lines = [line for line in rest if f"Job {job} (fail)" in line]
        assert len(lines) == 2
        assert "WARNING" in lines[0]
        assert "attempt 1 failed, and the next comes in 0.0 s: ValueError: no 7" in lines[0]
        assert "ERROR" in lines[1]
        assert "has failed, at attempt 2: ValueError: no 7" in lines[1]
        assert "\x1b" not in done.stderr
        assert rest[-1] == "plait: Ended."
        assert done.stdout == ""
        found = states(jobs)
        assert (found["done"], found["failed"]) == (5, 1)
        assert jobs.store.workers() == []


def test_it_serves_only_its_queues_and_is_quiet_if_asked(shell):
    with plait.Jobs(f"sqlite:///{shell.folder}/jobs.db") as jobs:
        enqueue(jobs, "double", n=1)
        enqueue(jobs, "thumb", path="a")
        done = shell.run("work", "app.py:jobs", "--queues", "media, other", "--concurrency", 1, "--burst", "-q")
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
        assert (states(jobs)["done"], states(jobs)["waiting"]) == (1, 1)


def test_what_is_far_off_does_not_keep_a_burst(shell):
    with plait.Jobs(f"sqlite:///{shell.folder}/jobs.db") as jobs:
        task = jobs.task(name="double")(lambda n: n)
        task.with_(delay=7200).enqueue(1)
    done = shell.run("work", "app:jobs", "--burst")  # the schedules of the application are far off, too
    assert done.returncode == 0, done.stderr


def test_a_signal_for_all_of_its_processes_lets_what_runs_end(shell, until):
    """A service manager (systemd, as it is by default) asks each process of a service to end, not the worker alone."""
    with plait.Jobs(f"sqlite:///{shell.folder}/jobs.db") as jobs:
        (job,) = enqueue(jobs, "wait", seconds=2.0)
        worker = shell.begin("work", "app:jobs", "--grace", 120)
        until(lambda: list(shell.folder.glob("begun-*")), seconds=120, what="the job")
        worker_and_others = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        for process in worker_and_others:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
        assert worker.wait(120) == 0
        assert jobs.job(job).result(timeout=1) == "waited"
        assert len(list(shell.folder.glob("begun-*"))) == 1
        assert "died" not in shell.heard()
        _gone, alive = psutil.wait_procs(worker_and_others[1:], timeout=60)
        assert not alive


def test_it_ends_in_good_order_when_nobody_hears_it_any_more(shell, until):
    """Ctrl-C at `plait work app:jobs 2>&1 | tee log` ends `tee`, too, and first."""
    with plait.Jobs(f"sqlite:///{shell.folder}/jobs.db") as jobs:
        (job,) = enqueue(jobs, "wait", seconds=2.0)
        worker = subprocess.Popen(
            [sys.executable, "-m", "plait", "work", "app:jobs", "--grace", "120"],
            cwd=shell.folder,
            env=shell.environment,
            stderr=subprocess.PIPE,
        )
        with contextlib.closing(worker.stderr):
            until(lambda: list(shell.folder.glob("begun-*")), seconds=120, what="the job")
        worker.send_signal(signal.SIGINT)
        assert worker.wait(120) == 0
        assert jobs.job(job).result(timeout=1) == "waited"
        assert jobs.store.workers() == []


def test_a_live_queue_moves_and_nothing_is_lost_or_done_twice(shell, until):
    url, other = (f"sqlite:///{shell.folder}/{name}.db" for name in ("jobs", "other"))
    told, wanted = threading.Event(), []

    def enqueue_on_and_on(at):
        """Enqueues where the queue was, until told where it is now; then there."""
        for to in (url, other):
            with plait.Jobs(to) as jobs:
                for n in range(10 if to == other else 1_000_000):
                    try:
                        enqueue(jobs, "thumb", path=f"{at}/{to[-8:]}/{n}")
                    except QueueMoved as error:
                        if error.done:
                            told.set()
                            break
                        continue
                    wanted.append(f"{at}/{to[-8:]}/{n}")
                    told.wait(0.005)  # what it enqueues has to be run

    with plait.Jobs(url) as jobs, plait.Jobs(other) as there:
        enqueuers = [threading.Thread(target=enqueue_on_and_on, args=(at,)) for at in range(2)]
        worker = shell.begin("work", "app:jobs")
        for enqueuer in enqueuers:
            enqueuer.start()
        until(lambda: (shell.folder / "ran").exists(), seconds=240, what="the first job")
        enqueue(jobs, "double", n=1)
        move(url, other, patience=240)
        for enqueuer in enqueuers:
            enqueuer.join(240)
        assert told.is_set()
        assert worker.wait(240) == 2
        assert f"This queue has moved to {other}. Start workers there." in shell.heard()
        shell.environment["APP_URL"] = other
        assert shell.run("work", "app:jobs", "--burst").returncode == 0
        assert states(there) == {"done": len(wanted) + 1}
    assert sorted((shell.folder / "ran").read_text().split()) == sorted(wanted)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nope:jobs", "there is no module 'nope' here"),
        ("app:job", "Did you mean 'jobs'?"),
        ("app.py", "Try app.py:"),
        ("app:double", "it is a JobTask, not a plait.Jobs"),
        ("app:wait", "not a plait.Jobs"),
        ("app:empty", "it has no tasks"),
        ("app:inside", "No other can run them"),
        ("sqlite:///jobs.db", "a worker needs the code of its tasks"),
    ],
)
def test_a_wrong_target_is_said(shell, target, words):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert words in shell.refused("work", target)
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def test_a_store_that_cannot_be_used_is_said(shell):
    shell.environment["APP_URL"] = "postgresql://u:secret@127.0.0.1:1/db"
    said = shell.refused("work", "app:jobs")
    assert "127.0.0.1:1/db cannot be reached" in said
    assert "secret" not in said
    (shell.folder / "wrong.db").write_text("no database " * 100)
    shell.environment["APP_URL"] = "sqlite:///wrong.db"
    assert "is not a SQLite database" in shell.refused("work", "app:jobs")


RUNS = """
import plait
jobs = plait.Jobs("sqlite:///jobs.db")

@jobs.task
def double(n: int) -> int:
    return 2 * n

with jobs.worker():
    print(double.enqueue(1).result())
"""


@pytest.mark.parametrize("command", [("work", "runs_app.py:jobs"), ("jobs", "ls", "runs_app:jobs")])
def test_a_module_that_starts_a_worker_when_it_is_imported_is_refused(shell, command):
    (shell.folder / "runs_app.py").write_text(RUNS)
    said = shell.refused(*command)
    assert 'under: if __name__ == "__main__":' in said
    assert "runs_app.py, line 9" in said
