"""`Jobs`: the durable queue as its users see it: tasks, jobs, groups, schedules, in one store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, Unpack, overload

import msgspec

from plait.errors import OptionError
from plait.events import Event, Hub
from plait.jobs.calendar import calendar_of
from plait.jobs.calling import in_thread
from plait.jobs.client import Client
from plait.jobs.codec import LARGEST
from plait.jobs.declare import Home, TaskOptions, declare, is_said_again, seconds
from plait.jobs.enqueueing import EnqueueOptions, checked_enqueueing, checked_queue
from plait.jobs.handle import Group, Job, job_by_id
from plait.jobs.schedules import Schedule, Schedules, called_with, checked_schedule
from plait.jobs.spec import TaskSpec
from plait.jobs.store import Store
from plait.jobs.task import JobTask, Prepared
from plait.jobs.together import chain_of, group_of

if TYPE_CHECKING:
    from plait.jobs.worker.worker import Worker

__all__ = ["Jobs", "TaskOptions"]

P = ParamSpec("P")
R = TypeVar("R")


class Jobs:
    """A durable queue of jobs.

        jobs = plait.Jobs("sqlite:///jobs.db")

        @jobs.task(retries=5, timeout=60)
        def thumbnail(path: str) -> str: ...

        job = thumbnail.enqueue("a.png")      # `plait work app:jobs` runs it
        job.result(timeout=10)

    Parameters:
        url: `"sqlite:///FILE"`, `"postgresql://USER@HOST/DATABASE"`, or `"memory://"` for tests, where all jobs run in
            this process whatever their `model=`. Nothing is opened before the first job is enqueued or looked for.
        keep: seconds for which jobs that are done are kept, with their results; keep_failed: those that failed, or were
            stopped while they ran. Those cancelled before, or ended by crashes of workers, are kept for a week.
        max_bytes: that the arguments of a job, or its result, may have.
        store: one that is open already, instead of `url`'s (for tests).

    Raises:
        OptionError: the URL is none that is known.

    Concurrency: safe from any thread; a forked child opens a store of its own.
    """

    def __init__(
        self,
        url: str,
        *,
        keep: float = 86_400.0,
        keep_failed: float = 7 * 86_400.0,
        max_bytes: int = LARGEST,
        store: Store | None = None,
    ) -> None:
        self._client = Client(url, store)
        self.keep, self.keep_failed = seconds("keep", keep), seconds("keep_failed", keep_failed)
        if not isinstance(max_bytes, int) or max_bytes < 1:
            raise OptionError("max_bytes", max_bytes, "it takes a whole number from 1")
        self.max_bytes = max_bytes
        self.tasks: dict[str, JobTask[..., Any]] = {}
        self.schedules: list[Schedule] = []
        self.hub = Hub()

    @property
    def url(self) -> str:
        """Of the store; that of a file with its whole path."""
        return self._client.url

    @property
    def store(self) -> Store:
        """Where the jobs are; opened now if it was not."""
        return self._client.store

    # --- tasks ------------------------------------------------------------------------------------------------------

    @overload
    def task(self, function: Callable[P, R], /) -> JobTask[P, R]: ...
    @overload
    def task(
        self, function: None = ..., /, *, transactional: Literal[True], **options: Unpack[TaskOptions]
    ) -> Callable[[Callable[Concatenate[Any, P], R]], JobTask[P, R]]: ...
    @overload
    def task(
        self, function: None = ..., /, *, transactional: Literal[False] = ..., **options: Unpack[TaskOptions]
    ) -> Callable[[Callable[P, R]], JobTask[P, R]]: ...
    def task(self, function: Any = None, /, *, transactional: bool = False, **options: Any) -> Any:
        """Make a function a task of this queue.

        Parameters:
            name: what its jobs are stored under; the function's by default. Jobs outlive code: keep it.
            queue, priority, key: as in `JobTask.with_`, for all its jobs.
            model, workers, width, timeout, resources, memory, on_crash: as in `plait.map`. `model="auto"` chooses among
                worker processes: a job that kills its process does not kill the worker.
            retries: a count (waits of 1 s, doubling up to 5 min), or a `Retry`; its `until=` begins as a job is stored.
            rate, limit: as in `plait.map`, kept by all workers together; `key=` functions get the job's arguments.
            keep, keep_failed: seconds, instead of the queue's.
            transactional: the function's first argument is the store's own connection, with a transaction open that
                commits together with the job's being done: its effects there happen exactly once.

        Raises:
            UnknownOption, OptionError: an option that cannot be.
        """
        if function is not None:
            return self._task(function, transactional, {})
        return lambda made: self._task(made, transactional, options)

    def _task(self, function: Callable[..., Any], transactional: bool, options: dict[str, Any]) -> JobTask[..., Any]:
        home = Home(self._client.place, self._client.in_memory, self.keep, self.keep_failed, self.max_bytes)
        declared = declare(function, transactional, options, home)
        name = declared.spec.name
        if name in self.tasks and not is_said_again(self.tasks[name].__plait_function__, function):
            raise OptionError("name", name, "this queue has a task of that name already: give one another name=")
        self.tasks[name] = task = JobTask(
            function,
            declared.engine,
            client=self._client,
            spec=declared.spec,
            enqueueing=checked_enqueueing(EnqueueOptions(**declared.enqueueing)),  # type: ignore[typeddict-item]
            keys=declared.keys,
        )
        return task

    # --- jobs -------------------------------------------------------------------------------------------------------

    def job(self, job: int) -> Job[Any]:
        """The handle of a job by its id; what a task of this code returned is what its annotation says."""
        return job_by_id(self._client, job, self.tasks)

    def group(
        self,
        parts: Iterable[Prepared[Any]],
        then: Prepared[Any] | None = None,
        *,
        on_error: Literal["raise", "skip", "return"] = "raise",
        connection: Any = None,
    ) -> Group:
        """Enqueue jobs as one: all of them, or none.

        Parameters:
            parts: drafts, as `task.draft(...)` makes them.
            then: enqueued when all parts have ended, in the transaction in which the last one does; the list of their
                results, in order, is its first argument. It has no id, and so no handle, before that.
            on_error: what it gets where parts failed: `"raise"`: it fails at once; `"skip"`: the other results;
                `"return"`: a `plait.Failure` in the place of each.
        """
        return group_of(self._client, parts, then, on_error, connection)()

    async def group_async(
        self,
        parts: Iterable[Prepared[Any]],
        then: Prepared[Any] | None = None,
        *,
        on_error: Literal["raise", "skip", "return"] = "raise",
        connection: Any = None,
    ) -> Group:
        """The same without blocking the event loop while they are stored."""
        return await in_thread(group_of(self._client, parts, then, on_error, connection))

    def chain(self, *links: Prepared[Any], connection: Any = None) -> Job[Any]:
        """Enqueue the first of `links`, whose handle this is; the others get, each, what the one before returned."""
        return chain_of(self._client, links, connection)()

    async def chain_async(self, *links: Prepared[Any], connection: Any = None) -> Job[Any]:
        """The same without blocking the event loop while it is stored."""
        return await in_thread(chain_of(self._client, links, connection))

    def schedule(
        self,
        when: str | float | timedelta,
        task: JobTask[..., Any],
        /,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        tz: str | None = None,
        missed: Literal["latest", "all", "none"] = "latest",
        overlap: Literal["skip", "queue", "allow"] | None = None,
        name: str | None = None,
    ) -> Schedule:
        """Enqueue a job of `task` again and again. Any worker that has this code fires it; each time is fired once.

        Parameters:
            when: a cron expression of five fields, seconds, or a `timedelta` (counted from the epoch).
            tz: the time zone of a cron expression; UTC by default. `plait.jobs.calendar` says what becomes of hours
                that are left out or come twice.
            missed: of times at which no worker was there, make up for the last, for all, or for none.
            overlap: while a job of this schedule has not ended: `"skip"` (the default) enqueues no further one;
                `"queue"` (the default with `missed="all"`) enqueues it, and one at a time runs: between two attempts
                of one, another may; `"allow"` lets them run side by side. A task's own `unique=` counts besides.
            name: what it is stored under; the task's name by default. `plait.jobs.schedules` says what becomes of it
                when the code changes.

        Raises:
            OptionError: what cannot be understood. ArgumentRefused: the arguments do not fit.
        """
        if not isinstance(task, JobTask) or self.tasks.get(task.name) is None or task.spec.url != self._client.place:
            raise OptionError("task", task, "it takes a task of this queue, made by @jobs.task")
        draft = task.for_schedule().drafted(*called_with(args, kwargs))
        chosen = task.name if name is None else name
        checked = checked_schedule(chosen, missed, overlap, {schedule.name for schedule in self.schedules})
        calendar = calendar_of(when, tz)
        if checked == "queue":
            task.one_at_a_time()
            draft = msgspec.structs.replace(draft, gates=(*draft.gates, chosen))
        said = f"{when} {tz}" if tz else str(when)
        schedule = Schedule(chosen, said, task, calendar, draft, missed, checked)
        self.schedules.append(schedule)
        return schedule

    # --- running them -----------------------------------------------------------------------------------------------

    def worker(self, *, queues: Sequence[str] = (), concurrency: int | None = None, pulse: bool = True) -> Worker:
        """A worker for all tasks of this queue, in this process; `plait work` starts one. Use it `with`.

        Or `.start()` it once, and `.drain()` it before the process ends, which else takes what runs with it.

        Parameters:
            queues: those that it serves; empty: all.
            concurrency: jobs that it has at once, of all tasks.
        """
        from plait.jobs.worker.worker import MOST, Worker

        firing = Schedules(self.schedules, self.store)
        return Worker(
            self.store,
            self._specs(),
            queues=queues,
            concurrency=MOST if concurrency is None else concurrency,
            hub=self.hub,
            fire=firing.fire,
            pulse=pulse and not self._client.in_memory,
        )

    def _specs(self) -> dict[str, TaskSpec]:
        return {name: task.spec for name, task in self.tasks.items()}

    def observe(
        self, observer: Callable[[Any], object], types: Iterable[type[Event]] | None = None
    ) -> AbstractContextManager[None]:
        """Inside a `with`, call `observer` with each event of `types` of this process's workers (`plait.jobs.events`).

        **Concurrency**: it is called in whichever thread the event happens, some of which claim and settle for all
        tasks: let it be quick. One that raises is dropped and reported.
        """
        return self.hub.subscribe(observer, types)

    def run_pending(self) -> int:
        """For tests: run all jobs that are due in this thread, and what they enqueue in turn; how many that were.

        Retries and delayed jobs run when their time has come: `plait.jobs.testing.VirtualClock` makes it come. What
        jobs say of their progress is not kept, and no `timeout=` ends them: in the caller's thread nothing can.
        """
        from plait.jobs.testing import run_pending

        return run_pending(self.store, self._specs(), self.schedules)

    def pause(self, queue: str = "default") -> None:
        """Let nobody claim jobs of a queue; those that run go on."""
        self.store.pause(checked_queue(queue))

    def resume(self, queue: str = "default") -> None:
        """The opposite."""
        self.store.resume(checked_queue(queue))

    def close(self) -> None:
        """Let go of the store."""
        self._client.close()

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __reduce__(self) -> Any:
        return _again, (self._client, self.keep, self.keep_failed, self.max_bytes)

    def __repr__(self) -> str:
        return f"<jobs in {self._client!r}>"


def _again(client: Client, keep: float, keep_failed: float, max_bytes: int) -> Jobs:
    jobs = Jobs(client.url, keep=keep, keep_failed=keep_failed, max_bytes=max_bytes)
    jobs._client = client
    return jobs
