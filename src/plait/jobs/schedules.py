"""`Schedules`: the schedules that a queue's code declares, and their firing by whichever worker comes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from plait.jobs.calendar import Calendar, due
from plait.jobs.records import Draft
from plait.jobs.store import Store

if TYPE_CHECKING:
    from plait.jobs.task import JobTask

__all__ = ["OVERLAP", "Schedule", "Schedules"]

#: What `overlap=` may be.
OVERLAP = ("skip", "queue", "allow")


@dataclass(frozen=True)
class Schedule:
    """A rule that submits jobs at times.

    Parameters:
        spec: as the user wrote it. draft: what is enqueued each time.
    """

    name: str
    spec: str
    task: JobTask[..., Any]
    calendar: Calendar
    draft: Draft
    missed: str
    overlap: str

    @property
    def definition(self) -> bytes:
        """What it was made from: if that changes, its next time is counted anew."""
        return msgspec.json.encode({"schedule": self.spec, "missed": self.missed, "overlap": self.overlap})

    def submitted(self, at: float) -> Draft:
        """The job for one of its times."""
        if self.overlap == "skip":
            return msgspec.structs.replace(self.draft, unique=f"schedule:{self.name}")
        return msgspec.structs.replace(self.draft, unique=f"schedule:{self.name}@{at:.0f}", keep_unique=86_400.0)


class Schedules:
    """Declares schedules in a store, and fires those that are due.

    Concurrency: belongs to one thread.
    """

    def __init__(self, declared: list[Schedule], store: Store) -> None:
        self._declared, self._store = declared, store
        self._next: dict[str, float] = {}
        self._told = 0.0

    def fire(self) -> float | None:
        """Submit what is due; seconds until something is again."""
        if not self._declared:
            return None
        now = self._store.now()
        if now - self._told > 60.0 or len(self._next) < len(self._declared):
            self._told = now
            self._declare(now)
        soonest: float | None = None
        for schedule in self._declared:
            if self._next[schedule.name] <= now:
                self._submit(schedule, now)
            wait = self._next[schedule.name] - now
            soonest = wait if soonest is None else min(soonest, wait)
        return max(0.05, soonest) if soonest is not None else None

    def _declare(self, now: float) -> None:
        for schedule in self._declared:
            first = schedule.calendar.after(now)
            view = self._store.put_schedule(schedule.name, schedule.task.name, schedule.definition, first)
            self._next[schedule.name] = view.next_fire

    def _submit(self, schedule: Schedule, now: float) -> None:
        was = self._next[schedule.name]
        times, following = due(schedule.calendar, was, now, schedule.missed)
        drafts = [schedule.submitted(time) for time in times]
        fired = self._store.fire(schedule.name, was, following, drafts)
        if fired is not None:
            self._next[schedule.name] = following
        else:  # another worker was first
            self._declare(now)
