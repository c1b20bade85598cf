"""`plait advise`, as a shell runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow  # it tries models for seconds

FUNCTIONS = """
import os, time

def waits(line):
    time.sleep(0.005)
    with open("ran", "a") as file:
        file.write(line + "\\n")

def talkative(line):
    print("working on", line)
    time.sleep(0.002)

def fails(line):
    raise ValueError(f"no {line}")

def slow(line):
    with open("begun", "w"):
        pass
    time.sleep(0.01)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work.py").write_text(FUNCTIONS)
    (tmp_path / "in.txt").write_text("".join(f"{n}\n" for n in range(100_000)))
    return tmp_path


@pytest.fixture
def advise(folder):
    """Runs `python -m plait advise ...` in the folder; status and output come back."""

    def run(*args, seconds=1, **options):
        command = [sys.executable, "-m", "plait", "advise", *map(str, args), "--seconds", str(seconds)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False, **options)

    return run


def test_a_table_a_sentence_and_the_line_to_write(advise, folder):
    done = advise("work.py:waits", "in.txt")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("waits: ")
    assert lines[2].split() == ["model", "workers", "width", "predicted", "measured", "CPU", "memory", "verdict"]
    models = [line.removeprefix("->").split()[0] for line in lines[3:7]]
    assert models == ["serial", "threads", "processes", "processes+threads"]
    assert sum(line.startswith("-> ") for line in lines) == 1
    assert "\x1b" not in done.stdout
    assert any(line.startswith("Use ") and "finish 100,000 items in about" in line for line in lines)
    assert lines[-2].startswith("    plait.map(waits, items, model=")
    assert lines[-1].startswith("    plait map work.py:waits in.txt --model ")
    ran = (folder / "ran").read_text().split()
    assert len(ran) == len(set(ran)), "an item was run twice"


def test_json_alone_though_the_file_prints_when_it_is_imported(advise, folder):
    work = folder / "work.py"
    work.write_text("print('here I am')\n" + work.read_text())
    done = advise("work.py:waits", "in.txt", "--json", "--first", 5, "--model", "serial,threads")
    assert json.loads(done.stdout)["items"] <= 5
    assert "here I am" in done.stderr


def test_json(advise):
    done = advise("work.py:talkative", "in.txt", "--json", "--model", "serial,threads", "--width", 4)
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert "working on" in done.stderr
    assert [row["model"] for row in told["rows"]] == ["serial", "threads"]
    assert told["model"] == "threads"
    assert told["placement"]["width"] <= 4
    assert told["command"].startswith("plait map work.py:talkative in.txt --model threads --width ")


def test_the_command_that_it_tells_works(advise, folder):
    told = json.loads(advise("work.py:talkative", "in.txt", "--json", "--timeout", 5, "--workers", 1).stdout)
    command = told["command"].replace("plait", f"{sys.executable} -m plait", 1) + " --first 5 -q"
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert len((folder / "results.jsonl").read_text().splitlines()) == 5


def test_no_more_than_the_first_items(advise):
    done = advise("work.py:waits", "in.txt", "--first", 20, "--json")
    assert 10 < json.loads(done.stdout)["items"] <= 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["work.py:wait", "in.txt"], "work has no 'wait'. Did you mean 'waits'?"),
        (["works.py:waits", "in.txt"], "there is no file works.py"),
        (["work.py:waits", "in.text"], "there is no such file. Did you mean 'in.txt'?"),
        (["work.py:waits", "in.txt", "--model", "treads"], "Did you mean 'threads'?"),
        (["work.py:waits", "in.txt", "--plot", "plot.pdf"], "its name has to end in .svg or .png"),
        (["work.py:waits", "in.txt", "in.txt"], "One INPUT is wanted, 2 were given."),
        (["work.py:waits"], "Missing argument 'INPUT"),
        (["work.py:waits", "in.txt", "--seconds", "0"], "0 is not in the range"),
        (["work.py:waits", "in.txt", "--encoding", "none"], "Python knows no text encoding of that name"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_code_2(advise, folder, arguments, words):
    command = [sys.executable, "-m", "plait", "advise", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert not (folder / "ran").exists()


def test_when_every_item_fails(advise):
    done = advise("work.py:fails", "in.txt", "--first", 50)
    assert done.returncode == 1
    assert "Every item failed, the last with ValueError: no " in done.stdout
    assert "plait map" not in done.stdout, "there is no line to write"


def test_the_plot(advise, folder):
    try:
        import matplotlib  # noqa: F401  an extra
    except ImportError:
        done = advise("work.py:waits", "in.txt", "--plot", "plot.svg")
        assert done.returncode == 2
        assert "Run: pip install 'plait[plot]'" in done.stderr
        assert not (folder / "ran").exists(), "items were run before it was found out"
    else:
        done = advise("work.py:waits", "in.txt", "--plot", "plot.svg")
        assert done.returncode == 0, done.stderr
        assert "<svg" in (folder / "plot.svg").read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str)
def test_interrupted(folder, until, number, code):
    command = [sys.executable, "-m", "plait", "advise", "work.py:slow", "in.txt", "--seconds", "30"]
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until((folder / "begun").exists, 20, "the first item")
        child.send_signal(number)
        began = time.monotonic()
        out, err = child.communicate(timeout=10)
    finally:
        child.kill()
        child.wait()
    assert time.monotonic() - began < 4
    assert (child.returncode, out, err) == (code, "", "plait: Interrupted.\n")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals")
def test_on_a_terminal_it_is_drawn(folder):
    parent, terminal = os.openpty()
    command = [sys.executable, "-m", "plait", "advise", "work.py:waits", "in.txt", "--seconds", "0.5"]
    child = subprocess.Popen(command, cwd=folder, stdout=terminal, stderr=subprocess.PIPE)
    os.close(terminal)
    text = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the child closed its end
            break
        if not part:
            break
        text += part
    _, told = child.communicate(timeout=30)
    os.close(parent)
    assert child.returncode == 0, told.decode()
    assert b"\x1b[1mwaits\x1b[0m" in text
    assert b"plait.map" in text


def test_help_says_that_items_are_really_run(advise):
    done = advise("--help")
    assert done.returncode == 0
    assert "Items are really run, each once" in done.stdout
