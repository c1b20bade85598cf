"""Every error that Plait raises: what happened, why, and what to do now.

Three families. *You misused it*: `OptionError`, `UnknownOption`, `RunUsedTwice`, `MissingExtra`. *Your function
failed*: `ItemTimeout`, `TooManyFailures`, `CannotTravel`, `FunctionStopped` (what a function raises itself is raised
as it is, with notes). *The world failed*: `WorkerLost`, `StartFailed`, `RunCancelled`, `JournalError`, `JournalBusy`
(of `JournalChanged`, a warning, the run goes on), `StoreError`, `StoreBusy`, `QueueMoved`.

Of jobs: `ArgumentRefused` and `ConnectionRefused` at enqueue; `JobFailed`, `JobCancelled`, `JobUnknown` and
`ResultTimeout` where a result is asked for; `Stale` where a job is no longer a worker's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "ArgumentRefused",
    "CannotTravel",
    "ConnectionRefused",
    "FunctionStopped",
    "ItemTimeout",
    "JobCancelled",
    "JobFailed",
    "JobUnknown",
    "JournalBusy",
    "JournalChanged",
    "JournalError",
    "MissingExtra",
    "OptionError",
    "PlaitError",
    "QueueMoved",
    "ResultTimeout",
    "RunCancelled",
    "RunUsedTwice",
    "Stale",
    "StartFailed",
    "StoreBusy",
    "StoreError",
    "TooManyFailures",
    "UnknownOption",
    "WorkerLost",
]


class PlaitError(Exception):
    """The parent of every error that Plait raises itself."""

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        # Parts are kept as attributes: rebuilding from the message and them needs no subclass's signature.
        return _rebuild, (type(self), str(self), self.__dict__)


def _rebuild(kind: type[PlaitError], message: str, parts: dict[str, Any]) -> PlaitError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(parts)
    return error


def nearest(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'threads'?"` when `name` resembles a known one, else nothing."""
    import difflib  # 5 ms, and only a mistake needs it

    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class OptionError(PlaitError, ValueError):
    """An option has a value that it cannot have."""

    def __init__(self, option: str, value: object, wants: str) -> None:
        self.option, self.value, self.wants = option, value, wants
        super().__init__(f"{option}={_quoted(value)} cannot be used: {wants}.")

    def __reduce__(self) -> tuple[Any, ...]:
        # The value may be anything, a lock included: it travels as its repr; the message stays as it was.
        return _rebuild, (type(self), str(self), self.__dict__ | {"value": repr(self.value)})


def _quoted(value: object, most: int = 200) -> str:
    said = repr(value)
    return said if len(said) <= most else f"{said[:most]}... ({len(said):,} characters)"


class UnknownOption(PlaitError, TypeError):
    """An option, model, place or style that does not exist."""

    def __init__(self, what: str, name: object, known: Iterable[str], hint: str = "") -> None:
        self.what, self.name, self.known = what, name, sorted(known)
        tail = hint or f"{nearest(str(name), self.known).lstrip()} Known: {', '.join(self.known)}."
        super().__init__(f"There is no {what} {name!r}. {tail.lstrip()}")


class RunUsedTwice(PlaitError, RuntimeError):
    """A run was consumed a second time."""

    def __init__(self, how: str) -> None:
        self.how = how
        super().__init__(
            f"This run has been consumed already (now by {how}); a run is single use. "
            "Call plait.map(...) again, or keep its results in a list."
        )


class MissingExtra(PlaitError, ImportError):
    """A feature needs a package that an extra of Plait brings."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        self.feature, self.package, self.extra = feature, package, extra
        super().__init__(f"{feature} needs {package}, which is not installed. Run: pip install 'plait[{extra}]'")


class ItemTimeout(PlaitError, TimeoutError):
    """An attempt took longer than `timeout=` or its item longer than `deadline=`."""

    def __init__(self, seconds: float, option: str = "timeout", fate: str = "") -> None:
        self.seconds, self.option, self.fate = seconds, option, fate
        super().__init__(f"The attempt was not finished after {option}={seconds:g} s{'; ' + fate if fate else ''}.")


class TooManyFailures(PlaitError, RuntimeError):
    """More items failed than `max_failures=` allows."""

    def __init__(self, failures: int, finished: int, limit: float) -> None:
        self.failures, self.finished, self.limit = failures, finished, limit
        super().__init__(
            f"{failures} of {finished} finished items failed, more than max_failures={limit!r} allows; "
            "the run was ended. The failures so far are in run.failures."
        )


class CannotTravel(PlaitError, TypeError):
    """A function, item, result or exception cannot be sent between processes."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        self.what, self.why, self.remedy = what, why, remedy
        super().__init__(f"{what} cannot travel between processes: {why}. {remedy}")


class FunctionStopped(PlaitError, RuntimeError):
    """The function raised `StopIteration`, which would silently end the iteration of the results."""

    def __init__(self) -> None:
        super().__init__(
            "The function raised StopIteration (often a next() on an empty iterator inside it). "
            "Give that next() a default, or catch StopIteration in the function."
        )


class WorkerLost(PlaitError, RuntimeError):
    """A worker died with this item in hand, or before it could begin any."""

    def __init__(self, pid: int, status: str, crashes: int, stack: str = "", hint: str = "") -> None:
        self.pid, self.status, self.crashes, self.stack, self.hint = pid, status, crashes, stack, hint
        times = "" if crashes < 2 else f"; {crashes} workers died with this item in hand"
        tail = f" {hint}" if hint else ""
        shown = f"\nIts Python stack when it died:\n{stack}" if stack else ""
        super().__init__(f"Worker {pid} died: {status}{times}.{tail}{shown}")


class StartFailed(PlaitError, RuntimeError):
    """No worker process could be started."""

    def __init__(self, why: str, remedy: str = 'model="threads" runs without worker processes.') -> None:
        self.why, self.remedy = why, remedy
        super().__init__(f"No worker could be started: {why}. {remedy}")


class RunCancelled(PlaitError):
    """The run was cancelled before all results were delivered."""

    def __init__(self, why: str = "run.cancel() was called") -> None:
        self.why = why
        super().__init__(f"The run was cancelled ({why}); results that were not delivered yet are gone.")


class JournalError(PlaitError):
    """A journal cannot be used, or cannot hold a key or a result faithfully."""

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        self.path, self.problem, self.remedy = path, problem, remedy
        super().__init__(f"Journal {path}: {problem}. {remedy}")


class JournalBusy(JournalError):
    """Another run uses this journal."""

    def __init__(self, path: str, pid: int | None = None) -> None:
        self.pid = pid
        who = "another run" if pid is None else f"the run of process {pid}"
        super().__init__(
            path, f"{who} is using it", "Wait until that run has ended, or give this run a journal of its own."
        )


class JournalChanged(PlaitError, UserWarning):
    """A function or its options are not those with which a journal's results were recorded."""

    def __init__(self, path: str, stage: str, changed: str) -> None:
        self.path, self.stage, self.changed = path, stage, changed
        super().__init__(
            f"Journal {path}: stage {stage!r} has changed since its results were recorded: {changed}. They are "
            "replayed all the same. To run every item again, delete the file (`plait map` has --restart for that)."
        )


class StoreError(PlaitError, RuntimeError):
    """The store of jobs cannot be used: what was asked for has not happened."""


class StoreBusy(StoreError):
    """Others kept the store locked for so long that it made no sense to wait on."""


class QueueMoved(StoreError):
    """A queue has moved to another store, or is about to: what was asked for has not happened here.

    Parameters:
        to: where. done: whether it has gone for good, and will not come back as it was; if not, ask again soon.
        source: where it comes from, if it is just arriving where it was asked for.
    """

    def __init__(self, to: str, done: bool, source: str | None = None) -> None:
        self.to, self.done, self.source = to, done, source
        nothing = "nothing was done here. "
        if done:
            said = f"This queue has moved to {to}: {nothing}Use Jobs(...) with that URL."
        elif source is None:
            said = (
                f"This queue is just being moved to {to}: {nothing}Wait for `plait jobs move`, and use that URL then."
            )
        else:
            said = f"A queue is arriving here from {source}: {nothing}Wait for `plait jobs move`, or run it again."
        super().__init__(said)


class ConnectionRefused(PlaitError, TypeError):
    """`connection=` is none in whose transaction jobs can be stored."""


class ArgumentRefused(PlaitError, TypeError):
    """The arguments of a job do not fit its task, cannot be stored, or are too large.

    Parameters:
        call: which one of many that were given together.
    """

    def __init__(self, task: str, why: str, call: str = "") -> None:
        self.task, self.why, self.call = task, why, call
        super().__init__(f"{task} was not enqueued{f' ({call})' if call else ''}: {why}")


class Stale(PlaitError, RuntimeError):
    """A job is no longer the worker's: its lease was lost, or somebody else has settled it."""

    def __init__(self, job: int) -> None:
        self.job = job
        super().__init__(f"Job {job} is no longer this worker's: what it did with it does not count.")


class JobFailed(PlaitError, RuntimeError):
    """The job whose result was asked for has failed; `traceback` is that of its last attempt, as text."""

    def __init__(self, job: int, error: str, traceback: str = "") -> None:
        self.job, self.error, self.traceback = job, error, traceback
        super().__init__(f"Job {job} has failed: {error}")
        if traceback:
            self.add_note(f"In the worker:\n{traceback}")


class JobCancelled(PlaitError, RuntimeError):
    """The job whose result was asked for was cancelled."""

    def __init__(self, job: int) -> None:
        self.job = job
        super().__init__(f"Job {job} was cancelled.")


class JobUnknown(PlaitError, LookupError):
    """There is no such job, or what it came to is kept no longer."""

    def __init__(self, job: int) -> None:
        self.job = job
        super().__init__(
            f"Job {job} is not known here: it was never stored, or it ended and what it came to is not kept any more "
            "(keep= says for how long)."
        )


class ResultTimeout(PlaitError, TimeoutError):
    """A job had not ended when the time was up."""

    def __init__(self, job: int, seconds: float, state: str, why: str = "") -> None:
        self.job, self.seconds, self.state, self.why = job, seconds, state, why
        super().__init__(f"Job {job} had not ended after {seconds:g} s: it is {state}{f': {why}' if why else ''}.")
