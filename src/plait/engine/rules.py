"""`Rules`: the options of a stage, as the engine needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.placement import Placement
from plait.policy.retry import Retry

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """How the items of one stage may be treated; see `plait.map` for what each means."""

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

    @property
    def patience(self) -> float | None:
        """Seconds for one attempt: its own timeout or its item's deadline, whichever is shorter."""
        return min((s for s in (self.timeout, self.deadline) if s is not None), default=None)

    @property
    def impatience(self) -> str:
        """Which option `patience` comes from."""
        return "timeout" if self.timeout is not None and self.timeout == self.patience else "deadline"
