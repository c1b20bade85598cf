"""`plait run`, as a shell runs it: every way to name a flow, every exit code, every way to end early."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.contract.terminal import Terminal

FLOWS = """
import os, sys, time
import plait
from pathlib import Path

def note(stage, item):
    with open(f"ran.{stage}", "a") as file:  # one write: lines of several workers do not mix
        file.write(f"{item}\\n")

def leaves(n):
    sys.exit(n)

def fetch(n):
    time.sleep(0.002)
    note("fetch", n)
    return n

def parse(n):
    note("parse", n)
    return {"n": n}

def store(row):
    time.sleep(0.002)
    note("store", row["n"])
    return row

def picky(n):
    if n % 10 == 7 and not Path("mended").exists():
        raise ValueError(f"no sevens: {n}")
    return n

def talkative(n):
    print("fetching", n)
    time.sleep(0.005)
    return n

def loud(n):
    os.system(f"echo parsing {n}")
    time.sleep(0.01)
    return n

def slow(n):
    time.sleep(0.01)
    return n

def broken():
    yield 1
    raise LookupError("no such page")

numbers = plait.flow(range(1500))
rows = numbers.map(fetch, model="threads", width=4).map(parse, model="processes", workers=2).map(store, model="serial")
some = plait.flow(range(20)).map(picky).map(lambda n: {"n": n}, name="row")
skipping = plait.flow(range(20)).map(picky, on_error="skip").map(abs)
returning = plait.flow(range(20)).map(picky, on_error="return").map(abs)
many = plait.flow(range(3000)).map(lambda n: picky(7), name="all", model="threads", on_error="skip")
talk = plait.flow(range(40)).map(talkative, model="threads", width=1).map(loud, model="processes", workers=1)
sunk = plait.flow(range(20)).map(abs).batch(5, within=1).map(len).to(plait.write.jsonl("sunk.jsonl"))
endless = plait.flow(iter(int, 1)).map(slow, model="threads", width=2).map(slow, model="serial")
unsound = plait.flow(broken()).map(abs)
leaving = plait.flow([3]).map(leaves)
flat = plait.flow([1, 2]).unbatch().map(abs)
odd = plait.flow(range(3)).map(lambda n: object() if n else n, name="odd", model="serial")
files = plait.flow(plait.read.lines("in.txt")).map(len).filter(bool)

def made():
    return some

def running():
    return some.run()

def wanting(count):
    return some

def failing():
    return plait.flow(open("not there"))

def ending():
    sys.exit(7)

async def later():
    return some
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "flows.py").write_text(FLOWS)
    (tmp_path / "in.txt").write_text("a\nbb\n\n")
    return tmp_path


@pytest.fixture
def plait_run(folder):
    """Runs `python -m plait run ...` in the folder; status and output come back."""

    def run(*args, **options):
        command = [sys.executable, "-m", "plait", "run", *map(str, args)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False, **options)

    return run


def values(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestResults:
    def test_are_counted_and_the_report_is_told(self, plait_run, folder):
        done = plait_run("flows.py:rows", "--first", "50")
        assert (done.returncode, done.stdout) == (0, "")
        said = done.stderr.splitlines()
        assert [line for line in said if line.startswith(("fetch: ", "parse: ", "store: "))] != []
        assert any(line.startswith("In all: 50 results in ") for line in said)
        assert "run.failures" not in done.stderr

    @pytest.mark.parametrize("target", ["flows.py:some", "flows:made", "flows:some"])
    def test_go_to_a_file(self, plait_run, folder, target):
        assert plait_run(target, "-o", "out.csv", "--on-error", "skip").returncode == 1
        numbers = [n for n in range(20) if n % 10 != 7]
        assert (folder / "out.csv").read_text().split() == ["n", *map(str, numbers)]

    def test_go_to_standard_output_alone(self, plait_run):
        done = plait_run("flows.py:talk", "-o", "-", "-q")
        assert (done.returncode, done.stdout.split()) == (0, [str(n) for n in range(40)])
        assert done.stderr.count("fetching ") == done.stderr.count("parsing ") == 40

    def test_what_a_file_prints_when_it_is_imported_is_none(self, plait_run, folder):
        (folder / "flows.py").write_text("print('here I am')\n" + FLOWS)
        done = plait_run("flows.py:talk", "-o", "-", "-q", "--first", "3")
        assert (done.returncode, done.stdout.split()) == (0, ["0", "1", "2"])
        assert "here I am" in done.stderr

    def test_go_to_the_flows_own_sink(self, plait_run, folder):
        assert plait_run("flows.py:sunk", "-q").returncode == 0
        assert values(folder / "sunk.jsonl") == [5, 5, 5, 5]

    def test_of_the_first_items(self, plait_run, folder):
        assert plait_run("flows.py:endless", "--first", "3", "-o", "out.jsonl", "-q").returncode == 0
        assert values(folder / "out.jsonl") == [0, 0, 0]

    def test_options_are_defaults_of_the_stages(self, plait_run, folder):
        done = plait_run(
            "flows.py:some", "--model", "serial", "--on-error", "skip", "--retries", "2", "--rate", "9999/s"
        )
        assert done.returncode == 1
        assert done.stderr.count("model= asks for it") == 2
        assert "failed in picky after 3 attempt(s)" in done.stderr


class TestFailures:
    def test_end_the_run_unless_a_stage_says_otherwise(self, plait_run, folder):
        done = plait_run("flows.py:some", "-o", "out.jsonl")
        assert done.returncode == 1
        assert "plait: item 7 failed in picky after 1 attempt(s): ValueError: no sevens: 7\nTraceback" in done.stderr
        assert not (folder / "out.jsonl").exists()
        (failure,) = values(folder / "out.jsonl.failures.jsonl")
        assert (failure["stage"], failure["index"], failure["item"]) == ("picky", 7, 7)

    def test_the_one_that_ends_the_run_is_told_once(self, plait_run):
        done = plait_run("flows.py:some")
        assert (done.returncode, done.stderr.count("item 7 failed in picky")) == (1, 1)

    @pytest.mark.parametrize("model", ["serial", "threads", "processes"])
    def test_a_stage_that_ends_the_program_is_one(self, plait_run, folder, model):
        done = plait_run("flows.py:leaving", "-o", "out.jsonl", "-q", "--model", model)
        assert done.returncode == 1
        assert "item 0 failed in leaves after 1 attempt(s): SystemExit: 3\n" in done.stderr
        done = plait_run("flows.py:leaving", "-o", "out.jsonl", "-q", "--model", model, "--on-error", "skip")
        assert (done.returncode, done.stderr.splitlines()[-1].startswith("1 item failed")) == (1, True)

    def test_that_are_skipped_are_listed(self, plait_run, folder):
        done = plait_run("flows.py:skipping", "-o", "out.jsonl")
        assert done.returncode == 1
        assert "2 items failed; they are listed in out.jsonl.failures.jsonl." in done.stderr
        assert values(folder / "out.jsonl") == [n for n in range(20) if n % 10 != 7]
        listed = values(folder / "out.jsonl.failures.jsonl")
        assert [(row["stage"], row["item"], row["attempts"]) for row in listed] == [("picky", 7, 1), ("picky", 17, 1)]
        assert "in picky" in listed[0]["traceback"]

    def test_that_are_results_have_their_row_and_are_listed_once(self, plait_run, folder):
        assert plait_run("flows.py:returning", "-o", "out.jsonl", "--failures", "bad.jsonl").returncode == 1
        rows = values(folder / "out.jsonl")
        assert (len(rows), rows[6], rows[7]["failure"]["item"], rows[8]) == (20, 6, 7, 8)
        assert [row["item"] for row in values(folder / "bad.jsonl")] == [7, 17]

    def test_without_an_output_are_told(self, plait_run):
        done = plait_run("flows.py:skipping", "-q")
        assert done.returncode == 1
        assert "item 7 failed in picky after 1 attempt(s): ValueError: no sevens: 7" in done.stderr
        assert done.stderr.splitlines()[-1] == "2 items failed."

    def test_that_are_many_are_counted_and_nearly_all_listed(self, plait_run, folder):
        """A run keeps a thousand of each stage; they are gathered while it goes on."""
        done = plait_run("flows.py:many", "--failures", "bad.jsonl", "-q")
        assert done.returncode == 1
        assert done.stderr.startswith("3,000 items failed; they are listed in bad.jsonl")
        items = [row["item"] for row in values(folder / "bad.jsonl")]
        assert len(items) == len(set(items))
        assert len(items) == 3000 or f"but for {3000 - len(items):,} that came too many at once" in done.stderr
        assert len(items) >= 1000

    def test_a_result_that_cannot_be_written_is_one(self, plait_run, folder):
        done = plait_run("flows.py:odd", "-o", "out.jsonl", "-q")
        assert done.returncode == 1
        assert values(folder / "out.jsonl") == [0]
        assert [row["stage"] for row in values(folder / "out.jsonl.failures.jsonl")] == ["write", "write"]

    def test_of_the_source_are_told_with_their_place(self, plait_run, folder):
        done = plait_run("flows.py:unsound", "-q")
        assert done.returncode == 2
        assert done.stderr.startswith("plait: LookupError: no such page\nRaised by the source of the items")
        assert f'File "{folder}/flows.py", line ' in done.stderr
        assert "/plait/" not in done.stderr.replace(str(folder), "")

    def test_of_what_is_between_stages(self, plait_run):
        done = plait_run("flows.py:flat", "-q")
        assert done.returncode == 2
        assert "plait: TypeError: .unbatch() takes lists or other iterables apart; got 'int'." in done.stderr
        assert "Traceback" not in done.stderr


class TestMisuse:
    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (
                ["flows.py"],
                "it does not say which flow to run. A target is FILE.py:FLOW or module:FLOW. Try flows.py:files",
            ),
            (["flows.py:sume"], "flows has no 'sume'. Did you mean 'some'?"),
            (["flow.py:some"], "there is no file flow.py. Did you mean 'flows.py'?"),
            (["flows.py:plait"], "it is a module, not a plait.Flow. A target is a global made by plait.flow(...)"),
            (["flows.py:fetch"], "it cannot be called without arguments: missing a required argument: 'n'"),
            (["flows.py:wanting"], "it cannot be called without arguments"),
            (["flows.py:running"], "running() returned a run, not a plait.Flow. Leave .run(...) out"),
            (["flows.py:failing"], "failing() raised FileNotFoundError"),
            (["flows.py:ending"], "ending() raised SystemExit: 7"),
            (["flows.py:some", "-o", "out.csv", "--failures", "out.csv"], "--failures out.csv is OUT, too"),
            (["flows.py:some", "--failures", "no/bad.jsonl"], "make it first, mkdir -p no."),
            (["flows.py:some", "-o", "out.csv", "--journal", "out.csv"], "--journal out.csv is OUT, too"),
            (["flows.py:later"], "it is an async function, not a plait.Flow"),
            (["flows.py:some", "-o", "out.xml"], "--output-format"),
            (["flows.py:some", "-o", "no/out.csv"], "mkdir -p no"),
            (["flows.py:some", "--model", "thread"], "Did you mean 'threads'?"),
            (["flows.py:some", "--rate", "often"], "it takes a count and a span"),
            (["flows.py:some", "--resume"], "--resume has no file to keep the journal beside"),
            (["flows.py:some", "--restart", "--journal", "in.txt"], "in.txt: it is not a journal of Plait"),
            (["flows.py:some", "flows.py:rows"], "unexpected extra argument"),
        ],
    )
    def test_is_one_clear_line_and_code_2(self, plait_run, folder, args, said):
        done = plait_run(*args)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert "Warning" not in done.stderr
        assert sorted(name for name in os.listdir(folder) if name != "__pycache__") == ["flows.py", "in.txt"]


class TestDryRun:
    def test_shows_the_flow_and_runs_nothing(self, plait_run, folder):
        done = plait_run("flows.py:rows", "-o", "out.csv", "--dry-run", "--retries", "3", "--resume")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "flow      flows.py:rows",
            "source    range(0, 1500), about 1,500 items",
            "  stage 1 fetch  .map(model='threads', width=4)",
            "  stage 2 parse  .map(model='processes', workers=2)",
            "  stage 3 store  .map(model='serial')",
            "sink      none",
            "results   out.csv, as csv",
            "failures  out.csv.failures.jsonl",
            "journal   out.csv.journal",
            "defaults  retries=3",
            "Nothing was run.",
        ]
        assert sorted(name for name in os.listdir(folder) if name != "__pycache__") == ["flows.py", "in.txt"]

    def test_shows_what_is_between_stages(self, plait_run):
        done = plait_run("flows.py:sunk", "--dry-run")
        assert done.stdout.splitlines()[2:7] == [
            "  stage 1 abs  .map()",
            "               .batch(5, within=1)",
            "  stage 2 len  .map()",
            "               .to(sunk.jsonl)",
            "sink      sunk.jsonl",
        ]

    def test_of_a_file_by_its_first_lines(self, plait_run):
        done = plait_run("flows.py:files", "--dry-run", "--first", "2")
        assert "source    the first 2 of plait.read.lines('in.txt'), about 2 items" in done.stdout
        assert ".filter()" in done.stdout

    def test_meets_misuse_too(self, plait_run):
        assert plait_run("flows.py:sume", "--dry-run").returncode == 2
        assert plait_run("flows.py:some", "--dry-run", "--model", "thread").returncode == 2


class TestEarlyEnds:
    @pytest.fixture
    def ran(self, folder):
        """The items that a stage was called with."""

        def items(stage):
            path = folder / f"ran.{stage}"
            return path.read_text().split() if path.exists() else []

        return items

    @pytest.fixture
    def interrupted(self, folder, until, ran):
        """Begins the flow of three stages with a journal, and ends it by a signal once it is well under way."""

        def end(number):
            command = [sys.executable, "-m", "plait", "run", "flows.py:rows", "-o", "out.jsonl", "--resume"]
            running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True)
            until(lambda: len(ran("store")) > 200 or running.poll() is not None, 30, "a part of the work")
            os.killpg(running.pid, number)
            return running.communicate(timeout=20)[1], running.returncode

        return end

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_are_resumed(self, plait_run, folder, interrupted, ran, number):
        said, code = interrupted(number)
        assert code == (130 if number == signal.SIGINT else -number)
        if number == signal.SIGINT:
            assert "Go on with: plait run flows.py:rows -o out.jsonl --resume\n" in said
        before = {stage: len(ran(stage)) for stage in ("fetch", "parse", "store")}
        assert before["store"] < 1500
        done = plait_run("flows.py:rows", "-o", "out.jsonl", "--resume")
        assert done.returncode == 0, done.stderr
        assert values(folder / "out.jsonl") == [{"n": n} for n in range(1500)]
        assert [name for name in sorted(os.listdir(folder)) if name.startswith("out.")] == ["out.jsonl"]
        for stage, count in before.items():
            assert set(ran(stage)) == set(map(str, range(1500)))
            assert len(ran(stage)) - 1500 < max(50, count / 2), f"{stage} did very much again"

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str)
    def test_an_endless_flow_ends_at_a_signal(self, folder, until, number, code):
        command = [sys.executable, "-m", "plait", "run", "flows.py:endless", "-o", "out.jsonl"]
        running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        until((folder / "out.jsonl.partial").exists, 20, "the start of the run")
        running.send_signal(number)
        _, said = running.communicate(timeout=5)
        assert running.returncode == code
        assert said.startswith("plait: Interrupted.\n")
        assert "It kept no journal" in said
        assert "Traceback" not in said

    def test_a_reader_that_leaves_is_no_error(self, folder):
        command = f"{sys.executable} -m plait run flows.py:endless -o - | head -n 1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=50, check=False
        )
        assert (done.stdout, done.stderr) == ("0\n141\n", "")

    def test_only_what_failed_is_run_again(self, plait_run, folder):
        command = ["flows.py:some", "--on-error", "skip", "--journal", "mine.db", "--failures", "bad.jsonl"]
        done = plait_run(*command)
        assert done.returncode == 1
        again = "plait run flows.py:some --on-error skip --journal mine.db --failures bad.jsonl"
        assert f"To run them again: {again}\n" in done.stderr
        (folder / "mended").touch()
        assert plait_run(*command).returncode == 0
        assert (folder / "bad.jsonl").exists(), "it was named, and is not the run's own"
        assert (folder / "mine.db").exists()


class TestOnATerminal:
    def test_a_table_shows_each_stage_and_prints_stay_above_it(self, folder):
        terminal = Terminal(folder, sys.executable, "-m", "plait", "run", "flows.py:talk")
        assert terminal.ended() == 0
        lines = terminal.seen()
        assert [line for line in lines if line.startswith("fetching")] == [f"fetching {n}" for n in range(40)]
        assert [line for line in lines if line.startswith("parsing")] == [f"parsing {n}" for n in range(40)]
        heading = next(at for at, line in enumerate(lines) if line.split()[:3] == ["stage", "done", "rate"])
        assert lines.index("fetching 39") < heading
        assert lines.index("parsing 39") < heading
        first, second, below = lines[heading + 1 : heading + 4]
        assert first.removeprefix(">").split()[:2] == ["talkative", "40/40"]
        assert second.removeprefix(">").split()[:2] == ["loud", "40/40"]
        assert below.startswith("in 0:0")
        assert lines[heading + 4].startswith("talkative: ")

    def test_ctrl_c_once_is_enough(self, folder):
        terminal = Terminal(folder, sys.executable, "-m", "plait", "run", "flows.py:endless", "-o", "out.jsonl")
        terminal.read_until(b"gone")  # the table is there
        terminal.press_ctrl_c()
        assert terminal.ended() == 130
        shown = terminal.output.decode()
        assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor stays hidden"
        lines = terminal.seen()
        assert "plait: Interrupted." in lines
        assert sum(line.split()[:2] == ["stage", "done"] for line in lines) == 1

    def test_one_line_is_enough_for_one_stage(self, folder):
        terminal = Terminal(folder, sys.executable, "-m", "plait", "run", "flows.py:many", "--failures", "bad.jsonl")
        assert terminal.ended() == 1
        assert any("all" in line and "3,000/3,000" in line and "3,000 failed" in line for line in terminal.seen())

    def test_quiet(self, folder):
        terminal = Terminal(folder, sys.executable, "-m", "plait", "run", "flows.py:sunk", "-q")
        assert (terminal.ended(), terminal.output) == (0, b"")


def test_without_a_terminal_a_line_of_text_if_asked_for(plait_run):
    assert "gone" not in plait_run("flows.py:some", "--first", "5").stderr
    done = plait_run("flows.py:some", "--first", "5", "--progress", "-q")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("plait: 0:0")
    assert "; picky 5 of 5, " in line
    assert "; row 5 of 5, " in line
