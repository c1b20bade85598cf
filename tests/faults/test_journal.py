"""A journal whose process is killed, whose disk is full, whose file is locked: what was recorded is there, always."""

import os
import random
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plait.errors import JournalBusy, JournalError
from plait.journal import writer
from plait.journal.book import Book
from plait.journal.journal import Journal

BEGIN = """
    import os, struct, sys, time
    from plait.journal.book import Book
    from plait.journal.journal import Journal

    path = sys.argv[1]
    def opened():
        return Book.open(Journal(path)).stage("f", 0, "", "")
    def result(number):
        return [number, "x" * (number % 3000)]
"""
PUT_UNTIL_KILLED = """
    log, pause = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), float(sys.argv[3])
    print("opening", flush=True)
    pages, number = opened(), 0
    while pages.take(pages.key(number)) == (True, result(number)):
        number += 1
    print("putting", flush=True)
    while True:
        pages.put(pages.key(number), result(number))
        os.write(log, struct.pack("<Qq", number, time.monotonic_ns()))
        number += 1
        time.sleep(pause)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def begun(path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process with the journal; it is killed at the end at the latest."""
    running: list[subprocess.Popen[str]] = []

    def start(script: str, *args: object) -> subprocess.Popen[str]:
        text = textwrap.dedent(BEGIN) + textwrap.dedent(script)
        command = [sys.executable, "-c", text, str(path), *map(str, args)]
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for one in running:
        one.kill()
        one.communicate()


def result(number):
    return [number, "x" * (number % 3000)]


def held(path, most=10**9):
    """How many results are there, from the first on; none may be there without those before it."""
    with Book.open(Journal(path)) as book:
        pages = book.stage("f", 0, "", "")
        number = 0
        while number < most and pages.take(pages.key(number)) == (True, result(number)):
            number += 1
        assert pages._replay.left == 0 or number == most
    assert_whole(path)
    return number


def assert_whole(path):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def filled(pages, first=0, most=1_000_000):
    """Puts results until the journal fails; the error, and how many were taken."""
    for number in range(first, most):
        try:
            pages.put(pages.key(number), result(number))
        except JournalError as error:
            return error, number
    raise AssertionError("it never failed")


class TestKilled:
    @pytest.mark.timeout(240)
    def test_thirty_times_while_it_puts(self, path, tmp_path, begun):
        """Each run goes on where the last one was killed, in the state in which it was left."""
        log, dice, lost, before = tmp_path / "log", random.Random(), [], 0
        for turn in range(30):
            process = begun(PUT_UNTIL_KILLED, log, 0 if turn % 5 == 0 else 0.0002)
            assert process.stdout.readline() == "opening\n"
            assert process.stdout.readline() == "putting\n"
            time.sleep(dice.uniform(0.0, 0.06))  # when it dies is the point
            killed = time.monotonic_ns()
            process.kill()
            process.wait()
            there = held(path)
            times = [when for number, when in struct.iter_unpack("<Qq", log.read_bytes()) if number >= there]
            lost.append((killed - times[0]) / 1e6 if times else 0.0)
            assert there >= before
            before = there
        assert before > 100
        lost.sort()
        assert lost[-1] < 1_000, f"milliseconds lost: {lost}"
        assert lost[-6] < 50, f"milliseconds lost, more often than a busy machine explains: {lost}"

    def test_while_it_opens(self, path, tmp_path, begun):
        dice = random.Random()
        for _ in range(15):
            process = begun(PUT_UNTIL_KILLED, tmp_path / "log", 1)
            assert process.stdout.readline() == "opening\n"
            time.sleep(dice.uniform(0.0, 0.01))
            process.kill()
            process.wait()
            assert held(path) <= 10
            if dice.random() < 0.7:
                path.unlink()

    def test_it_leaves_no_lock(self, path, tmp_path, begun):
        process = begun(PUT_UNTIL_KILLED, tmp_path / "log", 1)
        assert process.stdout.readline() + process.stdout.readline() == "opening\nputting\n"
        with pytest.raises(JournalBusy, match=f"the run of process {process.pid} is using it") as caught:
            Book.open(Journal(path))
        assert caught.value.pid == process.pid
        process.kill()
        process.wait()
        Book.open(Journal(path)).close()

    def test_nor_do_the_children_that_outlive_it(self, path, begun):
        process = begun(
            """
            pages = opened()
            pages.put(pages.key(0), result(0))
            child = os.fork()
            if not child:
                print(os.getpid(), flush=True)  # said by the child: it has let go of the lock by then
                sys.stdin.read()
                os._exit(0)
            time.sleep(60)
            """
        )
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        try:
            os.kill(child, 0)  # it is still there
            assert held(path) <= 1
        finally:
            os.kill(child, signal.SIGKILL)


class TestForked:
    def test_a_child_is_told_and_harms_nothing(self, path, begun):
        process = begun(
            """
            import gc
            from plait.errors import JournalError
            book = Book.open(Journal(path))
            pages = book.stage("f", 0, "", "")
            for number in range(3000):
                pages.put(pages.key(number), result(number))
                if number % 300 == 7 and not os.fork():  # while the writer is at work
                    for use in (lambda: pages.put(pages.key(1), 1), lambda: pages.take(pages.key(1)),
                                lambda: book.stage("g", 1, "", "")):
                        try:
                            use()
                        except JournalError as error:
                            assert "belongs to the process that this one was forked from" in str(error)
                        else:
                            os._exit(1)
                    book.close()
                    del book, pages, use
                    gc.collect()
                    sys.exit(0)
            while True:
                try:
                    assert os.wait()[1] == 0
                except ChildProcessError:
                    break
            book.close()
            print("done", flush=True)
            """
        )
        assert process.stdout.readline() == "done\n"
        assert process.wait(10) == 0
        assert held(path) == 3000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class TestFull:
    def test_a_full_disk_is_said_and_what_was_recorded_is_kept(self, small_disk):
        path = small_disk / "run.db"
        book = Book.open(Journal(path))
        pages = book.stage("f", 0, "", "")
        error, _ = filled(pages)
        assert "the disk that it is on is full. Free some space and run again" in str(error)
        for use in (lambda: pages.take(pages.key(0)), lambda: pages.put(pages.key(0), 0), book.close):
            with pytest.raises(JournalError, match="is full"):
                use()
        book.close()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        there = held(path)
        assert there > 500
        with Book.open(Journal(path)) as book:
            pages = book.stage("f", 0, "", "")
            for number in range(there, there + 1000):
                pages.put(pages.key(number), result(number))
        assert held(path) == there + 1000

    def test_a_disk_without_room_for_a_journal(self, small_disk):
        (small_disk / "other").write_bytes(b"x" * ((3 << 20) - 8192))
        with pytest.raises(JournalError, match="is full"):
            Book.open(Journal(small_disk / "run.db"))
        (small_disk / "other").unlink()
        assert held(small_disk / "run.db") == 0

    def test_a_limit_on_the_size_of_files(self, path, begun):
        process = begun(
            """
            import resource
            from plait.errors import JournalError
            resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, resource.RLIM_INFINITY))
            pages, number = opened(), 0
            try:
                while True:
                    pages.put(pages.key(number), result(number))
                    number += 1
            except JournalError as error:
                print(error, flush=True)
            """
        )
        assert "cannot be read or written (disk I/O error). See whether its disk works" in process.stdout.readline()
        assert process.wait(10) == 0
        assert held(path) > 100


class TestReadOnly:
    @pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
    @pytest.mark.parametrize("what", ["file", "folder", "new file"])
    def test_what_cannot_be_written_is_said(self, what):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.db"
            if what != "new file":
                Book.open(Journal(path)).close()
                path.chmod(0o444 if what == "file" else 0o666)
            os.chmod(folder, 0o777 if what == "file" else 0o555)
            script = """
                from plait.errors import JournalError
                if os.geteuid() == 0:  # who may write everything
                    os.setuid(65534)
                try:
                    opened()
                except JournalError as error:
                    print(error)
            """
            command = [sys.executable, "-c", textwrap.dedent(BEGIN) + textwrap.dedent(script), str(path)]
            said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
            os.chmod(folder, stat.S_IRWXU)
            named = "it" if what == "file" else f"the folder {folder}"
            assert said == (
                f"Journal {path}: {named} cannot be written. Name a file in a folder that you may write to.\n"
            )


class TestLocked:
    @pytest.fixture
    def other(self, path: Path) -> Iterator[sqlite3.Connection]:
        """Another program that has the journal open."""
        Book.open(Journal(path)).close()
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
            yield connection

    def test_a_lock_for_a_while_costs_nothing(self, path, other):
        with Book.open(Journal(path)) as book:
            pages = book.stage("f", 0, "", "")
            other.execute("BEGIN IMMEDIATE")
            for number in range(100):
                pages.put(pages.key(number), result(number))
            assert other.execute("SELECT count(*) FROM groups").fetchone() == (0,)
            other.execute("COMMIT")
        assert held(path) == 100

    def test_a_lock_for_too_long_is_said(self, path, other, monkeypatch):
        monkeypatch.setattr(writer, "PATIENCE", 0.1)
        with Book.open(Journal(path)) as book:
            pages = book.stage("f", 0, "", "")
            pages.put(pages.key(0), result(0))
        book = Book.open(Journal(path))
        pages = book.stage("f", 0, "", "")
        other.execute("BEGIN IMMEDIATE")
        error, _ = filled(pages, first=1)
        assert "another program keeps it locked. Close what has it open" in str(error)
        with pytest.raises(JournalError, match="locked"):
            book.close()
        other.execute("COMMIT")
        assert held(path) == 1

    def test_a_lock_at_the_end_is_waited_for_briefly(self, path, other):
        book = Book.open(Journal(path))
        pages = book.stage("f", 0, "", "")
        other.execute("BEGIN IMMEDIATE")
        pages.put(pages.key(0), result(0))
        begun = time.monotonic()
        with pytest.raises(JournalError, match="locked"):
            book.close()
        assert time.monotonic() - begun < 2.5
        other.execute("COMMIT")
        assert held(path) == 0

    def test_what_waits_is_bounded(self, path, other, monkeypatch, until):
        monkeypatch.setattr(writer, "MOST", 50)
        book = Book.open(Journal(path))
        pages = book.stage("f", 0, "", "")
        other.execute("BEGIN IMMEDIATE")
        put = []

        def work():
            for number in range(500):
                pages.put(pages.key(number), result(number))
                put.append(number)

        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: len(put) == 50)
        thread.join(0.1)
        assert len(put) == 50
        other.execute("COMMIT")
        thread.join()
        book.close()
        assert held(path) == 500

    def test_a_reader_of_it_only_costs_room(self, path, other):
        """While somebody reads, the WAL cannot begin anew; nothing else happens."""
        with Book.open(Journal(path)) as book:
            pages = book.stage("f", 0, "", "")
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM groups").fetchall()
            for number in range(5_000):
                pages.put(pages.key(number), result(number))
            assert other.execute("SELECT count(*) FROM groups").fetchone() == (0,)
            other.execute("COMMIT")
        assert held(path) == 5_000


def test_what_is_not_in_the_file_yet_stays_bounded(path):
    longest = 0
    with Book.open(Journal(path)) as book:
        pages = book.stage("f", 0, "", "")
        for number in range(20_000):
            pages.put(pages.key(number), result(number))
            if number % 100 == 0:
                longest = max(longest, os.path.getsize(f"{path}-wal"))
    assert os.path.getsize(path) > 28 << 20
    assert longest < 24 << 20, f"the WAL grew to {longest >> 20} MB"
    assert held(path) == 20_000
