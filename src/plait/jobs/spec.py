"""`TaskSpec`: what a worker has to know of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from plait.engine.rules import Rules
from plait.jobs.codec import Signature
from plait.jobs.records import Rule
from plait.machine.cpus import cores
from plait.placement import Placement
from plait.policy.retry import Retry

__all__ = ["ISOLATED", "TaskSpec"]

#: What `model="auto"` chooses among for jobs: a job that kills its process must not kill the worker.
ISOLATED = ("processes", "processes+threads", "processes+async")

#: Processes in which a worker runs suspects of one task, at most.
MOST_APART = 8


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
    def may_travel(self) -> bool:
        """Whether its jobs may run in other processes."""
        return not self.url.startswith("memory") and self.rules.model not in ("serial", "threads", "async")

    @property
    def apart(self) -> int:
        """How many jobs that have lost a worker may run at once in a worker, each alone in a process."""
        model = self.rules.model
        one_at_a_time = model == "serial" or (isinstance(model, Placement) and model.workers == model.width == 1)
        return 1 if one_at_a_time or self.url.startswith("memory") else min(MOST_APART, max(2, cores()))

    def rules_apart(self, count: int) -> Rules:
        """The same for `count` jobs that may have killed their worker: each alone in a process.

        In memory, where no other process reaches the store, they run in this one.
        """
        style = "loop" if self.is_async else "serial"
        if self.url.startswith("memory"):
            return replace(self.rules, model=Placement("here", "loop" if self.is_async else "threads", width=1))
        return replace(self.rules, model=Placement("processes", style, count, 1))
