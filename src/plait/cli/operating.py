"""What `plait jobs` does: asks a store, and shows what it says as tables or JSON."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.text import Text

from plait.cli import job_words as words
from plait.cli.codes import DONE, MISUSED, SOME_FAILED
from plait.cli.early import early, printing, say
from plait.cli.flags import FlagError
from plait.cli.jobs_target import existing
from plait.cli.unserved import unserved
from plait.errors import PlaitError, nearest
from plait.jobs.enqueueing import checked_queue
from plait.jobs.protocol import State
from plait.jobs.reasons import is_served, why_not_ended
from plait.jobs.records import Filter, QueueView, Snapshot, WorkerView
from plait.jobs.store import Store

__all__ = ["Operating", "operate"]

#: Jobs that are asked for at once, where all of them are meant: each page is a transaction.
PAGE = 1000


def operate(target: str | None, what: str, *args: Any, **options: Any) -> int:
    """Do one of the commands of `Operating` with the queue of `target`; the exit code."""
    try:
        with printing(), existing(target) as jobs:
            if (to := jobs.store.moved()) is not None:
                say(f"This queue has moved to {to}.")
            done: int = getattr(Operating(jobs.store), what)(*args, **options)
        return done
    except (PlaitError, OSError, KeyboardInterrupt) as error:
        return early(error, None, target or "PLAIT_JOBS")


class Operating:
    """The commands; each returns an exit code."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.console = Console(highlight=False)

    def ls(self, as_json: bool, **filters: Any) -> int:
        """List jobs."""
        found = self.store.find(_filter(**filters))
        if as_json:
            for job in found:
                self._print_json(words.as_dict(job))
            return DONE
        self.console.print(words.list_of(found, self.store.now()) if found else "There are no such jobs.")
        if len(found) == filters["limit"]:
            self.console.print(f"There may be more: --before {found[-1].id}", style="dim")
        return DONE

    def show(self, job: int, as_json: bool) -> int:
        """Show one job."""
        found = self.store.show(job)
        if found is None:
            say(f"Job {job} is not known: it was never stored, or is kept no longer.")
            return SOME_FAILED
        if as_json:
            self._print_json(words.as_dict(found))
        else:
            words.details(self.console, found, self.store.now(), why_not_ended(self.store, found))
        return DONE

    def retry(self, jobs: tuple[int, ...], yes: bool, state: tuple[str, ...], **filters: Any) -> int:
        """Run jobs again."""
        if not jobs:
            return self._all("run again", "run again", self._redo, yes, state or ("failed",), **filters)
        again = self._redo(jobs)
        known = self.store.states(jobs)
        for job in jobs:
            if job not in again:
                why = f"is {known[job].value}" if job in known else "is not known"
                if known.get(job) in (State.FAILED, State.CANCELLED):
                    why = "stays as it is: another job has its unique= by now"
                say(f"Job {job} {why}.")
        self.console.print(f"Run again: {len(again):,}.")
        return DONE if len(again) == len(set(jobs)) else SOME_FAILED

    def cancel(self, jobs: tuple[int, ...], yes: bool, state: tuple[str, ...], **filters: Any) -> int:
        """Cancel jobs."""
        if not jobs:
            live = state or ("scheduled", "waiting", "running")
            return self._all("cancel", "cancelled, or being stopped", self._cancel, yes, live, **filters)
        states = self.store.cancel(jobs)
        for job in jobs:
            state_now = states.get(job)
            said = {None: "is not known", State.RUNNING: "is being stopped"}.get(state_now, f"is {state_now}")
            self.console.print(f"Job {job} {said}.")
        return DONE if all(states.get(job) in (State.CANCELLED, State.RUNNING) for job in jobs) else SOME_FAILED

    def pause(self, queue: str) -> int:
        """Pause a queue."""
        known = self._queues_with_jobs()
        self.store.pause(checked_queue(queue))
        self.console.print(f"Queue {queue!r} is paused: what runs goes on, nothing more is claimed.")
        if queue not in known:
            self.console.print(f"There is no job in it (yet).{nearest(queue, known)}")
        return DONE

    def resume(self, queue: str) -> int:
        """Resume a queue."""
        paused = {view.queue for view in self.store.queues() if view.paused}
        self.store.resume(checked_queue(queue))
        if queue in paused:
            self.console.print(f"Queue {queue!r} goes on.")
        else:
            close = nearest(queue, paused or self._queues_with_jobs())
            self.console.print(f"Queue {queue!r} was not paused.{close}")
        return DONE

    def _queues_with_jobs(self) -> set[str]:
        return {view.queue for view in self.store.queues() if view.counts}

    def stats(self, as_json: bool) -> int:
        """Count jobs, and show workers."""
        queues, workers = self.store.queues(), self.store.workers()
        if as_json:
            views = [
                msgspec.to_builtins(view) | {"served": is_served(view.task, view.queue, workers)} for view in queues
            ]
            self._print_json({"queues": views, "workers": msgspec.to_builtins(workers)})
            return DONE
        self._show_queues(queues)
        self._show_workers(workers)
        for said in unserved(queues, workers).values():
            self.console.print(Text(said), soft_wrap=True)
        return DONE

    def _show_queues(self, queues: list[QueueView]) -> None:
        table = words.table("queue", "task", "jobs", "oldest waits", right=("oldest waits",))
        for view in queues:
            counts = [f"{view.counts[state]:,} {state}" for state in State if view.counts.get(state.value)]
            name = words.plain(f"{view.queue} (paused)" if view.paused else view.queue)
            table.add_row(name, words.plain(view.task), ", ".join(counts), words.age(view.wait) if view.wait else "")
        self.console.print(table if queues else "There are no jobs.")

    def _show_workers(self, workers: list[WorkerView]) -> None:
        table = words.table("worker", "process", "running", "since", "lease", "queues", right=("worker", "running"))
        for worker in workers:
            info = worker.info
            lease = f"{worker.lease:.0f} s left" if worker.lease > 0 else "run out"
            process = words.plain(f"{info.pid} on {info.host}")
            served = words.plain(", ".join(info.queues) or "all")
            table.add_row(str(worker.id), process, f"{worker.running:,}", words.stamp(worker.started), lease, served)
        self.console.print(table if workers else "No worker is registered: start one with `plait work`.")

    # --- many jobs --------------------------------------------------------------------------------------------------

    def _all(self, verb: str, done: str, work: Any, yes: bool, state: tuple[str, ...], **filters: Any) -> int:
        """Do it with all jobs that fit, a page at a time, having asked."""
        if not yes:
            count = self._count(state, **filters)
            if not count:
                self.console.print("There are no such jobs.")
                return DONE
            if not sys.stdin.isatty():
                raise FlagError("--all", f"is about {count}", "say --yes where nobody can be asked")
            if not click.confirm(f"{verb.capitalize()} {count}?"):
                return MISUSED
        total = 0
        for page in self._pages(state, **filters):
            total += len(work([job.id for job in page]))
        self.console.print(f"{done.capitalize()}: {total:,}.")
        return DONE

    def _count(self, state: tuple[str, ...], task: str | None, queue: str | None, key: str | None) -> str:
        """How many jobs that is, in words; of those with a key, whether there are any: nobody counts them."""
        if key is not None:
            found = next(self._pages(state, task=task, queue=queue, key=key))
            return "" if not found else f"{len(found):,} jobs" if len(found) < PAGE else f"{PAGE:,} jobs or more"
        fitting = [view for view in self.store.queues() if task in (None, view.task) and queue in (None, view.queue)]
        count = sum(view.counts.get(name, 0) for view in fitting for name in state)
        return f"{count:,} jobs" if count else ""

    def _pages(self, state: tuple[str, ...], **filters: Any) -> Iterator[list[Snapshot]]:
        before = None
        while True:
            page = self.store.find(_filter(state, before=before, limit=PAGE, **filters))
            yield page
            if len(page) < PAGE:
                return
            before = page[-1].id

    def _redo(self, jobs: Collection[int]) -> list[int]:
        return self.store.redo(jobs)

    def _cancel(self, jobs: Collection[int]) -> list[int]:
        states = self.store.cancel(jobs)
        return [job for job, state in states.items() if state in (State.CANCELLED, State.RUNNING)]

    def _print_json(self, thing: Any) -> None:
        sys.stdout.write(words.json_of(thing) + "\n")


def _filter(
    state: tuple[str, ...], task: str | None, queue: str | None, key: str | None, before: int | None, limit: int
) -> Filter:
    states = tuple(State(one) for one in state)
    return Filter(states=states, task=task, queue=queue, key=key, before=before, limit=limit)
