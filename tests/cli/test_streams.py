"""Where what `plait jobs` prints goes to: nowhere, to a full disk, to one who reads no more."""

import subprocess
import sys

import pytest

import plait

pytestmark = pytest.mark.timeout(300)  # real processes, on machines that have other things to do


def piped(shell, command):
    """What a shell does with `plait COMMAND`: its exit code, and what it says on standard error."""
    line = f"{sys.executable} -m plait {command}"
    done = subprocess.run(["sh", "-c", line], cwd=shell.folder, env=shell.environment, capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["jobs ls", "jobs ls --json", "jobs stats", "jobs show 1", "schedule ls"])
def test_what_cannot_be_printed_is_no_fault_of_the_queue(shell, command):
    with plait.Jobs(f"sqlite:///{shell.folder}/jobs.db") as jobs:
        jobs.task(name="double")(lambda n: n).enqueue(1)
    words = command.split()
    line = " ".join([*words[:2], "sqlite:///jobs.db", *words[2:]])
    assert piped(shell, f"{line} >&-") == (0, "")
    assert piped(shell, f"{line} >/dev/full") == (2, "plait: standard output: No space left on device.\n")


def test_who_is_not_heard_does_it_all_the_same(shell):
    with plait.Jobs(f"sqlite:///{shell.folder}/jobs.db") as jobs:
        job = jobs.task(name="double")(lambda n: n).enqueue(1)
        assert piped(shell, "jobs cancel sqlite:///jobs.db 1 >&-") == (0, "")
        assert job.state == "cancelled"
