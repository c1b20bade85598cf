"""`Keeper`: the one thread of a worker that claims and settles. One transaction a turn does both for all lanes."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from plait.errors import PlaitError
from plait.failure import Failure
from plait.jobs.protocol import Event
from plait.jobs.records import Claimed, Outcome, Want
from plait.jobs.store import Listener, Store
from plait.jobs.worker.lane import JobLane
from plait.jobs.worker.lanes import Lanes
from plait.jobs.worker.perform import SETTLED
from plait.jobs.worker.verdict import verdict

__all__ = ["Keeper"]

log = logging.getLogger("plait")

#: Seconds between two looks at the store when nothing is heard.
LOOK = 1.0
#: Seconds until a broken store is tried again: from, to.
AGAIN = 0.1, 5.0


class Keeper:
    """Claims jobs for the lanes, and settles what they came to.

    Parameters:
        most: jobs that the worker has at once, all lanes together.
        ended: called, in the keeper's thread, with each outcome that the store has taken.
    """

    def __init__(
        self,
        store: Store,
        worker: int,
        lanes: Lanes,
        queues: tuple[str, ...],
        most: int,
        ended: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self.store, self.worker, self.lanes, self.queues, self.most = store, worker, lanes, queues, most
        self.accepting = True  # false: nothing more is claimed
        self.lost = threading.Event()  # set when the lease is: what the worker has is others' now
        self._outcomes: deque[Outcome] = deque()
        self._ended = ended
        self._listener: Listener = store.listen()
        self._asleep = False
        self._stopping = False
        self._look = True  # there may be jobs that nobody has told of
        self._due: float | None = None
        self._tidied = time.monotonic()
        self._looked = False
        self._thread = threading.Thread(target=self._work, name="plait-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    # --- from the lanes ---------------------------------------------------------------------------------------------

    def deliver(self, lane: JobLane, results: list[Any]) -> None:
        """Results came from a lane. From any thread."""
        keep, now = lane.task.keep, self.store.now()
        for result in results:
            if type(result) is Failure:
                job = result.item.job
                outcome = verdict(result, lane.task.retry, lane.task.keep_failed, now, random.random)
            else:
                job, value = result
                held = lane.held.get(job)
                outcome = None
                if held is not None and value != SETTLED:
                    outcome = Outcome(id=job, token=held.token, event=Event.SUCCEED, result=value, keep=keep)
            lane.settled(job)
            if outcome is not None:
                self._outcomes.append(outcome)
        self.wake()

    def hand_back(self, lane: JobLane, why: str, delay: float) -> None:
        """A lane has broken: its jobs come back later."""
        for job, held in list(lane.held.items()):
            lane.settled(job)
            self._outcomes.append(Outcome(id=job, token=held.token, event=Event.SNOOZE, delay=delay, error=why))
        self.wake()

    def wake(self) -> None:
        """Have a look soon."""
        if self._asleep:
            self._asleep = False
            self._listener.wake()

    # --- the thread -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        outcomes: list[Outcome] = []
        pause = AGAIN[0]
        while not self._stopping:
            try:
                self._tidy()
                outcomes += self._gathered()
                wants = self.lanes.wants() if self.accepting and not self.lost.is_set() else []
                if outcomes or (wants and self._look):
                    self._turn(outcomes, wants)
                    outcomes = []
                    pause = AGAIN[0]
                else:
                    self._sleep(LOOK if self._due is None else min(LOOK, max(0.0, self._due - time.monotonic())))
            except (PlaitError, OSError) as error:
                log.warning("The store cannot be used just now; what has been done is kept. %s", error)
                time.sleep(pause)
                pause = min(AGAIN[1], 2 * pause)
            except BaseException:
                log.exception("The keeper stumbled; it goes on.")
                time.sleep(pause)
                pause = min(AGAIN[1], 2 * pause)

    def _tidy(self) -> None:
        now = time.monotonic()
        if now - self._tidied > LOOK:
            self._tidied = now
            self.lanes.tidy()

    def _gathered(self) -> list[Outcome]:
        queue = self._outcomes
        return [queue.popleft() for _ in range(len(queue))]

    def _sleep(self, seconds: float) -> None:
        """Wait until there is something to do; then look at the store, whatever it was."""
        self._asleep = True
        if not self._outcomes and not self._stopping:
            self._listener.wait(seconds)
        self._asleep = False
        self._look = True

    def _turn(self, outcomes: list[Outcome], wants: list[Want]) -> None:
        """One transaction."""
        most = self.most - self.lanes.held
        turn = self.store.turn(self.worker, outcomes, wants if most > 0 else (), queues=self.queues, most=max(0, most))
        self._look, self._looked = turn.more, True
        self._due = time.monotonic() + turn.due if turn.due is not None else None
        refused = set(turn.refused)
        for at, outcome in enumerate(outcomes):
            if at in refused:
                log.warning("What became of job %d does not count: it is no longer this worker's.", outcome.id)
            else:
                self._ended(outcome)
        of_task: dict[str, list[Claimed]] = {}
        for job in turn.claimed:
            of_task.setdefault(job.task, []).append(job)
        for task, jobs in of_task.items():
            self.lanes.offer(task, jobs)

    @property
    def fruitless(self) -> bool:
        """Whether the last look at the store found nothing, and nothing will come by itself."""
        return not self._look and self._due is None and self._looked

    def flushed(self) -> bool:
        """Whether everything that the lanes delivered is settled."""
        return not self._outcomes

    def stop(self) -> None:
        """End the thread; what lanes deliver from now on is settled by `finish`."""
        self._stopping = True
        self._asleep = False
        self._listener.wake()
        if self._thread.is_alive():
            self._thread.join(10.0)
        self._listener.close()

    def finish(self) -> None:
        """Settle what came after the thread's last turn."""
        outcomes = self._gathered()
        if outcomes:
            self.store.turn(self.worker, outcomes)
