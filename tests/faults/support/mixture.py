"""A mixed set of jobs, and what has to be true of it once all have ended, whatever was killed meanwhile."""

from collections import Counter
from typing import Any

from plait.jobs.handle import Job
from plait.jobs.protocol import State
from plait.jobs.records import Filter
from tests.faults.support.under_fault import Scene

#: What a job says that has lost its workers too often: the only failure that kills may bring about.
LOST = ("Its worker was lost", "WorkerLost", "JobFailed")


class Mixture:
    """Jobs of every kind, enqueued in `scene`."""

    def __init__(self, scene: Scene, size: int = 1) -> None:
        app = self.app = scene.app
        self.scene = scene
        scene.store.write(lambda session: session.run("CREATE TABLE IF NOT EXISTS effect (job BIGINT)"))
        simple = app.fetch, app.wait, app.compute, app.flaky, app.pay
        self.simple: dict[str, list[Job[Any]]] = {
            task.name: task.enqueue_many([(n,) for n in range(8 * size)]) for task in simple
        }
        self.simple["only"] = [app.only.with_(unique=str(n % 2)).enqueue(n) for n in range(4 * size)]
        self.limited = {
            app.limited.with_(key=key).enqueue(n).id: key for n in range(6 * size) for key in ("ada", "grace")
        }
        self.groups = [
            app.jobs.group([app.part.draft(n) for n in range(5)], then=app.gather.draft()) for _ in range(2 * size)
        ]
        self.chains = [
            app.jobs.chain(app.link.draft(0, 1), app.link.draft(2), app.link.draft(3)) for _ in range(3 * size)
        ]

    def assert_whole(self, kills: int) -> None:
        """Everything ended as it must, after so many processes were killed."""
        scene = self.scene
        states = scene.assert_all_ended()
        views = {view.id: view for view in scene.store.find(Filter(limit=100_000))}
        bad = {job: views[job] for job, state in states.items() if state is not State.DONE}
        for view in bad.values():
            assert view.state is State.FAILED, view
            assert any(said in view.error for said in LOST), view
        self._assert_effects(states)
        self._assert_followed(views, bad)
        results = {ended.id: ended.result for ended in scene.store.ended(list(states))}
        tokens = [job for jobs in self.simple.values() for job in jobs if states[job.id] is State.DONE]
        assert all(results[job.id] is not None for job in tokens)
        scene.assert_fenced({job.id: job.result(1) for job in tokens})
        scene.assert_never_more_than(1, self.limited)
        begun, flaky = scene.count("begin"), {job.id for job in self.simple["flaky"]}
        for job, count in begun.items():
            assert count <= (3 if job in flaky else 1) + kills, f"job {job} began {count} times, and {kills} kills were"

    def _assert_effects(self, states: dict[int, State]) -> None:
        effects = Counter(job for (job,) in self.scene.rows("SELECT job FROM effect"))
        for job in self.simple["pay"]:
            assert effects[job.id] == (states[job.id] is State.DONE), f"{effects[job.id]} effects of job {job.id}"

    def _assert_followed(self, views: dict[int, Any], bad: dict[int, Any]) -> None:
        """Each group went on once, and each chain to its end."""
        gathered = [view for view in views.values() if view.task == "gather"]
        assert len(gathered) == len(self.groups)
        for view in gathered:
            if view.id not in bad:
                assert self.app.jobs.job(view.id).result(1) == [0, 1, 2, 3, 4]
        links = [view for view in views.values() if view.task == "link"]
        broken = sum(view.id in bad for view in links)
        assert 3 * (len(self.chains) - broken) <= len(links) <= 3 * len(self.chains)
        last = [self.app.jobs.job(view.id).result(1) for view in links if view.id not in bad]
        assert sum(value == 6 for value in last) >= len(self.chains) - broken
