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
from plait.events import Hub
from plait.failure import Failure
from plait.jobs.protocol import Event
from plait.jobs.records import Claimed, Outcome, Want
from plait.jobs.store import Listener, Store
from plait.jobs.worker.lane import JobLane
from plait.jobs.worker.lanes import Lanes
from plait.jobs.worker.perform import SETTLED
from plait.jobs.worker.teller import Teller
from plait.jobs.worker.verdict import bare, verdict

__all__ = ["Keeper"]

log = logging.getLogger("plait")

#: Seconds between two looks at the store when nothing is heard.
LOOK = 1.0
#: Seconds within which what is due counts as something to do.
SOON = 5.0
#: Seconds until a broken store is tried again: from, to.
AGAIN = 0.1, 5.0
#: Seconds between two comparisons of what the store says that the worker has with what it has.
RECOUNT = 15.0
#: Seconds until a job comes back whose lane cannot be opened.
CLOSED = 5.0


class Keeper:
    """Claims jobs for the lanes, and settles what they came to.

    Parameters:
        most: jobs that the worker has at once, all lanes together.
        hub: told of what becomes of jobs (`plait.jobs.events`).
        ended: called, in the keeper's thread, with each outcome that the store has taken.
    """

    def __init__(
        self,
        store: Store,
        worker: int,
        lanes: Lanes,
        queues: tuple[str, ...],
        most: int,
        hub: Hub,
        ended: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self.store, self.worker, self.lanes, self.queues, self.most = store, worker, lanes, queues, most
        self.accepting = True  # false: nothing more is claimed
        self.lost = threading.Event()  # set when the lease is: what the worker has is others' now
        self._outcomes: deque[Outcome] = deque()  # as they come
        self._unsettled: list[Outcome] = []  # those that the thread has taken up, until the store has them
        self._ended, self._teller = ended, Teller(hub)
        self._listener: Listener = store.listen()
        self._asleep = False
        self._stopping = threading.Event()
        self._look = True  # there may be jobs that nobody has told of
        self._due: float | None = None
        self._tidied = self._recounted = time.monotonic()
        self._doubt = False  # a turn was cut short: it may have claimed jobs all the same
        self._claiming = False  # the thread has found that it may claim, and has not done so yet
        self._looked = False
        self._thread = threading.Thread(target=self._work, name="plait-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    # --- from the lanes ---------------------------------------------------------------------------------------------

    def deliver(self, lane: JobLane, results: list[Any]) -> None:
        """Results came from a lane. From any thread."""
        now = self.store.now()
        for result in results:
            job = result.item.job if type(result) is Failure else result[0]
            outcome = self._outcome(lane, job, result, now)
            if outcome is not None:  # before the lane lets go of the job: it is always in one of the two
                self._teller.noticed(lane, job)
                self._outcomes.append(outcome)
            else:
                self._teller.settled(lane, job, stale=type(result) is Failure)
            lane.settled(job)
        self.lanes.works(lane.task.name)
        self.wake()

    def _outcome(self, lane: JobLane, job: int, result: Any, now: float) -> Outcome | None:
        if type(result) is Failure:
            try:
                return verdict(result, lane.task.retry, lane.task.keep_failed, now, random.random)
            except Exception as error:  # what the task raised cannot even be looked at
                return bare(job, result.item.token, error, lane.task.keep_failed)
        held = lane.held.get(job)
        if held is None or result[1] == SETTLED:
            return None
        return Outcome(id=job, token=held.token, event=Event.SUCCEED, result=result[1], keep=lane.task.keep)

    def hand_back(self, lane: JobLane, why: str, delay: float) -> None:
        """A lane has broken: its jobs come back later."""
        for job, held in list(lane.held.items()):
            self._teller.noticed(lane, job)
            self._outcomes.append(Outcome(id=job, token=held.token, event=Event.SNOOZE, delay=delay, error=why))
            lane.settled(job)
        self.wake()

    def settle(self, outcome: Outcome) -> None:
        """So much for a job that no lane has. From any thread."""
        self._outcomes.append(outcome)
        self.wake()

    def wake(self) -> None:
        """Have a look soon."""
        if self._asleep:
            self._asleep = False
            self._listener.wake()

    # --- the thread -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        pause, away = AGAIN[0], False
        while not self._stopping.is_set():
            try:
                self._tidy()
                self._gather()
                self._admit()
                if self._doubt or time.monotonic() - self._recounted > RECOUNT:
                    self._recount()
                self._claiming = True  # before looking whether it may: who forbids it sees this, or is seen
                wants = self.lanes.wants() if self.accepting and not self.lost.is_set() else []
                if self._unsettled or (wants and self._look):
                    self._turn(wants)
                else:
                    due = self._due if wants else None  # who may claim nothing has nothing to do when a job is due
                    self._sleep(LOOK if due is None else min(LOOK, max(0.0, due - time.monotonic())))
                if away:
                    log.warning("The store can be used again.")
                pause, away = AGAIN[0], False
            except (PlaitError, OSError) as error:
                log.warning("The store cannot be used just now; what has been done is kept. %s", error)
                away, self._doubt = True, True  # the recount asks the store, whatever else there is to do
                pause = self._pause(pause)
            except BaseException:
                log.exception("The keeper stumbled; it goes on.")
                pause = self._pause(pause)

    def _pause(self, seconds: float) -> float:
        """Wait before the store is tried again; how long to wait the next time."""
        self._claiming = False
        self._stopping.wait(seconds)
        return min(AGAIN[1], 2 * seconds)

    def _tidy(self) -> None:
        now = time.monotonic()
        if now - self._tidied > LOOK:
            self._tidied = now
            self.lanes.tidy()

    def _gather(self) -> None:
        queue = self._outcomes
        for _ in range(len(queue)):  # in both for a moment, never in neither: see `flushed`
            self._unsettled.append(queue[0])
            queue.popleft()

    def _recount(self) -> None:
        """Hand back what the store says is this worker's, and is not here.

        A connection may break when a claim is committed and not told of yet: nobody would run those jobs, and as long
        as the worker lives nobody would have them back.
        """
        theirs = self.store.running(self.worker)
        mine = self.lanes.jobs()
        mine |= {outcome.id: outcome.token for outcome in (*self._outcomes, *self._unsettled)}
        for job, token in theirs:
            if mine.get(job) != token:
                log.info("Job %d is this worker's, as the store has it, but is not here: it is handed back.", job)
                self._unsettled.append(Outcome(id=job, token=token, event=Event.RELEASE))
        self._doubt, self._recounted = False, time.monotonic()

    def _sleep(self, seconds: float) -> None:
        """Wait until there is something to do; then look at the store, whatever it was."""
        self._asleep, self._claiming = True, False
        if not self._outcomes and not self._stopping.is_set():
            self._listener.wait(seconds)
        self._asleep = False
        self._look = True

    def _turn(self, wants: list[Want]) -> None:
        """One transaction."""
        most = self.most - self.lanes.held
        outcomes, self._doubt = self._unsettled, True
        wants = wants if most > 0 else []
        try:
            turn = self.store.turn(self.worker, outcomes, wants, queues=self.queues, most=max(0, most))
        except (PlaitError, OSError):
            raise
        except Exception:
            if not outcomes:
                raise
            log.exception("What became of %d jobs cannot be settled together: one by one.", len(outcomes))
            self._settle_each()
            return
        self._told(outcomes, turn.refused)
        self._teller.claimed(turn.claimed, self.store)
        of_task: dict[str, list[Claimed]] = {}
        for job in turn.claimed:
            of_task.setdefault(job.task, []).append(job)
        for task, jobs in of_task.items():
            self._offer(self.lanes.offer, task, jobs)
        # From here on nothing of what this turn brought is in the keeper's hands alone: see `fruitless`.
        self._doubt = False
        self._look, self._looked = turn.more, True
        self._due = time.monotonic() + turn.due if turn.due is not None else None
        self._unsettled = []

    def _told(self, outcomes: list[Outcome], refused: tuple[int, ...]) -> None:
        """The store has taken outcomes, but for those that it refused."""
        self._teller.took(outcomes, refused)
        others = set(refused)
        for at, outcome in enumerate(outcomes):
            if at not in others:
                self._ended(outcome)
            elif outcome.event is not Event.RELEASE:
                log.warning("What became of job %d does not count: it is no longer this worker's.", outcome.id)

    def _admit(self) -> None:
        for job in self.lanes.admitted(lambda: {outcome.id for outcome in (*self._outcomes, *self._unsettled)}):
            self._offer(self.lanes.run_apart, job.task, [job])

    def _offer(self, run: Callable[[str, list[Claimed]], None], task: str, jobs: list[Claimed]) -> None:
        try:
            run(task, jobs)
        except Exception as error:  # no thread can be started, or no memory is left
            log.exception("Jobs of task %r cannot run here just now; they are handed back.", task)
            taken, why = self.lanes.in_lanes(), f"{type(error).__name__}: {error}"
            for job in [job for job in jobs if job.id not in taken]:
                self.settle(Outcome(id=job.id, token=job.token, event=Event.SNOOZE, delay=CLOSED, error=why))

    def _settle_each(self) -> None:
        """Settle one by one; what cannot be stored makes its own job fail, and keeps no other from being settled."""
        while self._unsettled:
            outcome = self._unsettled[0]
            try:
                self._told([outcome], self.store.turn(self.worker, [outcome]).refused)
            except (PlaitError, OSError):
                raise
            except Exception as error:
                log.exception("What became of job %d cannot be stored: it fails.", outcome.id)
                self._unsettled[0] = bare(outcome.id, outcome.token, error, outcome.keep)
                self._told([outcome], self.store.turn(self.worker, self._unsettled[:1]).refused)
            self._unsettled.pop(0)

    @property
    def fruitless(self) -> bool:
        """Whether the last look at the store found nothing, and nothing will come by itself soon."""
        due = self._due
        return not self._look and self._looked and (due is None or due - time.monotonic() > SOON)

    def flushed(self) -> bool:
        """Whether everything that the lanes delivered is settled, and nothing is being claimed."""
        return not self._outcomes and not self._unsettled and not self._claiming

    def stop(self, patience: float = 10.0) -> None:
        """End the thread, within `patience` seconds; what lanes deliver from now on is settled by `finish`."""
        self._stopping.set()
        self._asleep = False
        self._listener.wake()
        if self._thread.is_alive():
            self._thread.join(patience)
        self._listener.close()

    def finish(self, patience: float = 5.0) -> None:
        """Settle what came after the thread's last turn, trying again for `patience` seconds where that fails.

        Raises:
            StoreError: it could not be done; others will run those jobs again.
        """
        until = time.monotonic() + patience
        if self._thread.is_alive():
            self._thread.join(patience)
        while True:
            self._gather()
            if not self._unsettled:
                return
            try:
                self._turn([])
            except (PlaitError, OSError):
                if time.monotonic() > until:
                    raise
                time.sleep(AGAIN[0])
