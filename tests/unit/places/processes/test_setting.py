"""What a worker takes over from its parent."""

import logging
import os
import sys

import pytest

from plait.places.processes.setting import BLAS, apply_setting, setting


@pytest.fixture
def restored(monkeypatch):
    """What a test changes of this process is put back."""
    path, cwd, environ = list(sys.path), os.getcwd(), dict(os.environ)
    yield
    sys.path[:] = path
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)


def test_it_is_this_process_own(monkeypatch):
    monkeypatch.setenv("COLOUR", "green")
    made = setting(2)
    assert (made.cwd, made.environ["COLOUR"], made.blas) == (os.getcwd(), "green", 2)
    assert made.path == sys.path


def test_the_current_folder_on_the_path_is_named(monkeypatch):
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert setting(1).path[0] == os.getcwd()


def test_levels_that_were_set_are_told():
    logger = logging.getLogger("tests.setting")
    logger.setLevel(logging.DEBUG)
    try:
        levels = setting(1).levels
    finally:
        logger.setLevel(logging.NOTSET)
    assert levels["tests.setting"] == logging.DEBUG
    assert levels[""] == logging.root.level
    assert "tests.setting" not in setting(1).levels


def test_a_folder_that_is_gone_is_no_error(tmp_path, restored):
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert setting(1).cwd == "/"


def test_applied_it_is_the_workers_own(tmp_path, restored, monkeypatch):
    monkeypatch.setenv("OLD", "1")
    new = setting(1)._replace(cwd=str(tmp_path), environ={"NEW": "1", "PATH": os.environ["PATH"]})
    new.path.append(str(tmp_path))
    apply_setting(new)
    assert os.getcwd() == os.path.realpath(tmp_path)
    assert os.environ["NEW"] == "1"
    assert "OLD" not in os.environ
    assert sys.path[-1] == str(tmp_path)


def test_linear_algebra_gets_its_share_unless_the_user_said_otherwise(restored):
    apply_setting(setting(3)._replace(environ={"OMP_NUM_THREADS": "7"}))
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert {os.environ[name] for name in BLAS if name != "OMP_NUM_THREADS"} == {"3"}


def test_a_folder_that_cannot_be_entered_is_no_error(restored):
    apply_setting(setting(1)._replace(cwd="/nowhere/at/all"))


def test_arguments_of_the_command_line_are_the_parents(restored, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fetch.py", "--fast"])
    made = setting(1)
    monkeypatch.setattr(sys, "argv", ["-c"])
    apply_setting(made)
    assert sys.argv == ["fetch.py", "--fast"]


def test_what_was_told_does_not_change_with_this_process(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fetch.py"])
    made = setting(1)
    sys.argv.append("--more")
    monkeypatch.setenv("LATER", "1")
    assert made.argv == ["fetch.py"]
    assert "LATER" not in made.environ


IN_WORKER = """
    import random, sys
    import numpy
    from plait.places.processes.setting import in_worker
    from plait.styles.threads import inside

    numpy.random.seed(1)
    same = numpy.random.random()
    numpy.random.seed(1)
    in_worker()
    assert inside.get()
    assert sys.stdin.read() == ""
    assert numpy.random.random() != same
"""


def test_a_worker_reads_nothing_draws_its_own_numbers_and_knows_what_it_is(python):
    done = python(IN_WORKER, input="of the terminal")
    assert done.returncode == 0, done.stderr
