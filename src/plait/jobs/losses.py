"""`Loss`: what became of the jobs of a worker that was found dead, and the line in the log that says so."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from msgspec import Struct

from plait.jobs.records import WorkerInfo

__all__ = ["Loss", "log_losses"]

log = logging.getLogger("plait")

#: Jobs that are named in a line.
NAMED = 10


class Loss(Struct, frozen=True, kw_only=True):
    """A worker that is gone.

    Parameters:
        info: what it had said of itself, as far as that is known.
        again: how many of its jobs come again. poisoned: those that were given up. stopped: how many nobody wanted.
    """

    worker: int
    info: WorkerInfo | None = None
    again: int = 0
    poisoned: tuple[int, ...] = ()
    stopped: int = 0

    @property
    def count(self) -> int:
        """How many jobs it had."""
        return self.again + len(self.poisoned) + self.stopped

    def __str__(self) -> str:
        where = f" (process {self.info.pid} on {self.info.host})" if self.info is not None else ""
        came = [f"{self.again:,} come{'s' if self.again == 1 else ''} again"] if self.again else []
        came += [f"{self.stopped:,} had been cancelled"] if self.stopped else []
        if self.poisoned:
            rest = len(self.poisoned) - NAMED
            named = ", ".join(map(str, self.poisoned[:NAMED])) + (f" and {rest:,} more" if rest > 0 else "")
            jobs = "job" if len(self.poisoned) == 1 else "jobs"
            came.append(f"given up, since too many workers were lost while they ran: {jobs} {named}")
        of = f"{self.count:,} job{'' if self.count == 1 else 's'}"
        gone = f"Worker {self.worker}{where} is gone, or was away for longer than its lease."
        return f"{gone} Of its {of}: {'; '.join(came)}."


def log_losses(losses: Iterable[Loss]) -> None:
    """A line for each worker that had jobs."""
    for loss in losses:
        if loss.count:
            log.log(logging.ERROR if loss.poisoned else logging.WARNING, "%s", loss)
