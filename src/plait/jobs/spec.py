"""`TaskSpec`: what a worker has to know of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from plait.engine.rules import Rules
from plait.jobs.codec import Signature
from plait.jobs.records import Rule
from plait.placement import Placement
from plait.policy.retry import Retry

__all__ = ["ISOLATED", "TaskSpec"]

#: What `model="auto"` chooses among for jobs: a job that kills its process must not kill the worker.
ISOLATED = ("processes", "processes+threads", "processes+async")


@dataclass(frozen=True)
class TaskSpec:
    """A task as workers see it.

    Parameters:
        rules: how the engine treats its jobs: one attempt each, failures returned.
        retry: when a failed job comes back, decided between attempts that may be on different machines.
        keep, keep_failed: seconds for which ended jobs are kept.
        store_rules: its rates and limits, held in the store.
        url: of the store. transactional: its jobs run in transactions of that.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    rules: Rules
    retry: Retry
    keep: float
    keep_failed: float
    largest: int
    store_rules: tuple[Rule, ...] = ()
    url: str = ""
    transactional: bool = False

    def signature(self, function: Callable[..., Any]) -> Signature:
        """How the arguments of its jobs are stored: of all that `function` takes but its connection and resources."""
        return Signature(function, self.name, skip=1 if self.transactional else 0, without=self.rules.resources)

    @property
    def rules_alone(self) -> Rules:
        """The same for a job that may have killed its worker: alone in a process, where that can reach its store."""
        if self.url.startswith("memory"):
            return replace(self.rules, model=Placement("here", "loop" if self.is_async else "threads", width=1))
        return replace(self.rules, model=Placement("processes", "loop" if self.is_async else "serial", 1, 1))
