"""`plait map`, as a shell runs it: every format, every exit code, every way to end early."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from plait.surface import read, write

FUNCTIONS = """
import os, sys, time

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


#: Makes its standard input its controlling terminal, as a shell's child has it, and becomes the command.
ATTACH = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A command on a terminal of its own, whose output is kept."""

    def __init__(self, folder, *command):
        self.handle, other = os.openpty()
        termios.tcsetwinsize(self.handle, (24, 120))
        streams = {"stdin": other, "stdout": other, "stderr": other, "start_new_session": True}
        environment = {**os.environ, "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ATTACH, *command], cwd=folder, env=environment, **streams
        )
        os.close(other)
        self.output = b""

    def read_until(self, mark):
        while mark not in self.output:
            self.output += os.read(self.handle, 65536)

    def ended(self):
        """The exit code, once everything was read."""
        try:
            while data := os.read(self.handle, 65536):
                self.output += data
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(self.handle)
        return self.process.wait(10)


class TestOnATerminal:
    @pytest.mark.parametrize("model", ["auto", "serial", "threads", "processes", "processes+threads"])
    def test_ctrl_c_once_is_enough(self, folder, model):
        (folder / "in.txt").write_text("line\n" * 100_000)
        command = ["-m", "plait", "map", "work.py:slow", "in.txt", "-o", "out.jsonl", "--model", model]
        terminal = Terminal(folder, sys.executable, *command)
        terminal.read_until(b"/s ")  # the bar is there
        while not (folder / "out.jsonl.partial").stat().st_size:
            terminal.output += os.read(terminal.handle, 65536)
        os.write(terminal.handle, b"\x03")
        began = time.perf_counter()
        code = terminal.ended()
        assert (code, time.perf_counter() - began < 2) == (130, True)
        shown = terminal.output.decode()
        assert "Interrupted." in shown
        assert "results are in out.jsonl.partial" in shown
        assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor stays hidden"
        partial = values((folder / "out.jsonl.partial").read_text())
        assert set(partial) == {"line"}

    def test_prints_appear_above_the_bar(self, folder):
        command = ["-m", "plait", "map", "work.py:talkative", "in.txt", "-o", "out.jsonl"]
        # One worker: two would write into each other's lines.
        terminal = Terminal(folder, sys.executable, *command, "--model", "processes", "--workers", "1")
        assert terminal.ended() == 0
        lines = terminal.output.decode().replace("\r\x1b[2K", "\n").replace("\x1b[?25l", "").splitlines()
        for n in range(20):
            assert f"working on {n}" in lines
        assert lines.count("from below") == 20
        assert any("20/20" in line for line in lines[lines.index("working on 19") :])

    def test_results_on_the_terminal_have_no_bar_between_them(self, folder):
        terminal = Terminal(folder, sys.executable, "-m", "plait", "map", "work.py:same", "in.txt", "-q")
        assert terminal.ended() == 0
        assert terminal.output.decode().split() == [f'"{n}"' for n in range(20)]


def test_help_is_light(folder):
    script = "import sys; from plait.cli import main\ntry: main(['map', '--help'])\nexcept SystemExit: pass\n"
    script += "print(sorted({'rich', 'pyarrow', 'asyncio', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--dry-run" in done.stdout


def test_version():
    done = subprocess.run([sys.executable, "-m", "plait", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("plait ")


def test_completion(tmp_path):
    environment = {**os.environ, "_PLAIT_COMPLETE": "bash_complete", "COMP_WORDS": "plait map --mod", "COMP_CWORD": "2"}
    entry = Path(tmp_path, "plait")
    entry.write_text("from plait.cli import main\nmain()\n")
    done = subprocess.run([sys.executable, entry], env=environment, capture_output=True, text=True, check=False)
    assert "--model" in done.stdout
