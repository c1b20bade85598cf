"""What `plait work` does: a worker in this process, a line for each failure, and signals that end it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from plait.cli.codes import DONE, MISUSED
from plait.cli.early import early, say
from plait.cli.job_words import age, plain
from plait.cli.jobs_target import load_jobs
from plait.cli.target import TargetError
from plait.cli.unserved import unserved
from plait.errors import PlaitError, QueueMoved, nearest
from plait.jobs.events import JobCrashed, JobEnded, JobRetried, JobSnoozed
from plait.jobs.jobs import Jobs
from plait.jobs.open import shown_url
from plait.jobs.protocol import State
from plait.jobs.worker.worker import Worker

__all__ = ["Working", "log_failure"]

log = logging.getLogger("plait")

#: Seconds between two looks at whether there is anything to do, and whether the queue has moved.
LOOK, MOVED = 0.2, 2.0
#: Seconds between two looks at jobs that nobody knows, which count all there are.
UNKNOWN = 300.0
#: Names of tasks in the first line.
SHOWN = 8


class Working:
    """One worker, from start to end."""

    def __init__(
        self, target: str, queues: tuple[str, ...], concurrency: int | None, grace: float, burst: bool, quiet: bool
    ) -> None:
        self.target, self.queues, self.concurrency = target, queues, concurrency
        self.grace, self.burst, self.quiet = grace, burst, quiet
        self._asked = threading.Event()
        self._signals: list[int] = []
        self._unknown: set[tuple[str, str]] = set()

    def carry_out(self) -> int:
        """Run it; the exit code."""
        before = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last: the terminal was closed
            if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell has it for what runs in the background
                before[number] = signal.signal(number, self._caught)
        try:
            jobs = self._loaded()
            with jobs.observe(log_failure, {JobEnded, JobRetried, JobSnoozed, JobCrashed}):
                worker = jobs.worker(queues=self.queues, concurrency=self.concurrency)
                worker.start()
                return self._work(jobs, worker)
        except (PlaitError, OSError) as error:
            for number, was in before.items():
                signal.signal(number, was)
            return early(error, None, self.target)

    def _loaded(self) -> Jobs:
        jobs = load_jobs(self.target)
        if jobs.url.startswith("memory"):
            why = "its jobs live in the process that enqueues them"
            raise TargetError(self.target, why, 'No other can run them: use "sqlite:///jobs.db".')
        if not jobs.tasks:
            raise TargetError(self.target, "it has no tasks", "Mark functions with @jobs.task() in that module.")
        if (to := jobs.store.moved()) is not None:
            raise QueueMoved(to, done=True)
        # After the import: what the user's own code has set up for logging counts.
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
        if log.level == logging.NOTSET:
            log.setLevel(logging.ERROR if self.quiet else logging.INFO)
        return jobs

    def _work(self, jobs: Jobs, worker: Worker) -> int:
        names = list(jobs.tasks)
        names = names if len(names) <= SHOWN else [*names[:SHOWN], f"{len(names) - SHOWN} more"]
        served = ", ".join(self.queues) or "all"
        self._tell(
            f"Worker {worker.id} runs {', '.join(names)} of {shown_url(jobs.url)}; queues: {served}. "
            "Ctrl-C ends it in good order."
        )
        with contextlib.suppress(PlaitError):  # the worker says so, and goes on trying
            self._look_at_queues(jobs)
        moved = self._until_it_is_to_end(jobs, worker)
        if self._signals and worker.lanes.held:
            self._tell(f"Ending: {_jobs(worker.lanes.held)} in hand may take {self.grace:g} s more.")
        left = worker.drain(self.grace, hurry=lambda: len(self._signals) > 1)
        jobs.close()
        self._tell(f"Ended; {_jobs(left)} handed back." if left else "Ended.")
        if moved is not None:
            say(f"This queue has moved to {moved}. Start workers there.")
            return MISUSED
        return 128 + self._signals[-1] if len(self._signals) > 1 else DONE

    def _look_at_queues(self, jobs: Jobs) -> None:
        """Say which of --queues may have been mistyped."""
        ours = {task.queue for task in jobs.tasks.values()}
        for queue in self.queues if not ours.issuperset(self.queues) else ():
            known = ours | {view.queue for view in jobs.store.queues() if view.counts}
            if queue not in known:
                close = nearest(queue, known)
                self._tell(f"No task of this code has queue={queue!r}, and no job is there (yet).{close}")

    def _look_for_unknown(self, jobs: Jobs) -> None:
        """Say, once for each, which tasks have jobs that wait and are known to no worker."""
        for (queue, task), said in unserved(jobs.store.queues(), jobs.store.workers()).items():
            if task not in jobs.tasks and (queue, task) not in self._unknown and queue in (self.queues or (queue,)):
                self._unknown.add((queue, task))
                log.warning("%s", said)

    def _until_it_is_to_end(self, jobs: Jobs, worker: Worker) -> str | None:
        """Wait; where the queue has moved to, if that is why."""
        looked = time.monotonic()
        counted = looked - UNKNOWN
        while not self._asked.wait(LOOK):
            try:
                if time.monotonic() - counted > UNKNOWN:
                    counted = time.monotonic()
                    self._look_for_unknown(jobs)
                if self.burst and worker.finished and not self._left(jobs):
                    return None
                if time.monotonic() - looked > MOVED:
                    looked = time.monotonic()
                    if (to := jobs.store.moved()) is not None:
                        return to
            except PlaitError:  # the worker has said so, and goes on trying
                continue
        return None

    def _left(self, jobs: Jobs) -> bool:
        """Whether jobs wait for this worker all the same: behind a gate, or out of sight of its last claim."""
        return any(
            view.counts.get(State.WAITING.value) and view.task in jobs.tasks and not view.paused
            for view in jobs.store.queues()
            if not self.queues or view.queue in self.queues
        )

    def _tell(self, what: str) -> None:
        """Say it if anybody hears it: Ctrl-C ends what this is piped to (`| tee log`) too, and jobs are to end well."""
        if not self.quiet:
            with contextlib.suppress(OSError):
                print(f"plait: {what}", file=sys.stderr, flush=True)

    def _caught(self, number: int, frame: FrameType | None) -> Any:
        self._signals.append(number)
        self._asked.set()
        if len(self._signals) > 2:
            os._exit(128 + number)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


def log_failure(event: JobEnded | JobRetried | JobSnoozed | JobCrashed) -> None:
    """A line for an attempt that did not succeed, whatever is to come of it."""
    what = f"Job {event.job} ({event.task})"
    match event:
        case JobEnded(state=State.FAILED):
            log.error("%s has failed, at attempt %d: %s", what, event.attempt, plain(event.error))
        case JobEnded(state=State.CANCELLED):
            log.info("%s was cancelled.", what)
        case JobRetried():
            said = "%s: attempt %d failed, and the next comes in %s: %s"
            log.warning(said, what, event.attempt, age(event.delay), plain(event.error))
        case JobSnoozed() if event.error:
            log.info("%s: put off for %s: %s", what, age(event.delay), plain(event.error))
        case JobCrashed():
            log.warning("%s: process %d died while it ran (%s).", what, event.pid, event.status)
