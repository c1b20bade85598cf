"""What `plait jobs` does: asks a store, and shows what it says as tables or JSON."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from plait.cli.codes import MISUSED
from plait.cli.early import say
from plait.cli.jobs_target import store_of
from plait.errors import PlaitError
from plait.jobs.protocol import State
from plait.jobs.records import Filter, Snapshot

__all__ = ["Operating", "moved", "shown_value", "when"]

_COLOURS = {"done": "green", "failed": "red", "running": "cyan", "cancelled": "dim", "scheduled": "yellow"}
#: Jobs that are asked for at once, where all of them are meant.
PAGE = 1000


def when(seconds: float | None) -> str:
    """A time as a reader's clock has it; times of today without the date."""
    if seconds is None:
        return ""
    moment = datetime.fromtimestamp(seconds, UTC).astimezone()
    today = moment.date() == datetime.now(UTC).astimezone().date()
    return moment.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def shown_value(data: bytes | None) -> Any:
    """Encoded arguments or a result, as plain data."""
    if data is None:
        return None
    try:
        return msgspec.msgpack.decode(data)
    except msgspec.DecodeError:
        return f"<{len(data)} bytes that cannot be read>"


def _plain(text: str) -> str:
    """Without control characters, which could do things to a terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)


def _as_dict(job: Snapshot) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(job, args=None, result=None))
    found["args"], found["result"] = shown_value(job.args), shown_value(job.result)
    return found


def _print_json(thing: Any) -> None:
    sys.stdout.write(json.dumps(thing, default=str) + "\n")


class Operating:
    """The commands of `plait jobs`; each returns an exit code."""

    def __init__(self, target: str | None) -> None:
        self.console = Console()
        try:
            self.jobs = store_of(target)
            self.store = self.jobs.store
        except PlaitError as error:
            say(error)
            sys.exit(MISUSED)

    def _table(self, *columns: str) -> Table:
        return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)

    def ls(
        self,
        state: tuple[str, ...],
        task: str | None,
        queue: str | None,
        limit: int,
        as_json: bool,
        key: str | None = None,
        before: int | None = None,
    ) -> int:
        """List jobs."""
        states = tuple(State(one) for one in state)
        which = Filter(states=states, task=task, queue=queue, key=key, before=before, limit=limit)
        found = self.store.find(which)
        if as_json:
            for job in found:
                _print_json(_as_dict(job))
            return 0
        table = self._table("id", "task", "queue", "state", "attempt", "created", "what")
        for job in found:
            colour = _COLOURS.get(job.state.value, "")
            table.add_row(
                str(job.id), job.task, job.queue, Text(job.state.value, colour), str(job.attempt), when(job.created),
                Text(_what(job), overflow="ellipsis", no_wrap=True),
            )  # fmt: skip
        self.console.print(table if found else "There are no such jobs.")
        if len(found) == limit:
            self.console.print(f"Older ones: --before {found[-1].id}", style="dim")
        return 0

    def show(self, job: int, as_json: bool) -> int:
        """Show one job."""
        found = self.store.show(job)
        if found is None:
            say(f"Job {job} is not known: it was never stored, or is kept no longer.")
            return MISUSED
        said = _as_dict(found)
        if as_json:
            _print_json(said)
            return 0
        table = Table.grid(padding=(0, 2))
        for name, value in said.items():
            if value in (None, "", 0, False) and name not in ("state", "attempt", "args"):
                continue
            if name in ("created", "run_at", "started", "finished"):
                value = when(value)
            if name != "traceback":
                table.add_row(Text(name, "dim"), Text(_plain(value if isinstance(value, str) else repr(value))))
        self.console.print(table)
        if found.traceback:
            self.console.print(Text(_plain("\n" + found.traceback.rstrip())))
        return 0

    def retry(self, jobs: tuple[int, ...], failed: bool, task: str | None) -> int:
        """Run jobs again."""
        if failed == bool(jobs):
            say("Name the jobs, or say --failed.")
            return MISUSED
        again = 0
        if jobs:
            again = len(self.store.redo(jobs))
        before: int | None = None
        while failed:
            which = Filter(states=(State.FAILED,), task=task, before=before, limit=PAGE)
            found = self.store.find(which)
            again += len(self.store.redo([job.id for job in found]))
            if len(found) < PAGE:
                break
            before = found[-1].id
        self.console.print(f"{again} will run again.")
        return 0 if again or failed else 1

    def cancel(self, jobs: tuple[int, ...]) -> int:
        """Cancel jobs."""
        states = self.store.cancel(jobs)
        for job in jobs:
            state = states.get(job)
            said = {None: "is not known", State.RUNNING: "is being stopped"}.get(state, f"is {state}")
            self.console.print(f"Job {job} {said}.")
        return 0 if all(job in states for job in jobs) else 1

    def pause(self, queue: str) -> int:
        """Pause a queue."""
        self.store.pause(queue)
        self.console.print(f"Queue {queue!r} is paused: what runs goes on, nothing more is claimed.")
        return 0

    def resume(self, queue: str) -> int:
        """Resume a queue."""
        self.store.resume(queue)
        self.console.print(f"Queue {queue!r} goes on.")
        return 0

    def stats(self, as_json: bool) -> int:
        """Count jobs, and show workers."""
        queues, workers = self.store.queues(), self.store.workers()
        if as_json:
            _print_json({"queues": msgspec.to_builtins(queues), "workers": msgspec.to_builtins(workers)})
            return 0
        table = self._table("queue", "task", *(state.value for state in State), "oldest waits")
        for view in queues:
            counts = [f"{view.counts.get(state.value, 0):,}" if view.counts.get(state.value) else "" for state in State]
            name = f"{view.queue} (paused)" if view.paused else view.queue
            table.add_row(name, view.task, *counts, f"{view.wait:.1f} s" if view.wait else "")
        self.console.print(table if queues else "There are no jobs.")
        table = self._table("worker", "host", "pid", "running", "since", "lease", "queues")
        for worker in workers:
            info = worker.info
            lease = f"{worker.lease:.0f} s left" if worker.lease > 0 else "run out"
            served = ", ".join(info.queues) or "all"
            table.add_row(
                str(worker.id), info.host, str(info.pid), str(worker.running), when(worker.started), lease, served
            )  # fmt: skip
        self.console.print(table if workers else "No worker is registered: start one with `plait work`.")
        return 0


def _what(job: Snapshot) -> str:
    if job.error:
        return _plain(job.error.splitlines()[0])
    if job.state is State.RUNNING and job.progress is not None:
        return f"{job.progress:.0%} {_plain(job.note)}".strip()
    if job.state is State.SCHEDULED and job.run_at is not None:
        return f"in {max(0.0, job.run_at - time.time()):.0f} s"
    return f"held by {job.held}" if job.held else ""


def moved(source: str, destination: str) -> int:
    """Move a queue."""
    from plait.jobs.move import move

    try:
        counts = move(source, destination, say)
    except PlaitError as error:
        say(error)
        return MISUSED
    say(f"Moved {counts.jobs:,} jobs that wait, and {counts.ended:,} that have ended. Start workers on {destination}.")
    return 0
