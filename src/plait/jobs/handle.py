"""`Job`: a job that was enqueued, wherever it runs."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from plait.errors import JobCancelled, JobFailed, JobUnknown, OptionError, ResultTimeout
from plait.jobs.client import Client
from plait.jobs.protocol import State
from plait.jobs.reasons import why_not_ended
from plait.jobs.records import Ended, Snapshot
from plait.jobs.values import plainly

__all__ = ["Group", "Job", "job_by_id"]

R = TypeVar("R")
#: Parts of a group that are looked up, or cancelled, at once.
_AT_ONCE = 250


def _plainly(data: bytes | None) -> Any:
    """What a job returned, where its task's annotations are not known."""
    return plainly(data) if data is not None else None


class Job(Generic[R]):
    """A stored job.

    Attributes:
        id: its number, never used again. task: its task's name, if it is known.
        fresh: whether this enqueue stored it (else a job with the same `unique=` stood for it).
    """

    __slots__ = ("_client", "_read", "fresh", "id", "task")

    def __init__(
        self,
        client: Client,
        job: int,
        task: str = "",
        read: Callable[[bytes | None], R] = _plainly,
        *,
        fresh: bool = True,
    ) -> None:
        self._client, self.id, self.task, self._read, self.fresh = client, job, task, read, fresh

    def show(self) -> Snapshot:
        """All that is known of it.

        Raises:
            JobUnknown: nothing is (any more).
        """
        found = self._client.store.show(self.id)
        if found is None:
            raise JobUnknown(self.id)
        return found

    @property
    def state(self) -> State:
        """Where it is now."""
        found = self._client.store.states([self.id])
        if self.id not in found:
            raise JobUnknown(self.id)
        return found[self.id]

    @property
    def attempt(self) -> int:
        """Attempts that have begun, crashes not counted."""
        return self.show().attempt

    @property
    def progress(self) -> float | None:
        """How far its task says it is, from 0 to 1; `None`: it has not said."""
        return self.show().progress

    def result(self, timeout: float | None = None) -> R:
        """What it returned, waiting until it has ended, `timeout` seconds at most (`None`: for ever; 0: not at all).

        Raises:
            JobFailed: it has failed; with the traceback of its last attempt. JobCancelled: it was cancelled.
            ResultTimeout: it has not ended yet. JobUnknown: it is not known (any more).
            StoreError: the store cannot be used (any more).
        """
        ended = self._client.store.ended([self.id])
        return self._value(ended[0] if ended else self._end(timeout))

    def _end(self, timeout: float | None) -> Ended | None:
        if timeout is not None and timeout <= 0:
            raise self._too_late(0.0)
        future = self._client.awaiting.end_of(self.id)
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.done():  # at the last moment; or what it failed with is a TimeoutError, too
                return future.result()
            raise self._too_late(timeout or 0.0) from None
        finally:
            self._client.awaiting.forget(self.id, future)

    async def aresult(self, timeout: float | None = None) -> R:
        """The same without blocking the event loop."""
        if not self._client.is_open or (timeout is not None and timeout <= 0):
            await asyncio.to_thread(lambda: self._client.awaiting)
        if timeout is not None and timeout <= 0:
            return await asyncio.to_thread(self.result, 0.0)
        awaiting = self._client.awaiting
        future = awaiting.end_of(self.id)
        try:
            ended = await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            if future.done() and not future.cancelled():
                return self._value(future.result())
            raise await asyncio.to_thread(self._too_late, timeout or 0.0) from None
        finally:
            awaiting.forget(self.id, future)
        return self._value(ended)

    def _too_late(self, timeout: float) -> ResultTimeout:
        found = self.show()
        return ResultTimeout(self.id, timeout, str(found.state), why_not_ended(self._client.store, found))

    def _value(self, ended: Ended | None) -> R:
        if ended is None:
            raise JobUnknown(self.id)
        if ended.state is State.FAILED:
            raise JobFailed(self.id, ended.error, ended.traceback)
        if ended.state is State.CANCELLED:
            raise JobCancelled(self.id)
        return self._read(ended.result)

    def cancel(self) -> State:
        """Let nobody run it; one that runs is stopped. Its state after: `running` until its worker has stopped it.

        In a thread beside others it cannot be: the job is cancelled, and its function goes on for nothing.
        """
        found = self._client.store.cancel([self.id])
        if self.id not in found:
            raise JobUnknown(self.id)
        return found[self.id]

    def retry(self) -> bool:
        """Have it run again, if it has failed or was cancelled."""
        return bool(self._client.store.redo([self.id]))

    def __reduce__(self) -> tuple[Any, ...]:
        # How results are read travels with the task where that is found by its name; else they come as plain data.
        read = self._read if _is_importable(getattr(self._read, "__self__", None)) else _plainly
        return _job, (self._client, self.id, self.task, read, self.fresh)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id and other._client.place == self._client.place

    def __hash__(self) -> int:
        return hash((self.id, self._client.place))

    def __repr__(self) -> str:
        named = f" of {self.task}" if self.task else ""
        return f"<job {self.id}{named}>"


def _job(client: Client, job: int, task: str, read: Callable[[bytes | None], Any], fresh: bool) -> Job[Any]:
    return Job(client, job, task, read, fresh=fresh)


def _is_importable(thing: Any) -> bool:
    found: Any = sys.modules.get(getattr(thing, "__module__", None) or "")
    for part in getattr(thing, "__qualname__", "?").split("."):
        found = getattr(found, part, None)
    return thing is not None and found is thing


def job_by_id(client: Client, job: int, tasks: Mapping[str, Any]) -> Job[Any]:
    """The handle of a job of which only the id is known; its result is read by whichever of `tasks` it is of.

    Raises:
        OptionError: it is no id.
    """
    if not isinstance(job, int) or isinstance(job, bool):
        raise OptionError("job", job, "it takes the id of a job, a whole number")

    def read(result: bytes | None) -> Any:
        found = client.store.show(job) if result is not None else None
        task = tasks.get(found.task) if found is not None else None
        return task.read(result) if task is not None else _plainly(result)

    return Job(client, job, read=read)


class Group:
    """Jobs that were enqueued as one.

    Attributes:
        id: its number. jobs: its parts, in order.
    """

    __slots__ = ("_client", "id", "jobs")

    def __init__(self, client: Client, group: int, parts: list[Job[Any]]) -> None:
        self._client, self.id, self.jobs = client, group, parts

    @property
    def left(self) -> int:
        """How many parts have not ended."""
        found = self._client.store.group(self.id)
        return found[1] if found is not None else 0

    def results(self, timeout: float | None = None) -> list[Any]:
        """What the parts returned, in order, once all have, `timeout` seconds at most.

        Raises:
            JobFailed, JobCancelled, JobUnknown: as `Job.result` for the first part that did not succeed.
            ResultTimeout: not all have ended.
        """
        until = None if timeout is None else time.monotonic() + timeout
        found: list[Any] = []
        known: dict[int, Ended] = {}
        for at, job in enumerate(self.jobs):
            if job.id not in known:
                known = self._known(at)
            ended = known.get(job.id) or job._end(None if until is None else max(0.0, until - time.monotonic()))
            found.append(job._value(ended))
        return found

    async def aresults(self, timeout: float | None = None) -> list[Any]:
        """The same without blocking the event loop."""
        until = None if timeout is None else time.monotonic() + timeout
        found: list[Any] = []
        known: dict[int, Ended] = {}
        for at, job in enumerate(self.jobs):
            if job.id not in known:
                known = await asyncio.to_thread(self._known, at)
            if job.id in known:
                found.append(job._value(known[job.id]))
            else:
                found.append(await job.aresult(None if until is None else max(0.0, until - time.monotonic())))
        return found

    def _known(self, first: int) -> dict[int, Ended]:
        """Which of the parts from `first` on have ended: as many as are looked up at once."""
        return {ended.id: ended for ended in self._client.store.ended(self._ids(first))}

    def _ids(self, first: int) -> list[int]:
        return [job.id for job in self.jobs[first : first + _AT_ONCE]]

    def cancel(self) -> None:
        """Cancel all parts that have not ended."""
        for first in range(0, len(self.jobs), _AT_ONCE):
            self._client.store.cancel(self._ids(first))

    def __reduce__(self) -> tuple[Any, ...]:
        return Group, (self._client, self.id, self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __repr__(self) -> str:
        return f"<group {self.id} of {len(self.jobs)} jobs>"
