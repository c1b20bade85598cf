"""Old and new code on one store, as in every deployment: what one does not know waits for the other."""

import textwrap

import pytest

from plait.jobs.protocol import State

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("scene", ["sqlite"], indirect=True)]

OLD = """
    import os
    import plait

    jobs = plait.Jobs(os.environ["FAULTS_URL"])

    @jobs.task
    def greet(name: str) -> str:
        return f"old {name}"

    @jobs.task
    def cut(text: str, after: int = 1) -> str:
        return f"old {text[:after]}"

    @jobs.task
    def gone(n: int) -> str:
        return f"old {n}"

    @jobs.task(name="stable")
    def before(n: int) -> str:
        return f"old {n}"
"""
NEW = """
    import os
    import plait

    jobs = plait.Jobs(os.environ["FAULTS_URL"])

    @jobs.task
    def greet(name: str, polite: bool = False) -> str:
        return f"new {name} {polite}"

    @jobs.task
    def cut(text: str) -> str:
        return f"new {text[:1]}"

    @jobs.task
    def come(n: int) -> str:
        return f"new {n}"

    @jobs.task(name="stable")
    def after(n: int, more: int = 0) -> str:
        return f"new {n}"
"""


@pytest.fixture
def versions(scene, tmp_path):
    """The file of each version, and the jobs in it."""
    made = {}
    for name, text in (("old", OLD), ("new", NEW)):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        made[name] = str(path), scene.load(str(path))
    return made


def test_an_old_worker_leaves_to_the_new_one_what_it_does_not_know(scene, until, versions):
    (file, _), (new_file, new) = versions["old"], versions["new"]
    old_worker = scene.worker(FAULTS_APP=file)
    unknown = new.come.enqueue(1)
    argument = new.greet.enqueue("ada", polite=True)
    plain, stable = new.greet.enqueue("grace"), new.after.enqueue(3)
    assert plain.result(60) == "old grace"  # what is not given is left out: old code can run it
    assert stable.result(60) == "old 3"
    until(lambda: "polite" in argument.show().error, 60, "an attempt that did not fit")
    assert argument.state is State.SCHEDULED
    assert unknown.state is State.WAITING
    new_worker = scene.worker(FAULTS_APP=new_file)
    assert unknown.result(60) == "new 1"
    old_worker.terminate()
    assert old_worker.wait(60) == 0
    assert argument.result(60) == "new ada True"
    assert argument.attempt == 1
    assert new_worker.poll() is None


def test_a_new_worker_leaves_to_the_old_one_what_it_does_not_know_any_more(scene, until, versions):
    (old_file, old), (file, _) = versions["old"], versions["new"]
    new_worker = scene.worker(FAULTS_APP=file)
    unknown, argument = old.gone.enqueue(1), old.cut.enqueue("word", 3)
    plain, stable = old.cut.enqueue("word"), old.before.enqueue(3)
    assert plain.result(60) == "new w"
    assert stable.result(60) == "new 3"
    assert old.greet.enqueue("ada").result(60) == "new ada False"
    until(lambda: "after" in argument.show().error, 60, "an attempt that did not fit")
    assert argument.state is State.SCHEDULED
    assert unknown.state is State.WAITING
    old_worker = scene.worker(FAULTS_APP=old_file)
    assert unknown.result(60) == "old 1"
    new_worker.terminate()
    assert new_worker.wait(60) == 0
    assert argument.result(60) == "old wor"
    assert old_worker.poll() is None
