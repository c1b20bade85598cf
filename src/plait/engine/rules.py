"""`Rules`: the options of a stage, as the engine needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.fit.meaning import Pins, pins
from plait.placement import Placement, placement_for
from plait.policy.hedge import Hedge
from plait.policy.limit import Limit
from plait.policy.rate import Rate
from plait.policy.retry import Retry

__all__ = ["Rules"]

#: Items that are looked at for one whose key may begin.
KEYED = 16_384


@dataclass(frozen=True, slots=True)
class Rules:
    """How the items of one stage may be treated; see `plait.map` for what each means.

    Parameters:
        asked_by: who asks for the model. note: what else is to be said of that.
        seen: what the looks at its functions led to, in one run.
    """

    name: str
    model: str | Placement | tuple[str, ...] = "auto"
    workers: int | None = None
    width: int | None = None
    ordered: bool = True
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    deadline: float | None = None
    on_error: str = "raise"
    max_failures: float | None = None
    on_crash: str = "rerun"
    isolate: bool = False
    resources: Mapping[str, Any] = field(default_factory=dict)
    buffer: int | None = None
    memory: int | None = None
    rates: tuple[Rate, ...] = ()
    limits: tuple[Limit, ...] = ()
    hedge: Hedge | None = None
    journal_key: Callable[[Any], Any] | None = None
    asked_by: str = "model="
    note: str = ""
    seen: dict[int, tuple[Any, Pins]] = field(default_factory=dict, compare=False, repr=False)

    def pins(self, function: Any) -> Pins:
        """What pins `function`, looked for once in a run."""
        found = self.seen.get(id(function))
        if found is None:
            found = self.seen[id(function)] = (function, pins(function))
        return found[1]

    @property
    def may_stay(self) -> bool:
        """Whether what cannot travel may be run in this process instead, though workers were chosen."""
        asked = self.asked_by == "model="
        named = asked and isinstance(self.model, str | Placement) and self.model != "auto"
        return not (self.isolate or named) and (self.has_here or not asked)

    @property
    def has_here(self) -> bool:
        """Whether a model of this process is among those that may be chosen."""
        if self.model == "auto":
            return not self.isolate
        names = self.model if isinstance(self.model, tuple) else (self.model,)
        return any(placement_for(name).place == "here" for name in names)

    @property
    def gated(self) -> bool:
        """Whether each item needs leave to begin."""
        return bool(self.rates or self.limits)

    @property
    def timeless(self) -> bool:
        """Whether nothing depends on when an item began."""
        return self.deadline is None and self.retry.until is None

    @property
    def least_buffer(self) -> int:
        """Items to read ahead at least, where that is measured: those of one key must not hide all others."""
        keyed = any(rate.key is not None for rate in self.rates) or any(limit.key is not None for limit in self.limits)
        return KEYED if keyed else 1

    @property
    def plain(self) -> bool:
        """Whether an item is simply run, and its failure ends the run."""
        free = self.retry.times == 0 and self.patience is None and self.memory is None and not self.resources
        return free and self.on_error == "raise" and self.on_crash == "rerun" and not self.gated and self.hedge is None

    @property
    def patience(self) -> float | None:
        """Seconds for one attempt: its own timeout or its item's deadline, whichever is shorter."""
        return min((s for s in (self.timeout, self.deadline) if s is not None), default=None)

    @property
    def impatience(self) -> str:
        """Which option `patience` comes from."""
        return "timeout" if self.timeout is not None and self.timeout == self.patience else "deadline"
