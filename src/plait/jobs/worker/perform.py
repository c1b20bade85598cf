"""`Perform`: what runs in a lane's seats, and makes a stored job a call of its task."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any, NamedTuple

import msgspec

from plait.errors import JobFailed, Stale
from plait.failure import Failure
from plait.jobs.codec import Signature, encode_result
from plait.jobs.protocol import State
from plait.jobs.records import Claimed, Part
from plait.jobs.spec import TaskSpec
from plait.jobs.worker.notes import Current

__all__ = ["SETTLED", "Order", "Perform", "PerformAsync", "Snooze", "current", "performer"]


class Order(NamedTuple):
    """A claimed job, as it travels to a seat."""

    job: int
    token: int
    args: bytes
    attempt: int
    crashes: int
    created: float
    feed: bytes | None = None
    parts: tuple[Part, ...] | None = None
    on_error: str = "raise"

    @classmethod
    def of(cls, job: Claimed) -> Order:
        """The order of a claimed job."""
        known = job.id, job.token, job.args, job.attempt, job.crashes, job.created
        return cls(*known, job.feed, job.parts, job.on_error)


#: Stands for the result of a job that was settled in its task's own transaction.
SETTLED = "settled"


class Snooze(Exception):
    """Raised by a task: the job comes back after `seconds`, and this attempt does not count."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


_here = threading.local()
_there: ContextVar[Current | None] = ContextVar("plait_job", default=None)


def current() -> Current:
    """The job that the calling task runs for.

    Raises:
        LookupError: it was not called by a worker.
    """
    found = _there.get() or getattr(_here, "job", None)
    if found is None:
        raise LookupError("plait.jobs.current() was called outside of a job that a worker runs.")
    return found


def performer(task: TaskSpec, post: str) -> Perform:
    """What runs a task's jobs in the seats.

    Parameters:
        post: the path of the worker's socket for progress.
    """
    return PerformAsync(task, post) if task.is_async else Perform(task, post)


class Perform:
    """Calls a task for an order; returns the job's id and its encoded result."""

    def __init__(self, task: TaskSpec, post: str) -> None:
        self.function, self.name, self.url, self.post = task.function, task.name, task.url, post
        self.transactional = task.transactional
        self.largest, self.keep = task.largest, task.keep
        self._ready: Signature | None = None
        self.__wrapped__ = task.function

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_ready": None}

    @property
    def _signature(self) -> Signature:
        if self._ready is None:
            self._ready = Signature(self.function, self.name, skip=1 if self.transactional else 0)
        return self._ready

    def __call__(self, order: Order, **resources: Any) -> tuple[int, bytes | str | None]:
        """Run one job."""
        args, kwargs = self._arguments(order)
        self._begin(order)
        _here.job = Current(order.job, order.token, order.attempt, order.crashes, self.post)
        try:
            if self.transactional:
                return self._transact(order, args, kwargs | resources)
            value = self.function(*args, **kwargs, **resources)
        finally:
            _here.job = None
        return order.job, self._encoded(value)

    def _begin(self, order: Order) -> None:
        """Before a job runs that has lost a worker: if it kills this one, that is to be known."""
        if order.crashes and self.url:
            from plait.jobs.open import shared_store

            if not shared_store(self.url).begin(order.job, order.token):
                raise Stale(order.job)

    def _encoded(self, value: Any) -> bytes | None:
        return None if value is None or self.keep <= 0 else encode_result(value, self.name, self.largest)

    def _arguments(self, order: Order) -> tuple[list[Any], dict[str, Any]]:
        if order.parts is not None:
            return self._signature.decode_fed(order.args, _results(order.parts, order.on_error))
        if order.feed is not None:
            return self._signature.decode_fed(order.args, msgspec.msgpack.decode(order.feed))
        return self._signature.decode(order.args)

    def _transact(self, order: Order, args: list[Any], kwargs: dict[str, Any]) -> tuple[int, str]:
        from plait.jobs.open import shared_store

        with shared_store(self.url).transact(order.job, order.token) as transaction:
            value = self.function(transaction.connection, *args, **kwargs)
            transaction.finish(self._encoded(value), self.keep)
        return order.job, SETTLED


class PerformAsync(Perform):
    """The same for a coroutine function."""

    async def __call__(self, order: Order, **resources: Any) -> tuple[int, bytes | str | None]:  # type: ignore[override]
        """Run one job."""
        args, kwargs = self._arguments(order)
        self._begin(order)
        token = _there.set(Current(order.job, order.token, order.attempt, order.crashes, self.post))
        try:
            value = await self.function(*args, **kwargs, **resources)
        finally:
            _there.reset(token)
        return order.job, self._encoded(value)


def _results(parts: tuple[Part, ...], on_error: str) -> list[Any]:
    """What the parts of a group came to, in their order."""
    bad = [part for part in parts if part.state is not State.DONE]
    if bad and on_error == "raise":
        raise JobFailed(bad[0].id, f"{len(bad)} of {len(parts)} parts of the group did not succeed: {bad[0].error}")
    found: list[Any] = []
    for at, part in enumerate(parts):
        if part.state is State.DONE:
            found.append(msgspec.msgpack.decode(part.result) if part.result is not None else None)
        elif on_error == "return":
            found.append(Failure(None, at, "group", 1, JobFailed(part.id, part.error), ""))
    return found
