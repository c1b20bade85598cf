"""`Job`: a job that was enqueued, wherever it runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from plait.errors import JobCancelled, JobFailed, JobUnknown, ResultTimeout
from plait.jobs.client import Client
from plait.jobs.protocol import State
from plait.jobs.records import Ended, Snapshot

__all__ = ["Group", "Job"]

R = TypeVar("R")


def _plainly(data: bytes | None) -> Any:
    """What a job returned, where its task's annotations are not known."""
    return msgspec.msgpack.decode(data) if data is not None else None


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
        """What it returned, waiting until it has ended, `timeout` seconds at most (`None`: for ever).

        Raises:
            JobFailed: it has failed; with the traceback of its last attempt. JobCancelled: it was cancelled.
            ResultTimeout: it has not ended yet. JobUnknown: it is not known (any more).
        """
        future = self._client.awaiting.end_of(self.id)
        try:
            ended = future.result(timeout)
        except (concurrent.futures.TimeoutError, TimeoutError):
            self._client.awaiting.forget(self.id, future)
            raise self._too_late(timeout or 0.0) from None
        return self._value(ended)

    async def aresult(self, timeout: float | None = None) -> R:
        """The same without blocking the event loop."""
        future = self._client.awaiting.end_of(self.id)
        try:
            ended = await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            self._client.awaiting.forget(self.id, future)
            raise await asyncio.to_thread(self._too_late, timeout or 0.0) from None
        return self._value(ended)

    def _too_late(self, timeout: float) -> ResultTimeout:
        return ResultTimeout(self.id, timeout, str(self.state))

    def _value(self, ended: Ended | None) -> R:
        if ended is None:
            raise JobUnknown(self.id)
        if ended.state is State.FAILED:
            raise JobFailed(self.id, ended.error, ended.traceback)
        if ended.state is State.CANCELLED:
            raise JobCancelled(self.id)
        return self._read(ended.result)

    def cancel(self) -> State:
        """Let nobody run it; one that runs is stopped. Its state after: `running` until its worker has stopped it."""
        found = self._client.store.cancel([self.id])
        if self.id not in found:
            raise JobUnknown(self.id)
        return found[self.id]

    def retry(self) -> bool:
        """Have it run again, if it has failed or was cancelled."""
        return bool(self._client.store.redo([self.id]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id and other._client.url == self._client.url

    def __hash__(self) -> int:
        return hash((self.id, self._client.url))

    def __repr__(self) -> str:
        named = f" of {self.task}" if self.task else ""
        return f"<job {self.id}{named}>"


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
        """What the parts returned, in order; raises as `Job.result` does for the first that did not succeed."""
        return [job.result(timeout) for job in self.jobs]

    def cancel(self) -> None:
        """Cancel all parts that have not ended."""
        self._client.store.cancel([job.id for job in self.jobs])

    def __len__(self) -> int:
        return len(self.jobs)

    def __repr__(self) -> str:
        return f"<group {self.id} of {len(self.jobs)} jobs>"
