"""`Schedules`: the schedules that a queue's code declares, and their firing by whichever worker comes first.

Every worker knows when each of its schedules comes next, and fires it then: in one transaction the store compares that
time with its own, sets the next one and stores the jobs. Who comes second finds another time there and has nothing to
do; who dies before has done nothing, and another does it.

Where workers run different code, the definition counts that was declared last, which a worker does once, when it
starts. Those that have another leave the schedule alone; when one of its times has passed by a minute without anybody
firing it, one of them takes over. A schedule that no worker declares rests: it is remembered, and times that pass
meanwhile have been missed if it is ever declared again (`Store.drop_schedule` forgets it).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from plait.errors import ArgumentRefused, OptionError
from plait.jobs.calendar import MISSED, Calendar, due
from plait.jobs.records import Draft, ScheduleView
from plait.jobs.store import Store

if TYPE_CHECKING:
    from plait.jobs.task import JobTask

__all__ = ["OVERLAP", "Schedule", "Schedules", "called_with", "checked_schedule"]

log = logging.getLogger("plait")

#: What `overlap=` may be.
OVERLAP = ("skip", "queue", "allow")
#: Seconds between two looks at what the store knows of the schedules.
LOOK = 60.0
#: Seconds after which a time that nobody has fired is taken over by those who have another definition.
ABANDONED = 60.0
#: Seconds until what could not be stored is tried again: newer code may have been deployed.
AGAIN = 60.0
#: Seconds by which the clocks of workers differ at most, with ease.
SKEW = 3600.0
#: Seconds that a clock may go back, and a schedule waits until its next time comes again.
SET_BACK = 86_400.0


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
        """The job for one of its times. A task's own `unique=` stays; others cannot be the same as ours."""
        if self.draft.unique is not None:
            return self.draft
        if self.overlap == "skip":
            return msgspec.structs.replace(self.draft, unique=f"\x1fschedule {self.name}")
        return msgspec.structs.replace(self.draft, unique=f"\x1fschedule {self.name} {at!r}", keep_unique=86_400.0)


class Schedules:
    """Declares schedules in a store, and fires those that are due.

    Concurrency: belongs to one thread.
    """

    def __init__(self, declared: list[Schedule], store: Store) -> None:
        self._declared, self._store = declared, store
        self._next: dict[str, float] = {}
        self._looked = -math.inf

    def fire(self) -> float | None:
        """Submit what is due; seconds until something is again."""
        if not self._declared:
            return None
        now = self._store.now()
        if abs(now - self._looked) > LOOK or any(schedule.name not in self._next for schedule in self._declared):
            self._look()
            self._looked = now
        for schedule in list(self._declared):
            time = self._next.get(schedule.name, math.inf)
            try:
                if time <= now and not self._submit(schedule, time, now):  # another worker was first
                    self._look()
            except ArgumentRefused as error:  # what cannot be stored keeps no other schedule from firing
                log.error("Schedule %r cannot be submitted; it is tried again in a minute. %s", schedule.name, error)
                self._next[schedule.name] = now + AGAIN
        soonest = min(self._next.values(), default=math.inf)
        return min(LOOK, max(0.05, soonest - now))

    def behind(self, now: float) -> bool:
        """Whether times up to `now` are left that were missed: many are submitted a thousand at once."""
        return any(time <= now for time in self._next.values())

    def _look(self) -> None:
        """See what the store knows, and declare what it does not know."""
        known = {view.name: view for view in self._store.schedules()}
        now = self._store.now()  # after looking: no time of it that was fired is still to come
        for schedule in list(self._declared):
            view, starting = known.get(schedule.name), schedule.name not in self._next
            if view is None:
                self._next[schedule.name] = self._put(schedule, schedule.calendar.after(now))
            elif view.definition == schedule.definition:
                time = self._put(schedule, view.next_fire) if starting else view.next_fire
                self._next[schedule.name] = self._not_too_far(schedule, time, now)
            elif starting or view.next_fire < now - ABANDONED:
                self._next[schedule.name] = self._take_over(schedule, view, now)
            else:
                self._next[schedule.name] = math.inf

    def _put(self, schedule: Schedule, first: float) -> float:
        return self._store.put_schedule(schedule.name, schedule.task.name, schedule.definition, first).next_fire

    def _take_over(self, schedule: Schedule, view: ScheduleView, now: float) -> float:
        """Declare what the store knows otherwise. What has been missed until now is made up for first."""
        first = schedule.calendar.after(now)
        if view.next_fire <= now and self._submit(schedule, view.next_fire, now):
            first = self._next[schedule.name]
        return self._put(schedule, first)

    def _submit(self, schedule: Schedule, was: float, now: float) -> bool:
        times, following = due(schedule.calendar, was, now, schedule.missed)
        fired = self._store.fire(schedule.name, was, following, [schedule.submitted(time) for time in times])
        if fired is not None:
            self._next[schedule.name] = following
        return fired is not None

    def _not_too_far(self, schedule: Schedule, time: float, now: float) -> float:
        """The next time; where that lies too far ahead, as a clock had it that was wrong, it is counted anew."""
        sooner = schedule.calendar.after(now + SKEW)
        if time - sooner > SET_BACK and self._store.fire(schedule.name, time, sooner, []) is not None:
            return sooner
        return time


def checked_schedule(name: str, missed: str, overlap: str | None, known: Collection[str]) -> str:
    """What a user says of a schedule, looked at; what `overlap` is.

    Raises:
        OptionError: it cannot be; the message says what can.
    """
    if not isinstance(name, str) or not 0 < len(name) <= 500 or {"\0", "\x1f"} & set(name):
        raise OptionError("name", name, "it takes a text of up to 500 characters")
    if name in known:
        raise OptionError("name", name, "there is a schedule of that name already: give one of them another name=")
    if missed not in MISSED:
        raise OptionError("missed", missed, f"it takes one of {', '.join(map(repr, MISSED))}")
    if overlap is None:
        return "queue" if missed == "all" else "skip"
    if overlap not in OVERLAP:
        raise OptionError("overlap", overlap, f"it takes one of {', '.join(map(repr, OVERLAP))}")
    if overlap == "skip" and missed == "all":
        wants = 'with missed="all" it takes "queue" or "allow": "skip" would leave out all that were missed but one'
        raise OptionError("overlap", overlap, wants)
    return overlap


def called_with(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a user gives for the jobs of a schedule, looked at."""
    if isinstance(args, str | bytes | Mapping) or not isinstance(args, Iterable):
        raise OptionError("args", args, 'it takes the positional arguments of a job in a tuple, like ("b.png",)')
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise OptionError("kwargs", kwargs, 'it takes the named arguments of a job in a dict, like {"size": 64}')
    return tuple(args), dict(kwargs or {})
