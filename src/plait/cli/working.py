"""What `plait work` does: a worker in this process, and signals that end it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from plait.cli.codes import MISUSED
from plait.cli.early import say
from plait.cli.jobs_target import load_jobs
from plait.errors import PlaitError

__all__ = ["Working"]


class Working:
    """One worker, from start to end."""

    def __init__(
        self, target: str, queues: tuple[str, ...], concurrency: int | None, grace: float, burst: bool, quiet: bool
    ) -> None:
        self.target, self.queues, self.concurrency = target, queues, concurrency
        self.grace, self.burst, self.quiet = grace, burst, quiet
        self._asked = threading.Event()
        self._signals: list[int] = []

    def carry_out(self) -> int:
        """Run it; the exit code."""
        logging.basicConfig(level=logging.ERROR if self.quiet else logging.INFO, format="%(asctime)s %(message)s")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._caught)
        try:
            jobs = load_jobs(self.target)
            worker = jobs.worker(queues=self.queues, concurrency=self.concurrency)
            worker.start()
        except PlaitError as error:
            say(error)
            return MISUSED
        self._tell(f"Worker {worker.id} runs {len(jobs.tasks)} tasks of {jobs!r}. Ctrl-C ends it in good order.")
        while not self._asked.wait(0.2):
            if self.burst and worker.finished:
                break
        if self._signals:
            self._tell(f"Ending: {worker.lanes.held} jobs in hand may take {self.grace:g} s more.")
        left = worker.drain(self.grace, hurry=lambda: len(self._signals) > 1)
        jobs.close()
        self._tell(f"Ended; {left} jobs were handed back." if left else "Ended.")
        return 128 + self._signals[-1] if len(self._signals) > 1 else 0

    def _tell(self, what: str) -> None:
        if not self.quiet:
            print(f"plait: {what}", file=sys.stderr, flush=True)

    def _caught(self, number: int, frame: FrameType | None) -> Any:
        self._signals.append(number)
        self._asked.set()
        if len(self._signals) > 2:
            os._exit(128 + number)
