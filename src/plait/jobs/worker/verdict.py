"""What becomes of a job whose attempt has failed. Pure."""

from __future__ import annotations

from collections.abc import Callable

from plait.errors import JobCancelled, Stale, WorkerLost
from plait.failure import Failure
from plait.jobs.codec import Misfit
from plait.jobs.protocol import CRASHES, Event
from plait.jobs.records import Outcome
from plait.jobs.worker.perform import Hindered, Order, PartsFailed, Snooze
from plait.jobs.worker.words import storable
from plait.policy.retry import Retry

__all__ = ["HINDERED", "MISFIT", "PATIENCE", "bare", "verdict"]

#: Seconds until a job comes back whose arguments do not fit the code here, and for how long it does: others' may.
MISFIT, PATIENCE = 10.0, 3600.0
#: Seconds until a job comes back that could not begin or be settled, since its seat could not use the store.
HINDERED = 1.0
#: Characters of a traceback that are kept: its end says most.
LONGEST = 20_000


def verdict(failure: Failure, retry: Retry, keep: float, now: float, draw: Callable[[], float]) -> Outcome | None:
    """The outcome of a failed attempt; `None`: there is nothing to settle.

    Parameters:
        failure: as the engine tells of it; its item is the `Order`.
        keep: seconds for which a failed job is kept.
        now: seconds since the epoch. draw: makes random numbers from 0 to 1.
    """
    order: Order = failure.item
    error = failure.exception
    said = _one_line(error)

    def outcome(event: Event, delay: float = 0.0, text: str = "") -> Outcome:
        return Outcome(
            id=order.job,
            token=order.token,
            event=event,
            delay=delay,
            error=said,
            traceback=storable(text[-LONGEST:]),
            keep=keep,
        )

    # A task may ask for other jobs, and be told of those that they were cancelled or are not this worker's.
    its_own = isinstance(error, Stale | JobCancelled) and error.job == order.job
    if isinstance(error, Stale) and its_own:
        return None
    if isinstance(error, Snooze):
        return outcome(Event.SNOOZE, error.seconds)
    if isinstance(error, Hindered):
        return outcome(Event.SNOOZE, HINDERED)
    if isinstance(error, JobCancelled) and its_own:
        return outcome(Event.STOP)
    if isinstance(error, Misfit) and now - order.created < PATIENCE:
        return outcome(Event.SNOOZE, MISFIT)
    if isinstance(error, PartsFailed):
        return outcome(Event.FAIL)
    if isinstance(error, WorkerLost) and error.crashes >= CRASHES:  # it was run again, alone, and killed that, too
        return outcome(Event.FAIL, text=failure.traceback)
    try:
        wait = retry.wait(order.attempt, error, now - order.created, draw())
    except Exception as asked:  # the user's predicate
        error.add_note(f"Retry(on=...) was asked whether to try again, and raised {_one_line(asked)}")
        wait = None
    if wait is None:
        return outcome(Event.FAIL, text=failure.traceback)
    return outcome(Event.RETRY, wait, failure.traceback)


def bare(job: int, token: int, error: BaseException, keep: float) -> Outcome:
    """The outcome of a job where not even what became of it can be told."""
    said = f"What became of it could not be stored: {type(error).__name__}".encode("ascii", "replace").decode()
    return Outcome(id=job, token=token, event=Event.FAIL, error=said, keep=keep)


def _one_line(error: BaseException) -> str:
    try:
        said = str(error)
        lines = (f"{type(error).__name__}: {said}" if said else type(error).__name__).splitlines()
    except Exception as why:
        lines = [f"{type(error).__name__} (its message cannot be had: {type(why).__name__})"]
    return storable(lines[0][:500]) if lines else type(error).__name__
