"""How the end of a worker is told."""

import os
import signal

import pytest

from plait.places.processes.remote import told


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "killed together with its starter"),
        (0, "exited with code 0"),
        (3 << 8, "exited with code 3"),
        (int(signal.SIGKILL), "killed by SIGKILL"),
        (int(signal.SIGSEGV) | 0x80, "killed by SIGSEGV"),
        (40, "killed by signal 40"),
    ],
)
def test_a_wait_status_in_words(status, words):
    assert told(status) == words


def test_a_real_one():
    pid = os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", "kill -TERM $$")
    assert told(os.waitpid(pid, 0)[1]) == "killed by SIGTERM"
