"""What `plait schedule` does."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from rich.console import Console

from plait.cli import job_words as words
from plait.cli.codes import DONE
from plait.cli.early import early, printing
from plait.cli.flags import FlagError
from plait.cli.jobs_target import is_there, jobs_of
from plait.errors import PlaitError, nearest
from plait.jobs.calendar import Cron
from plait.jobs.jobs import Jobs
from plait.jobs.schedules import Schedule

__all__ = ["Scheduling", "schedule"]


def schedule(target: str | None, what: str, *args: Any) -> int:
    """Do one of the commands of `Scheduling` with the queue of `target`; the exit code."""
    try:
        with printing(), jobs_of(target) as jobs:
            done: int = getattr(Scheduling(jobs), what)(*args)
        return done
    except (PlaitError, OSError, KeyboardInterrupt) as error:
        return early(error, None, target or "PLAIT_JOBS")


class Scheduling:
    """The commands; each returns an exit code."""

    def __init__(self, jobs: Jobs) -> None:
        self.console = Console(highlight=False)
        self.jobs = jobs
        there = is_there(jobs)
        self.stored = {view.name: view for view in jobs.store.schedules()} if there else {}
        self.now = jobs.store.now() if there else time.time()

    def ls(self, as_json: bool) -> int:
        """List schedules."""
        declared = {one.name: one for one in self.jobs.schedules}
        names = sorted({*declared, *self.stored})
        table = words.table("name", "task", "schedule", "next", "last", "missed", "overlap")
        for name in names:
            row = self._known(name, declared.get(name))
            if as_json:
                self._print_json(row)
                continue
            coming = words.moment(row["next"], self.now) if row["stored"] else "when a worker runs"
            last = words.moment(row["last"], self.now) if row["last"] is not None else "never"
            shown = (name, row["task"], row["schedule"], coming, last, row["missed"], row["overlap"])
            table.add_row(*(words.plain(str(value)) for value in shown))
        if not as_json:
            self.console.print(table if names else "There are no schedules.")
        return DONE

    def _known(self, name: str, declared: Schedule | None) -> dict[str, Any]:
        """What is known of a schedule: where it is not stored, no worker has declared it yet."""
        view = self.stored.get(name)
        definition = declared.definition if declared is not None else view.definition if view is not None else b"{}"
        try:
            said = msgspec.json.decode(definition)
        except msgspec.DecodeError:
            said = {}
        task = declared.task.name if declared is not None else view.task if view is not None else ""
        return {
            "name": name,
            "task": task,
            "schedule": said.get("schedule", ""),
            "zone": str(_zone(declared)) if declared is not None else None,
            "missed": said.get("missed", ""),
            "overlap": said.get("overlap", ""),
            "next": view.next_fire if view is not None else declared.calendar.after(self.now) if declared else None,
            "last": view.last_fire if view is not None else None,
            "last_job": view.last_job if view is not None else None,
            "declared": declared is not None,
            "stored": view is not None,
        }

    def next(self, name: str | None, count: int, as_json: bool) -> int:
        """Show the times that come."""
        known = [one.name for one in self.jobs.schedules]
        if not known:
            raise FlagError("TARGET", "has no schedules in its code", "name FILE.py:JOBS, where they are declared")
        if name is not None and name not in known:
            raise FlagError("--name", f"is no schedule here.{nearest(name, known)} Known", ", ".join(known))
        for one in self.jobs.schedules:
            if name not in (None, one.name):
                continue
            times = _times(one, self.now, count)
            if as_json:
                self._print_json({"name": one.name, "schedule": one.spec, "zone": str(_zone(one)), "times": times})
                continue
            self.console.print(words.plain(f"{one.name}: {one.spec}"), style="bold")
            for moment in times:
                there = datetime.fromtimestamp(moment, _zone(one))
                self.console.print(f"  {there:%a %Y-%m-%d %H:%M:%S %Z}   here: {words.moment(moment, self.now)}")
        return DONE

    def _print_json(self, thing: Any) -> None:
        sys.stdout.write(words.json_of(thing) + "\n")


def _times(one: Schedule, moment: float, count: int) -> list[float]:
    found: list[float] = []
    for _ in range(count):
        moment = one.calendar.after(moment)
        found.append(moment)
    return found


def _zone(one: Schedule) -> Any:
    calendar = one.calendar
    return ZoneInfo(calendar.zone) if isinstance(calendar, Cron) and calendar.zone != "UTC" else UTC
