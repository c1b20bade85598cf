"""`Perform`: what runs in a lane's seats, and makes a stored job a call of its task."""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any, NamedTuple

from plait.errors import JobCancelled, JobFailed, PlaitError, Stale
from plait.failure import Failure
from plait.jobs.codec import Misfit, Signature, encode_result, hints_of
from plait.jobs.protocol import State
from plait.jobs.records import Claimed, Part
from plait.jobs.spec import TaskSpec
from plait.jobs.store import Broken, Transaction
from plait.jobs.values import plainly
from plait.jobs.worker.notes import Current
from plait.jobs.worker.shield import shield

__all__ = ["SETTLED", "Hindered", "Order", "PartsFailed", "Perform", "PerformAsync", "Snooze", "current", "performer"]


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
    """Raised by a task: the job comes back after `seconds`, and this attempt does not count.

    Raises:
        TypeError, ValueError: `seconds` is no number from 0; then the attempt has failed.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = float(seconds)
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ValueError(f"Snooze takes a number of seconds from 0, and {seconds} is none that ever passes.")


class PartsFailed(JobFailed):
    """Parts of the group whose results a job is to get have not succeeded: no further attempt would change that."""

    def __init__(self, job: int, error: str) -> None:
        self.job, self.error, self.traceback = job, error, ""
        PlaitError.__init__(self, error)


class Hindered(Exception):
    """The store could not be used for what a job needs of it besides its task: nothing is held against the job."""


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
        self.transactional, self.resources = task.transactional, frozenset(task.rules.resources)
        self.largest, self.keep = task.largest, task.keep
        self._ready: Signature | None = None
        self._hints: dict[str, Any] | None = None
        self.__wrapped__ = task.function

    def __getstate__(self) -> dict[str, Any]:
        """What travels. A function of `__main__` goes without the names that only its annotations, as texts, have."""
        annotated = getattr(self.function, "__annotations__", {}).values()
        texts = getattr(self.function, "__module__", "") == "__main__" and any(type(one) is str for one in annotated)
        return self.__dict__ | {"_ready": None, "_hints": hints_of(self.function)[0] if texts else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        shield()  # it has come to a seat's process

    @property
    def _signature(self) -> Signature:
        if self._ready is None:
            skip = 1 if self.transactional else 0
            self._ready = Signature(self.function, self.name, skip=skip, without=self.resources, hints=self._hints)
        return self._ready

    def __call__(self, order: Order, **resources: Any) -> tuple[int, bytes | str | None]:
        """Run one job."""
        args, kwargs = self._arguments(order)
        self._begin(order)
        job = _here.job = Current(order.job, order.token, order.attempt, order.crashes, self.post)
        try:
            if self.transactional:
                return self._transact(order, args, kwargs | resources)
            value = self.function(*args, **kwargs, **resources)
        finally:
            _here.job = None
            job.over()
        return order.job, self._encoded(value)

    def _begin(self, order: Order) -> None:
        """Before a job runs that has lost a worker: if it kills this one, that is to be known."""
        if order.crashes and self.url:
            from plait.jobs.open import shared_store

            try:
                mine = shared_store(self.url).begin(order.job, order.token)
            except Exception as error:
                raise _hindered(error) from error
            if not mine:
                raise Stale(order.job)

    def _encoded(self, value: Any) -> bytes | None:
        if value is None:
            return None
        try:
            return encode_result(value, self.name, self.largest)
        except ValueError:
            if self.keep > 0:
                raise
            return None  # what is not kept need not be storable; but what follows in a group or chain gets it

    def _arguments(self, order: Order) -> tuple[list[Any], dict[str, Any]]:
        if order.parts is not None:
            return self._of_group(order, order.parts)
        if order.feed is not None:
            return self._signature.decode_fed(order.args, plainly(order.feed))
        return self._signature.decode(order.args)

    def _of_group(self, order: Order, parts: tuple[Part, ...]) -> tuple[list[Any], dict[str, Any]]:
        bad = [part for part in parts if part.state is not State.DONE]
        if bad and order.on_error == "raise":
            count, first = f"{len(bad):,} of {len(parts):,} parts of the group did not succeed", _end_of(bad[0])
            what = f"{count}: {'' if len(bad) == 1 else 'first, '}{first}"
            raise PartsFailed(bad[0].id, what)
        try:
            return self._signature.decode_fed(order.args, _results(parts, order.on_error))
        except Misfit as error:
            if not bad or order.on_error != "return":
                raise
            stands = "a plait.Failure stands for it among the results, which the annotation does not allow"
            what = f"{_end_of(bad[0])}; {stands}: {error}"
            raise PartsFailed(bad[0].id, what) from error

    def _transact(self, order: Order, args: list[Any], kwargs: dict[str, Any]) -> tuple[int, str]:
        try:
            return self._transacted(order, args, kwargs)
        except Broken as error:  # the server's doing
            raise _hindered(error) from error

    def _transacted(self, order: Order, args: list[Any], kwargs: dict[str, Any]) -> tuple[int, str]:
        with ExitStack() as leaving:
            transaction = self._entered(leaving, order)
            value = self.function(transaction.connection, *args, **kwargs)
            result = self._encoded(value)
            try:
                transaction.finish(result, self.keep)
            except (PlaitError, OSError) as error:
                if isinstance(error, Stale) or not _is_away(error):
                    raise
                raise _hindered(error) from error  # undone; or done, if the connection broke: then this is refused
        return order.job, SETTLED

    def _entered(self, leaving: ExitStack, order: Order) -> Transaction:
        from plait.jobs.open import shared_store

        try:
            return leaving.enter_context(shared_store(self.url).transact(order.job, order.token))
        except Stale:
            raise
        except Exception as error:
            raise _hindered(error) from error


def _is_away(error: BaseException) -> bool:
    """Whether the store could not be used, rather than would not have what the task did (a violated constraint)."""
    said = {kind.__name__ for kind in type(error.__cause__).__mro__}  # PEP 249's names, whatever the driver
    return "DatabaseError" not in said or "OperationalError" in said


def _hindered(error: BaseException) -> Hindered:
    return Hindered(f"{type(error).__name__}: {error}")


class PerformAsync(Perform):
    """The same for a coroutine function."""

    async def __call__(self, order: Order, **resources: Any) -> tuple[int, bytes | str | None]:  # type: ignore[override]
        """Run one job."""
        args, kwargs = self._arguments(order)
        self._begin(order)
        job = Current(order.job, order.token, order.attempt, order.crashes, self.post)
        token = _there.set(job)
        try:
            value = await self.function(*args, **kwargs, **resources)
        finally:
            _there.reset(token)
            job.over()
        return order.job, self._encoded(value)


def _results(parts: tuple[Part, ...], on_error: str) -> list[Any]:
    """What the parts of a group came to, in their order."""
    found: list[Any] = []
    for at, part in enumerate(parts):
        if part.state is State.DONE:
            found.append(plainly(part.result) if part.result is not None else None)
        elif on_error == "return":
            cancelled = part.state is State.CANCELLED
            error = JobCancelled(part.id) if cancelled else JobFailed(part.id, part.error)
            found.append(Failure(None, at, "group", 1, error, ""))
    return found


def _end_of(part: Part) -> str:
    """How a part ended that did not succeed."""
    return f"job {part.id} was cancelled" if part.state is State.CANCELLED else f"job {part.id} failed: {part.error}"
