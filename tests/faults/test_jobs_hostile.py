"""Tasks that do what they should not: their jobs end with words that help, the worker and others' jobs go on."""

import psutil
import pytest

from plait.errors import JobFailed
from plait.jobs.protocol import ENDED, State
from tests.faults.support.under_fault import family

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("scene", ["sqlite"], indirect=True)]

#: What is in the error of each task's job.
FAIL = {
    "never_returns": "ItemTimeout: The attempt was not finished after timeout=1 s; its worker was killed",
    "computes_for_ever": "its worker was killed",
    "blocks_its_loop": "its worker was killed",
    "exits_at_once": "exited with code 3; 3 workers died with this item in hand",
    "kills_itself": "killed by SIGKILL",
    "kills_its_group": "killed by SIGKILL",
    "segfaults": "killed by SIGSEGV",
    "aborts": "killed by SIGABRT",
    "closes_everything": "WorkerLost",
    "replaces_itself": "3 workers died with this item in hand",
    "exits": "SystemExit: I am done here",
    "raises_bare": "Bare: not an Exception",
    "raises_bare_async": "Bare: not an Exception",
    "interrupts": "KeyboardInterrupt",
    "raises_unpicklable": "Unpicklable: cannot travel",
    "raises_unspeakable": "Unspeakable",
    "raises_strange_text": "ValueError: half a ",
    "raises_many": "ExceptionGroup: many (5000 sub-exceptions)",
    "returns_too_much": "17,825,797 bytes, and 16,777,216 are allowed",
    "returns_an_object": "values of type object are not supported",
    "returns_itself": "what it returned cannot be stored",
    "recurses": "RecursionError",
    "stops_iterating": "StopIteration",
}
#: What the jobs of the others return.
DO = {
    "prints": "printed",
    "changes_signals": "changed",
    "blocks_signals": "blocked",
    "starts_threads": "started",
    "moves_away": "moved",
    "returns_none": None,
}


@pytest.mark.slow
def test_each_ends_by_itself_and_nobody_else_suffers(scene, until):
    app = scene.load("hostile.py")
    before = app.good.enqueue_many([(n,) for n in range(20)])
    bad = {name: app.jobs.tasks[name].enqueue() for name in FAIL}
    odd = {name: app.jobs.tasks[name].enqueue() for name in DO}
    children = [app.leaves_a_child.enqueue(), app.leaves_a_program.enqueue()]
    much, large = app.returns_much.enqueue(), app.takes_much.enqueue(b"y" * (10 << 20))
    leaks = app.leaks.enqueue_many([(40,)] * 8)
    worker = scene.worker(FAULTS_APP="hostile.py")
    until(lambda: scene.left() == 0, 180, "the end of all jobs")

    for name, job in bad.items():
        assert job.state is State.FAILED, name
        assert FAIL[name] in job.show().error, name
        with pytest.raises(JobFailed):
            job.result(1)
    assert {name: job.result(1) for name, job in odd.items()} == DO
    assert len(much.result(1)) == large.result(1) == 10 << 20
    assert len({job.result(1) for job in leaks}) > 1, "no worker was recycled"
    assert [job.result(1) for job in before] == list(range(20))
    assert worker.poll() is None
    after = app.good.enqueue_many([(n,) for n in range(20)])
    assert [job.result(60) for job in after] == list(range(20))

    everybody = family(worker)
    worker.terminate()
    assert worker.wait(60) == 0
    until(lambda: not [p for p in everybody if p.is_running()], 30, "the end of all processes")
    assert not [job for job in children if psutil.pid_exists(job.result(1))]


def test_a_job_that_kills_its_worker_ends_after_three_of_them(scene, until):
    """Not its seat only: the worker itself, from within. Those that were in hand with it are not held against it."""
    others = scene.app.wait.enqueue_many([(n,) for n in range(10)])
    job = scene.app.murder.enqueue(0)
    for _ in range(3):
        worker = scene.worker()
        worker.wait(90)
        assert job.state not in ENDED
    scene.worker()
    until(lambda: scene.left() == 0, 60, "the end of all jobs")
    assert "Its worker was lost 3 times while it ran" in job.show().error
    assert {other.state for other in others} == {State.DONE}
    assert scene.count("begin")[job.id] == 3
