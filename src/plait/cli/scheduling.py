"""What `plait schedule` does."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.table import Table

from plait.cli.codes import MISUSED
from plait.cli.early import say
from plait.cli.jobs_target import store_of
from plait.cli.operating import when
from plait.errors import PlaitError, nearest
from plait.jobs.calendar import Cron

__all__ = ["Scheduling"]


class Scheduling:
    """The commands of `plait schedule`; each returns an exit code."""

    def __init__(self, target: str) -> None:
        self.console = Console()
        try:
            self.jobs = store_of(target)
            self.stored = {view.name: view for view in self.jobs.store.schedules()}
        except PlaitError as error:
            say(error)
            sys.exit(MISUSED)

    def ls(self, as_json: bool) -> int:
        """List schedules, those that no code declares any more as such."""
        declared = {schedule.name: schedule for schedule in self.jobs.schedules}
        names = sorted({*declared, *self.stored})
        table = Table("name", "task", "when", "next", "last", "missed", "overlap", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in names:
            view = self.stored.get(name)
            task = declared[name].task.name if name in declared else view.task if view is not None else ""
            said = json.loads(declared[name].definition if name in declared else view.definition)  # type: ignore[union-attr]
            next_fire = view.next_fire if view is not None else None
            last_fire = view.last_fire if view is not None else None
            if as_json:
                row = {"name": name, "task": task, **said, "next": next_fire, "last": last_fire}
                sys.stdout.write(json.dumps(row) + "\n")
            else:
                coming = when(next_fire) if view is not None else "once a worker runs"
                table.add_row(
                    name, task, said["schedule"], coming, when(last_fire) or "never", said["missed"], said["overlap"]
                )
        if not as_json:
            self.console.print(table if names else "There are no schedules.")
        return 0

    def next(self, name: str | None, count: int) -> int:
        """Show the times that come."""
        schedules = [one for one in self.jobs.schedules if name in (None, one.name)]
        if not schedules:
            known = [one.name for one in self.jobs.schedules]
            why = (
                f"There is no schedule {name!r}.{nearest(name, known)}" if name else "This queue declares no schedules."
            )
            say(why)
            return MISUSED
        for schedule in schedules:
            self.console.print(f"{schedule.name}: {schedule.spec}", highlight=False)
            moment = self.jobs.store.now()
            zone = UTC if not isinstance(schedule.calendar, Cron) else ZoneInfo(schedule.calendar.zone)
            for _ in range(count):
                moment = schedule.calendar.after(moment)
                self.console.print(f"  {datetime.fromtimestamp(moment, zone):%a %Y-%m-%d %H:%M:%S %Z}", highlight=False)
        return 0
