"""`plait map`, as a shell runs it: every format, every exit code, every way to end early."""

import csv
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plait.surface import read, write
from tests.contract.terminal import Terminal

FUNCTIONS = """
import os, re, sys, time
from pathlib import Path

def same(item):
    return item

def length(line):
    return {"line": line, "length": len(line)}

def picky(line):
    if line.endswith("7"):
        raise ValueError(f"no sevens: {line}")
    return int(line)

def odd_result(line):
    return object() if line == "3" else line

def talkative(line):
    print("working on", line)
    os.write(1, b"from below\\n")
    return line

def size(path):
    return {"name": os.path.basename(path), "bytes": os.path.getsize(path)}

def total(row):
    return {"total": int(row["a"]) + int(row["b"])}

def slow(line):
    time.sleep(0.01)
    return line

def mute(line):
    try:
        time.sleep(0.01)
    except:
        pass
    return line

def noted(line):
    time.sleep(0.002)
    with open("ran", "a") as file:  # one write: lines of several workers do not mix
        file.write(line + "\\n")
    return int(line)

def noted_but_picky(line):
    noted(line)
    if line.endswith("7") and not Path("mended").exists():
        raise ValueError(f"no sevens: {line}")
    return int(line)

def pair(line):
    return line, len(line)

def timed(row):
    began = time.time()
    time.sleep(0.02)
    return {"host": row["host"], "began": began, "ended": time.time()}

def host(row):
    return row["host"]

DIGITS = re.compile("[0-9]+")

class Slotted:
    __slots__ = ("plus",)

    def __init__(self, plus):
        self.plus = plus

    def add(self, line):
        return int(line) + self.plus

by_two = Slotted(2)

async def later(line):
    import asyncio
    await asyncio.sleep(0)
    return line.upper()
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work.py").write_text(FUNCTIONS)
    (tmp_path / "in.txt").write_text("".join(f"{n}\n" for n in range(20)))
    return tmp_path


@pytest.fixture
def plait_map(folder):
    """Runs `python -m plait map ...` in the folder; status and output come back."""

    def run(*args, text=None, **options):
        command = [sys.executable, "-m", "plait", "map", *map(str, args)]
        return subprocess.run(
            command, cwd=folder, input=text, capture_output=True, text=True, timeout=50, check=False, **options
        )

    return run


def values(text):
    return [json.loads(line) for line in text.splitlines()]


class TestFormats:
    def test_lines_to_standard_output(self, plait_map):
        done = plait_map("work.py:length", "in.txt")
        assert (done.returncode, values(done.stdout)[:2]) == (
            0,
            [{"line": "0", "length": 1}, {"line": "1", "length": 1}],
        )
        assert len(values(done.stdout)) == 20
        assert done.stderr.strip(), "the report in words is missing"

    def test_module_and_standard_input(self, plait_map):
        done = plait_map("work:later", "-", "--quiet", text="a\nb\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, '"A"\n"B"\n', "")

    def test_jsonl_from_standard_input(self, plait_map):
        done = plait_map("work:same", "-", "--input-format", "jsonl", text='{"a": [1, null]}\n')
        assert (done.returncode, values(done.stdout)) == (0, [{"a": [1, None]}])

    def test_csv_to_csv(self, plait_map, folder):
        (folder / "in.csv").write_text("a,b\n1,2\n3,4\n")
        assert plait_map("work.py:total", "in.csv", "-o", "out.csv").returncode == 0
        with open(folder / "out.csv", newline="") as stream:
            assert list(csv.reader(stream)) == [["total"], ["3"], ["7"]]

    def test_parquet_to_parquet(self, plait_map, folder):
        pytest.importorskip("pyarrow")
        with write.parquet(folder / "in.parquet") as out:
            for n in range(1000):
                out.write({"a": n, "b": 1})
        assert plait_map("work.py:total", "in.parquet", "-o", "out.parquet").returncode == 0
        assert [row["total"] for row in read.parquet(folder / "out.parquet")] == list(range(1, 1001))

    def test_compressed_in_and_out(self, plait_map, folder):
        (folder / "in.jsonl.gz").write_bytes(gzip.compress(b"1\n2\n"))
        assert plait_map("work.py:same", "in.jsonl.gz", "-o", "out.jsonl.gz").returncode == 0
        assert gzip.decompress((folder / "out.jsonl.gz").read_bytes()) == b"1\n2\n"

    def test_folder_and_glob(self, plait_map, folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "a.bin").write_bytes(b"123")
        assert values(plait_map("work.py:size", "deep").stdout) == [{"name": "a.bin", "bytes": 3}]
        assert values(plait_map("work.py:size", "**/*.bin").stdout) == [{"name": "a.bin", "bytes": 3}]

    def test_unordered_and_first(self, plait_map):
        done = plait_map("work.py:same", "in.txt", "--unordered", "--first", "5", "--model", "threads")
        assert sorted(values(done.stdout)) == ["0", "1", "2", "3", "4"]

    def test_first_of_an_endless_input(self, folder):
        endless = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
        try:
            command = [sys.executable, "-m", "plait", "map", "work.py:same", "-", "--first", "3", "-q"]
            done = subprocess.run(
                command, cwd=folder, stdin=endless.stdout, capture_output=True, timeout=50, check=False
            )
        finally:
            endless.kill()
            endless.wait()
            endless.stdout.close()
        assert (done.returncode, done.stdout) == (0, b'"y"\n' * 3)

    def test_what_a_file_prints_when_it_is_imported_is_kept_out_of_the_results(self, plait_map, folder):
        (folder / "chatty.py").write_text("print('here I am')\n" + FUNCTIONS)
        done = plait_map("chatty.py:same", "in.txt", "-o", "-", "--model", "serial")
        assert (done.returncode, values(done.stdout)) == (0, [str(n) for n in range(20)])
        assert "here I am" in done.stderr

    @pytest.mark.parametrize("target", ["work.py:by_two.add", "work.py:DIGITS.sub", "work.py:DIGITS.match"])
    def test_methods_of_objects_without_a_dict(self, plait_map, target):
        done = plait_map(target, "in.txt", "--dry-run")
        assert done.returncode == (2 if target.endswith("sub") else 0), done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("out", ["/dev/stdout", ">(cat)"])
    def test_to_a_pipe_that_has_a_name(self, folder, out):
        command = f"{sys.executable} -m plait map work.py:same in.txt -q --output-format jsonl -o {out} | cat"
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=50, check=False
        )
        assert (values(done.stdout), done.stderr) == ([str(n) for n in range(20)], "")

    def test_what_functions_print_is_kept_out_of_the_results(self, plait_map):
        done = plait_map("work.py:talkative", "in.txt", "--model", "processes", "--workers", "1")
        assert values(done.stdout) == [str(n) for n in range(20)]
        assert done.stderr.count("from below") == 20


class TestFailures:
    def test_are_listed_beside_the_output_and_the_rest_is_done(self, plait_map, folder):
        done = plait_map("work.py:picky", "in.txt", "-o", "out.jsonl")
        assert done.returncode == 1
        assert "2 items failed; they are listed in out.jsonl.failures.jsonl" in done.stderr
        assert values((folder / "out.jsonl").read_text()) == [n for n in range(20) if n not in (7, 17)]
        first, second = values((folder / "out.jsonl.failures.jsonl").read_text())
        assert (first["index"], first["item"], first["attempts"]) == (7, "7", 1)
        assert first["error"] == "ValueError: no sevens: 7"
        assert "in picky" in first["traceback"]
        assert second["item"] == "17"

    def test_of_an_earlier_run_are_forgotten(self, plait_map, folder):
        (folder / "out.jsonl.failures.jsonl").write_text("{}\n")
        assert plait_map("work.py:same", "in.txt", "-o", "out.jsonl").returncode == 0
        assert not (folder / "out.jsonl.failures.jsonl").exists()

    def test_a_named_file_for_them_is_not_touched_where_nothing_failed(self, plait_map, folder):
        (folder / "mine.txt").write_text("notes\n")
        os.mkfifo(folder / "pipe")
        for name in ("mine.txt", "pipe"):
            assert plait_map("work.py:same", "in.txt", "-o", "out.jsonl", "--failures", name).returncode == 0
        assert ((folder / "mine.txt").read_text(), (folder / "pipe").is_fifo()) == ("notes\n", True)

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (["--failures", "out.jsonl"], "--failures out.jsonl is OUT, too: name another file."),
            (["--failures", "./link.jsonl"], "--failures ./link.jsonl is OUT, too"),
            (["--failures", "in.txt"], "--failures in.txt is INPUT, too"),
            (["--failures", "mine.db", "--journal", "mine.db"], "--failures mine.db is the journal, too"),
            (["--failures", "out.jsonl.journal", "--resume"], "--failures out.jsonl.journal is the journal, too"),
            (["--failures", "deep"], "--failures deep is a folder: name a file in it, deep/failures.jsonl."),
            (["--failures", "no/bad.jsonl"], "is in a folder that is not there: make it first, mkdir -p no."),
            (["--journal", "out.jsonl"], "--journal out.jsonl is OUT, too: name another file."),
            (["--journal", "in.txt", "--restart"], "--journal in.txt is INPUT, too"),
            (["-o", "in.txt", "--output-format", "jsonl"], "-o in.txt is INPUT, too: name another file."),
        ],
    )
    @pytest.mark.parametrize("dry", [[], ["--dry-run"]])
    def test_no_file_is_two_things(self, plait_map, folder, args, said, dry):
        (folder / "deep").mkdir()
        (folder / "link.jsonl").symlink_to("out.jsonl")
        before = sorted(os.listdir(folder))
        done = plait_map("work.py:picky", "in.txt", "-o", "out.jsonl", *args, *dry)
        assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
        assert sorted(name for name in os.listdir(folder) if name != "__pycache__") == before

    def test_of_an_earlier_run_may_be_the_input_of_another_output(self, plait_map, folder):
        (folder / "out.jsonl.failures.jsonl").write_text('{"item": "1"}\n')
        done = plait_map("work.py:same", "out.jsonl.failures.jsonl", "-o", "out.jsonl")
        assert done.returncode == 2
        assert "-o out.jsonl has its failures listed in out.jsonl.failures.jsonl, which is INPUT, too" in done.stderr
        assert plait_map("work.py:same", "out.jsonl.failures.jsonl", "-o", "more.jsonl").returncode == 0
        assert (folder / "out.jsonl.failures.jsonl").exists()

    def test_both_may_go_to_no_file_at_all(self, plait_map):
        args = ["-o", "/dev/null", "--output-format", "jsonl", "--failures", "/dev/null"]
        assert plait_map("work.py:picky", "in.txt", *args).returncode == 1

    def test_without_an_output_file_are_told(self, plait_map):
        done = plait_map("work.py:picky", "in.txt", "--quiet")
        assert done.returncode == 1
        assert "ValueError: no sevens: 17" in done.stderr
        assert len(values(done.stdout)) == 18

    def test_go_where_they_are_asked_to(self, plait_map, folder):
        assert plait_map("work.py:picky", "in.txt", "--failures", "bad.jsonl").returncode == 1
        assert [row["item"] for row in values((folder / "bad.jsonl").read_text())] == ["7", "17"]

    def test_retries_are_counted(self, plait_map, folder):
        assert plait_map("work.py:picky", "in.txt", "-o", "out.jsonl", "--retries", "2").returncode == 1
        assert values((folder / "out.jsonl.failures.jsonl").read_text())[0]["attempts"] == 3

    def test_raise_ends_at_the_first(self, plait_map, folder):
        done = plait_map("work.py:picky", "in.txt", "-o", "out.jsonl", "--on-error", "raise")
        assert done.returncode == 1
        assert "ValueError: no sevens: 7" in done.stderr
        assert "7 results are in out.jsonl.partial" in done.stderr
        assert not (folder / "out.jsonl").exists()
        assert values((folder / "out.jsonl.partial").read_text()) == list(range(7))
        assert [row["item"] for row in values((folder / "out.jsonl.failures.jsonl").read_text())] == ["7"]

    def test_return_puts_a_row_in_their_place(self, plait_map):
        done = plait_map("work.py:picky", "in.txt", "--on-error", "return")
        assert done.returncode == 1
        rows = values(done.stdout)
        assert (len(rows), rows[6], rows[7]["failure"]["item"]) == (20, 6, "7")

    def test_too_many_end_the_run(self, plait_map, folder):
        done = plait_map("work.py:picky", "in.txt", "-o", "out.jsonl", "--max-failures", "1")
        assert done.returncode == 1
        assert "max_failures=1" in done.stderr
        assert not (folder / "out.jsonl").exists()

    def test_a_result_that_cannot_be_written_is_one(self, plait_map, folder):
        done = plait_map("work.py:odd_result", "in.txt", "-o", "out.jsonl", "--model", "serial")
        assert done.returncode == 1
        assert len(values((folder / "out.jsonl").read_text())) == 19
        (row,) = values((folder / "out.jsonl.failures.jsonl").read_text())
        assert (row["index"], row["item"]) == (3, "3")
        assert "object has no JSON form" in row["error"]


class TestMisuse:
    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (["work.py:smae", "in.txt"], "Did you mean 'same'?"),
            (["wrok.py:same", "in.txt"], "Did you mean 'work.py'?"),
            (["work.py:same", "im.txt"], "Did you mean 'in.txt'?"),
            (["work.py:same", "in.txt", "-o", "out.xml"], "--output-format"),
            (["work.py:same", "in.txt", "-o", "no/out.csv"], "mkdir -p no"),
            (["work.py:same", "in.txt", "--model", "thread"], "Did you mean 'threads'?"),
            (["work.py:same", "in.txt", "--workers", "0"], "--workers"),
            (["work.py:same", "in.txt", "work.py"], "Quote a pattern"),
            (["work.py:same", "in.txt", "--encoding", "hex"], "Python knows no text encoding of that name"),
            (
                ["work.py:same", "in.txt", "--max-failures", "3", "--on-error", "raise"],
                "--max-failures allows failures, and --on-error raise none: leave out one of them.",
            ),
            (["work.py:same", "in.txt", "--max-failures", "few"], "neither a count (10) nor a share"),
            (["work.py:same", "in.txt", "--on-error", "return", "-o", "a.csv"], "csv has no rows for failures"),
            (["work.py:same", "*.nothing"], "no file matches"),
            (["work.py:same", "bad.jsonl"], "bad.jsonl, line 2: this is not JSON"),
        ],
    )
    def test_is_one_clear_line_and_code_2(self, plait_map, folder, args, said):
        (folder / "bad.jsonl").write_text("1\n{'a'}\n")
        done = plait_map(*args)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert sorted(os.listdir(folder)) in (
            ["bad.jsonl", "in.txt", "work.py"],
            ["__pycache__", "bad.jsonl", "in.txt", "work.py"],
        )

    def test_bad_input_midway_keeps_what_was_done(self, plait_map, folder):
        (folder / "in.jsonl").write_text("1\n2\n{'a'}\n")
        done = plait_map("work.py:same", "in.jsonl", "-o", "out.jsonl")
        assert done.returncode == 2
        assert "in.jsonl, line 3" in done.stderr
        assert not (folder / "out.jsonl").exists()

    def test_unknown_command_and_option(self, folder):
        for args, said in ((["mpa"], "Did you mean 'map'?"), (["map", "--wrokers", "2"], "--workers")):
            done = subprocess.run([sys.executable, "-m", "plait", *args], capture_output=True, text=True, check=False)
            assert (done.returncode, said in done.stderr) == (2, True)

    def test_a_full_disk_is_told(self, plait_map):
        if not os.path.exists("/dev/full"):
            pytest.skip("there is no /dev/full here")
        done = plait_map("work.py:same", "in.txt", "-o", "/dev/full", "--output-format", "jsonl")
        assert (done.returncode, "No space left" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


class TestDryRun:
    def test_shows_what_would_be_done_and_does_nothing(self, plait_map, folder):
        done = plait_map("work.py:length", "in.txt", "-o", "out.csv", "--dry-run", "--workers", "2")
        assert done.returncode == 0
        for said in ("work.py:length", "lines", "20 items", "item 0  '0'", "out.csv", "workers=2", "Nothing was run."):
            assert said in done.stdout
        assert not (folder / "out.csv").exists()

    def test_meets_misuse_too(self, plait_map):
        assert plait_map("work.py:smae", "in.txt", "--dry-run").returncode == 2


class TestEarlyEnds:
    def test_a_reader_that_leaves_is_no_error(self, folder):
        (folder / "in.txt").write_text("line\n" * 200_000)
        command = f"{sys.executable} -m plait map work.py:same in.txt | head -n 1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=50, check=False
        )
        assert done.stdout == '"line"\n141\n'
        assert done.stderr == ""

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize("function", ["slow", "mute"])
    def test_signals_end_it_with_their_code(self, folder, until, number, code, function):
        (folder / "in.txt").write_text("line\n" * 100_000)
        command = [sys.executable, "-m", "plait", "map", f"work.py:{function}", "in.txt", "-o", "out.jsonl"]
        running = subprocess.Popen([*command, "--model", "serial"], cwd=folder, stderr=subprocess.PIPE, text=True)
        until((folder / "out.jsonl.partial").exists, 20, "the start of the run")
        running.send_signal(number)
        _, said = running.communicate(timeout=5)
        assert running.returncode == code
        assert "Interrupted." in said
        assert "Traceback" not in said

    def test_one_that_waits_for_its_input_ends_too(self, folder, until):
        command = [sys.executable, "-m", "plait", "map", "work.py:same", "-", "-o", "out.jsonl", "--model", "threads"]
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, cwd=folder, text=True, **pipes) as running:
            until((folder / "out.jsonl.partial").exists, 20, "the start of the run")
            running.send_signal(signal.SIGINT)
            assert running.wait(5) == 130
            assert "Interrupted." in running.stderr.read()


def overlapping(rows):
    """How many were in progress at once, at most."""
    moments = sorted([(row["began"], 1) for row in rows] + [(row["ended"], -1) for row in rows])
    return max(sum(step for _, step in moments[:at]) for at in range(1, len(moments) + 1))


class TestPace:
    @pytest.fixture
    def rows(self, folder):
        (folder / "rows.jsonl").write_text("".join(json.dumps({"host": "abc"[n % 3]}) + "\n" for n in range(30)))
        return "rows.jsonl"

    def test_rate(self, plait_map, rows):
        done = plait_map("work.py:timed", rows, "--rate", "50/s", "--model", "threads", "--unordered", "-q")
        began = [row["began"] for row in values(done.stdout)]
        assert (done.returncode, len(began)) == (0, 30)
        assert max(began) - min(began) > 29 / 50 - 0.1

    def test_rate_for_each_key(self, plait_map, rows):
        done = plait_map("work.py:timed", rows, "--rate", "1000/s", "--rate", "20/s", "--rate-key", "host", "-q")
        results = values(done.stdout)
        assert (done.returncode, len(results)) == (0, 30)
        for name in "abc":
            began = [row["began"] for row in results if row["host"] == name]
            assert max(began) - min(began) > 9 / 20 - 0.1
        began = [row["began"] for row in results]
        assert max(began) - min(began) < 29 / 20, "the keys waited for each other"

    @pytest.mark.parametrize("key", ["host", "work.py:host"])
    def test_limits(self, plait_map, rows, key):
        done = plait_map("work.py:timed", rows, "--limit", "2", "--limit", "1", "--limit-key", key, "-q")
        results = values(done.stdout)
        assert (done.returncode, len(results)) == (0, 30)
        assert overlapping(results) <= 2
        for name in "abc":
            assert overlapping([row for row in results if row["host"] == name]) == 1

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (["--rate", "often"], "it takes a count and a span"),
            (["--rate-key", "host"], "--rate-key host says what the last --rate goes by, and there is none"),
            (["--rate", "5/s", "--rate-key", "host"], "--rate-key host names a field, and a line has none"),
            (["--limit", "5", "--limit-key", "work.py:hots"], "Did you mean 'host'?"),
            (["--hedge=2"], "a percentile from 0.5 to below 1"),
            (["--hedge=most"], "'most' is no percentile: write --hedge=95%"),
        ],
    )
    def test_misuse(self, plait_map, args, said):
        done = plait_map("work.py:same", "in.txt", *args)
        assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False)

    def test_a_field_that_an_item_has_not(self, plait_map, rows, folder):
        done = plait_map("work.py:timed", rows, "-o", "out.jsonl", "--rate", "5/s", "--rate-key", "hots")
        assert done.returncode == 1
        first = values((folder / "out.jsonl.failures.jsonl").read_text())[0]
        assert "--rate-key hots: the item has no such field, but host" in first["error"]

    def test_hedge(self, plait_map, folder):
        done = plait_map("work.py:same", "in.txt", "-q", "--hedge")
        assert (done.returncode, len(values(done.stdout))) == (0, 20)
        assert "hedge=0.95" in plait_map("work.py:same", "in.txt", "--dry-run", "--hedge").stdout


class TestResume:
    COUNT = 1500

    @pytest.fixture(autouse=True)
    def items(self, folder):
        (folder / "in.txt").write_text("".join(f"{n}\n" for n in range(self.COUNT)))

    @pytest.fixture
    def ran(self, folder):
        """The items that the function was called with, in the order of the calls."""
        return lambda: (folder / "ran").read_text().split() if (folder / "ran").exists() else []

    @pytest.fixture
    def interrupted(self, folder, until, ran):
        """Begins `plait map work.py:noted ... --resume` and ends it by a signal once it is well under way."""

        def end(number, *args, function="noted"):
            command = [sys.executable, "-m", "plait", "map", f"work.py:{function}", "in.txt", "-o", "out.jsonl", *args]
            running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True)
            until(lambda: len(ran()) > self.COUNT // 5 or running.poll() is not None, 30, "a part of the work")
            os.killpg(running.pid, number)
            return running.communicate(timeout=20)[1], running.returncode

        return end

    def whole(self, folder):
        assert values((folder / "out.jsonl").read_text()) == list(range(self.COUNT))
        assert [name for name in sorted(os.listdir(folder)) if name.startswith("out.")] == ["out.jsonl"]

    @pytest.mark.parametrize("model", ["serial", "threads", "processes"])
    def test_after_a_kill_everything_is_there_and_little_was_done_twice(
        self, plait_map, folder, interrupted, ran, model
    ):
        _, code = interrupted(signal.SIGKILL, "--resume", "--model", model, "--workers", "2")
        assert code == -signal.SIGKILL
        assert not (folder / "out.jsonl").exists()
        before = len(ran())
        assert self.COUNT // 5 < before < self.COUNT
        done = plait_map("work.py:noted", "in.txt", "-o", "out.jsonl", "--resume", "--model", model)
        assert done.returncode == 0, done.stderr
        self.whole(folder)
        assert set(ran()) == set(map(str, range(self.COUNT)))
        # What was not recorded yet when the kill came: some 50 ms of work, at 2 ms an item.
        assert len(ran()) - self.COUNT < before / 2

    def test_after_ctrl_c_by_the_command_that_is_told(self, folder, interrupted, ran):
        said, code = interrupted(signal.SIGINT, "--resume", "--model", "threads", "--width", "2")
        assert code == 130
        assert "Interrupted." in said
        (command,) = [line.removeprefix("Go on with: ") for line in said.splitlines() if line.startswith("Go on with")]
        assert command == "plait map work.py:noted in.txt -o out.jsonl --resume --model threads --width 2"
        again = command.replace("plait", f"{sys.executable} -m plait", 1)
        done = subprocess.run(again, shell=True, cwd=folder, capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode == 0, done.stderr
        self.whole(folder)
        assert len(ran()) - self.COUNT < 50

    def test_the_first_items_alone_leave_the_journal_to_the_rest(self, plait_map, folder, interrupted, ran):
        interrupted(signal.SIGINT, "--resume", "--model", "threads", "--width", "2")
        command = ["work.py:noted", "in.txt", "-o", "out.jsonl", "--resume"]
        assert plait_map(*command, "--first", "3").returncode == 0
        assert values((folder / "out.jsonl").read_text()) == [0, 1, 2]
        assert plait_map(*command).returncode == 0
        self.whole(folder)
        assert len(ran()) - self.COUNT < 50

    def test_restart_begins_anew(self, plait_map, folder, interrupted, ran):
        said, _ = interrupted(signal.SIGINT, "--restart", "--model", "threads", "--width", "2")
        assert "Go on with: plait map work.py:noted in.txt -o out.jsonl --model threads --width 2 --resume" in said
        before = len(ran())
        assert plait_map("work.py:noted", "in.txt", "-o", "out.jsonl", "--restart").returncode == 0
        self.whole(folder)
        assert len(ran()) == before + self.COUNT

    def test_without_a_journal_the_interrupted_are_told_of_it(self, interrupted):
        said, code = interrupted(signal.SIGINT, "--model", "threads")
        assert code == 130
        assert "It kept no journal: only a run with --resume can be gone on with." in said

    def test_only_what_failed_is_run_again(self, plait_map, folder, ran):
        (folder / "in.txt").write_text("".join(f"{n}\n" for n in range(100)))
        command = ["work.py:noted_but_picky", "in.txt", "-o", "out.jsonl", "--resume"]
        done = plait_map(*command)
        assert done.returncode == 1
        assert "To run them again: plait map work.py:noted_but_picky in.txt -o out.jsonl --resume" in done.stderr
        (folder / "mended").touch()
        assert plait_map(*command).returncode == 0
        assert values((folder / "out.jsonl").read_text()) == list(range(100))
        assert ran()[100:] == [str(n) for n in range(7, 100, 10)]
        assert not (folder / "out.jsonl.journal").exists()

    def test_a_journal_of_ones_own_stays(self, plait_map, folder, ran):
        command = ["work.py:noted", "-", "--journal", "mine.db", "-q"]
        first = plait_map(*command, text="1\n2\n")
        assert (first.returncode, first.stdout) == (0, "1\n2\n")
        second = plait_map(*command, text="2\n1\n3\n")
        assert (second.returncode, second.stdout) == (0, "2\n1\n3\n")
        assert ran() == ["1", "2", "3"]

    def test_another_function_is_told_of_in_one_line(self, plait_map, folder):
        command = ["work.py:noted", "in.txt", "--first", "5", "--journal", "mine.db", "-q"]
        assert plait_map(*command).returncode == 0
        (folder / "work.py").write_text(FUNCTIONS.replace("return int(line)", "return -int(line)"))
        done = plait_map(*command)
        assert (done.returncode, done.stdout.split()) == (0, ["0", "1", "2", "3", "4"])
        (said,) = done.stderr.splitlines()
        assert said.startswith("plait: Journal ")
        assert said.endswith("To run every item again, give --restart.")
        assert plait_map(*command, "--restart").stdout.split() == ["0", "-1", "-2", "-3", "-4"]

    @pytest.mark.parametrize("flags", [["--resume"], ["--restart"], ["--journal", "out.jsonl.journal"]])
    def test_what_is_no_journal_is_not_touched_nor_is_the_output(self, plait_map, folder, flags):
        for name in ("out.jsonl.journal", "out.jsonl", "out.jsonl.partial"):
            (folder / name).write_text("something else\n")
        done = plait_map("work.py:same", "in.txt", "-o", "out.jsonl", *flags)
        assert done.returncode == 2
        assert "out.jsonl.journal: it is not a journal of Plait, but another kind of file" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Go on" not in done.stderr
        for name in ("out.jsonl.journal", "out.jsonl", "out.jsonl.partial"):
            assert (folder / name).read_text() == "something else\n"

    def test_one_run_at_a_time(self, plait_map, folder, until, ran):
        command = [sys.executable, "-m", "plait", "map", "work.py:slow", "in.txt", "-o", "out.jsonl", "--resume"]
        with subprocess.Popen([*command, "--width", "1"], cwd=folder, stderr=subprocess.DEVNULL) as running:
            until(lambda: (folder / "out.jsonl.journal").exists(), 20, "the start of the run")
            done = plait_map("work.py:slow", "in.txt", "-o", "out.jsonl", "--restart")
            running.terminate()
            assert running.wait(10) == 143
        assert done.returncode == 2
        assert f"the run of process {running.pid} is using it" in done.stderr

    def test_a_result_that_would_be_changed_is_refused_with_the_flag_that_keeps_it(self, plait_map, folder):
        done = plait_map("work.py:pair", "in.txt", "-o", "out.jsonl", "--resume")
        assert done.returncode == 2
        said = "is a tuple, which MessagePack makes a list. Return a list, or give --journal-codec pickle --restart."
        assert said in done.stderr
        done = plait_map("work.py:pair", "in.txt", "-o", "out.jsonl", "--resume", "--journal-codec", "pickle")
        assert done.returncode == 2
        assert "Give --journal-codec msgpack, or begin anew with --restart." in done.stderr
        advised = ["--journal-codec", "pickle", "--restart"]
        done = plait_map("work.py:pair", "in.txt", "-o", "out.jsonl", "--resume", *advised)
        assert (done.returncode, len(values((folder / "out.jsonl").read_text()))) == (0, self.COUNT)

    @pytest.mark.parametrize("flag", ["--resume", "--restart"])
    def test_without_an_output_file_it_has_to_be_said_where(self, plait_map, flag):
        done = plait_map("work.py:same", "in.txt", flag)
        assert done.returncode == 2
        assert f"{flag} has no file to keep the journal beside: give -o OUT, or --journal FILE." in done.stderr


class TestOnATerminal:
    @pytest.mark.parametrize("model", ["auto", "serial", "threads", "processes", "processes+threads"])
    def test_ctrl_c_once_is_enough(self, folder, model):
        (folder / "in.txt").write_text("line\n" * 100_000)
        command = ["-m", "plait", "map", "work.py:slow", "in.txt", "-o", "out.jsonl", "--model", model]
        terminal = Terminal(folder, sys.executable, *command)
        terminal.read_until(b"/s ")  # the bar is there
        while not (folder / "out.jsonl.partial").stat().st_size:
            terminal.output += os.read(terminal.handle, 65536)
        terminal.press_ctrl_c()
        began = time.perf_counter()
        code = terminal.ended()
        assert (code, time.perf_counter() - began < 2) == (130, True)
        shown = terminal.output.decode()
        assert "Interrupted." in shown
        assert re.search(r"(1 result is|results are) in out\.jsonl\.partial", shown)
        assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor stays hidden"
        partial = values((folder / "out.jsonl.partial").read_text())
        assert set(partial) == {"line"}

    def test_prints_appear_above_the_bar(self, folder):
        command = ["-m", "plait", "map", "work.py:talkative", "in.txt", "-o", "out.jsonl"]
        # One worker: two would write into each other's lines.
        terminal = Terminal(folder, sys.executable, *command, "--model", "processes", "--workers", "1")
        assert terminal.ended() == 0
        lines = terminal.seen()
        for n in range(20):
            assert f"working on {n}" in lines
        assert lines.count("from below") == 20
        assert any("20/20" in line for line in lines[lines.index("working on 19") :])

    def test_results_on_the_terminal_have_no_bar_between_them(self, folder):
        terminal = Terminal(folder, sys.executable, "-m", "plait", "map", "work.py:same", "in.txt", "-q")
        assert terminal.ended() == 0
        assert terminal.output.decode().split() == [f'"{n}"' for n in range(20)]


@pytest.mark.parametrize("name", ["map", "run", "advise"])
def test_help_is_light(name):
    script = f"import sys; from plait.cli import main\ntry: main(['{name}', '--help'])\nexcept SystemExit: pass\n"
    script += "print(sorted({'rich', 'pyarrow', 'asyncio', 'sqlite3', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Exit codes: 0 done; 1 " in done.stdout


def test_version():
    done = subprocess.run([sys.executable, "-m", "plait", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("plait ")


def test_completion(tmp_path):
    environment = {**os.environ, "_PLAIT_COMPLETE": "bash_complete", "COMP_WORDS": "plait map --mod", "COMP_CWORD": "2"}
    entry = Path(tmp_path, "plait")
    entry.write_text("from plait.cli import main\nmain()\n")
    done = subprocess.run([sys.executable, entry], env=environment, capture_output=True, text=True, check=False)
    assert "--model" in done.stdout
