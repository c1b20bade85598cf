"""`FILE.py:JOBS`, `module:JOBS`, or a store's URL: the queue that a command is about."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING

from plait.cli.target import Kind, TargetError, find, kind_of
from plait.errors import OptionError

if TYPE_CHECKING:
    from plait.jobs.jobs import Jobs

__all__ = ["load_jobs", "store_of"]


def _made(statement: ast.stmt) -> str | None:
    """The name that `NAME = plait.Jobs(...)` gives."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return None
    called = statement.value.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    target = statement.targets[0]
    return target.id if name == "Jobs" and isinstance(target, ast.Name) else None


def _fits(thing: object) -> bool:
    return type(thing).__name__ == "Jobs" and type(thing).__module__.startswith("plait.")


KIND = Kind("queue", "JOBS", _made, _fits)


def load_jobs(target: str) -> Jobs:
    """The queue that `target` names, with its tasks.

    Raises:
        TargetError: it names none.
    """
    found = find(target, KIND)
    if not _fits(found):
        raise TargetError(target, f"it is {kind_of(found)}, not a plait.Jobs", KIND.forms)
    jobs: Jobs = found
    return jobs


def store_of(target: str | None) -> Jobs:
    """The queue of a target, a URL, or of what `PLAIT_JOBS` says."""
    from plait.jobs.jobs import Jobs

    said = target or os.environ.get("PLAIT_JOBS")
    if not said:
        raise OptionError("TARGET", "", "name a queue, FILE.py:JOBS or a URL like sqlite:///jobs.db, or set PLAIT_JOBS")
    return Jobs(said) if "://" in said else load_jobs(said)
