"""In peace everything ends that can: what was on its way when it began does not leave jobs waiting for ever."""

from dataclasses import replace

import pytest

from plait.errors import StoreError
from plait.jobs.records import Draft
from tests.property.jobs_simulation.history import Broken
from tests.property.jobs_simulation.simulate import Simulation
from tests.property.jobs_simulation.workload import QUEUES, Case, drawn
from tests.property.jobs_simulation.world import LATE, Faults, Sleep, Steps, call


def late(seed: int) -> Case:
    """A world in which every call that is made in its one second of war is given up, and comes all the same."""
    case = drawn(seed)
    task = replace(case.tasks[0], rules=())
    return replace(case, seconds=1.0, clients=1, tasks=(task,), faults=Faults(late=1.0), schedules=())


class Pausing(Simulation):
    """Its client hears that its pause has failed, so it does not resume."""

    def _client(self) -> Steps:
        yield Sleep(0.5)
        with pytest.raises(StoreError):
            yield from self._pause()
        yield Sleep(LATE)
        task = self.case.tasks[0].name
        yield call("enqueue", [Draft(task=task, args=queue.encode(), queue=queue) for queue in QUEUES])
        self._busy -= 1


class Forgetting(Pausing):
    """Nobody resumes in the end."""

    def _peace(self) -> Steps:
        yield Sleep(0.0)


@pytest.mark.parametrize("seed", range(20))
def test_a_pause_that_comes_in_peace_is_ended(seed):
    Pausing(late(seed)).run()


def test_that_a_queue_is_paused_is_told_of_jobs_that_are_stuck():
    with pytest.raises(Broken, match=r"^liveness: .* and queue '(default|media)' is paused$"):
        Forgetting(late(0)).run()
