"""`FILE.py:JOBS`, `module:JOBS`, or a store's URL: the queue that a command is about."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING

from plait.cli.target import Kind, TargetError, find, kind_of
from plait.errors import StoreError
from plait.jobs.importing import importing

if TYPE_CHECKING:
    from plait.jobs.jobs import Jobs

__all__ = ["existing", "is_there", "jobs_of", "load_jobs"]


def _made(statement: ast.stmt) -> str | None:
    """The name that `NAME = plait.Jobs(...)` gives."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return None
    called = statement.value.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    target = statement.targets[0]
    return target.id if name == "Jobs" and isinstance(target, ast.Name) else None


def _fits(thing: object) -> bool:
    return any(kind.__name__ == "Jobs" and kind.__module__.startswith("plait.") for kind in type(thing).__mro__)


KIND = Kind("queue", "JOBS", _made, _fits)


def load_jobs(target: str) -> Jobs:
    """The queue that `target` names, with its tasks.

    Raises:
        TargetError: it names none.
    """
    with importing(target):
        found = find(target, KIND)
    if not _fits(found):
        raise TargetError(target, f"it is {kind_of(found)}, not a plait.Jobs", KIND.forms)
    jobs: Jobs = found
    return jobs


def jobs_of(target: str | None) -> Jobs:
    """The queue of a target, a URL, or of what `PLAIT_JOBS` says.

    Raises:
        TargetError: it names none, or one that only its own process can look at.
    """
    from plait.jobs.jobs import Jobs

    said = target or os.environ.get("PLAIT_JOBS")
    if not said:
        remedy = "Name a queue, FILE.py:JOBS or a URL like sqlite:///jobs.db, or set PLAIT_JOBS."
        raise TargetError("TARGET", "none was given", remedy)
    if os.path.isfile(said) and not said.endswith(".py"):
        raise TargetError(said, "it is a file, and stores are named by their URLs", f"Try sqlite:///{said}")
    jobs = Jobs(said) if "://" in said else load_jobs(said)
    if jobs.url.startswith("memory"):
        raise TargetError(said, "its jobs live in the process that enqueues them", "Only stores can be looked at.")
    return jobs


def is_there(jobs: Jobs) -> bool:
    """Whether there is a store: a file that is not there is not to be made by looking."""
    return not jobs.url.startswith("sqlite") or os.path.exists(jobs.url.removeprefix("sqlite:///"))


def existing(target: str | None) -> Jobs:
    """The same, of a store that is there.

    Raises:
        StoreError: it is not. TargetError: as `jobs_of`.
    """
    jobs = jobs_of(target)
    if not is_there(jobs):
        path = jobs.url.removeprefix("sqlite:///")
        raise StoreError(f"There is no queue: no file {path}. No job was ever enqueued there.")
    return jobs
