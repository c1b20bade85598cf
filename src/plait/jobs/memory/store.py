"""`MemoryStore`: jobs that end with their process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from plait.errors import ConnectionRefused, Stale, StoreError
from plait.jobs.losses import log_losses
from plait.jobs.memory.claim import claim, make_due, next_due
from plait.jobs.memory.ear import Ear
from plait.jobs.memory.settle import cancel, fan_out, hand_back, redo, settle, store
from plait.jobs.memory.tables import Tables, WorkerRow, fits, snapshot
from plait.jobs.memory.transact import Settling
from plait.jobs.memory.upkeep import forget, open_gates, queue_view, recover
from plait.jobs.protocol import ENDED, LEASE, State
from plait.jobs.records import (
    Claimed,
    Draft,
    Ended,
    Fan,
    Filter,
    Note,
    Outcome,
    Placed,
    QueueView,
    ScheduleView,
    Snapshot,
    Turn,
    Want,
    WorkerInfo,
    WorkerView,
)
from plait.jobs.store import Listener, Store, Transaction

__all__ = ["MemoryStore"]


class MemoryStore(Store):
    """A store that ends with its process. See `Store` for what each method does.

    Parameters:
        clock: what tells seconds since the epoch; virtual in tests.
    """

    url = "memory://"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._all = Tables()
        self._ears: list[Ear] = []

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    @contextmanager
    def _tables(self, *, tell: bool = False) -> Iterator[Tables]:
        """Everything, as one who alone may change it sees it now; who listens is told afterwards."""
        if os.getpid() != self._pid:
            raise StoreError("Jobs in memory are those of one process, and this one was forked from it: use a file.")
        with self._lock:
            self._all.now = self._clock()
            yield self._all
        if tell:
            for ear in list(self._ears):
                ear.wake()

    # --- clients ----------------------------------------------------------------------------------------------------

    def enqueue(
        self, drafts: Sequence[Draft], *, fan: Fan | None = None, connection: Any = None
    ) -> tuple[list[Placed], int]:
        """Store jobs."""
        if connection is not None:
            raise ConnectionRefused("Jobs in memory have no database: connection= cannot be used with them.")
        with self._tables(tell=True) as all_:
            return fan_out(all_, drafts, fan)

    def ended(self, ids: Collection[int]) -> list[Ended]:
        """Those that have ended."""
        with self._tables() as all_:
            rows = [job for job in all_.known(ids) if job.state in ENDED]
            return [Ended(job.id, job.state, job.result, job.error, job.traceback) for job in rows]

    def states(self, ids: Collection[int]) -> dict[int, State]:
        """The state of each that is known."""
        with self._tables() as all_:
            return {job.id: job.state for job in all_.known(ids)}

    def show(self, job: int) -> Snapshot | None:
        """All that is known of a job."""
        with self._tables() as all_:
            found = all_.jobs.get(job)
            if found is None:
                return None
            args = None if found.state is State.DONE else found.draft.args
            return snapshot(found, args=args, result=found.result, traceback=found.traceback)

    def find(self, which: Filter) -> list[Snapshot]:
        """Jobs, the newest first."""
        with self._tables() as all_:
            found = [snapshot(job) for job in all_.jobs.values() if fits(job, which)]
            return sorted(found, key=lambda found: -found.id)[: which.limit]

    def cancel(self, ids: Collection[int]) -> dict[int, State]:
        """Cancel jobs."""
        with self._tables(tell=True) as all_:
            cancel(all_, all_.known(ids))
            return {job.id: job.state for job in all_.known(ids)}

    def redo(self, ids: Collection[int]) -> list[int]:
        """Have jobs run again."""
        with self._tables(tell=True) as all_:
            return [job.id for job in all_.known(ids) if redo(all_, job)]

    def pause(self, queue: str) -> None:
        """Let nobody claim jobs of a queue."""
        with self._tables() as all_:
            all_.paused.add(queue)

    def resume(self, queue: str) -> None:
        """The opposite."""
        with self._tables(tell=True) as all_:
            all_.paused.discard(queue)

    def queues(self) -> list[QueueView]:
        """How many jobs there are."""
        with self._tables() as all_:
            names = sorted({(job.draft.queue, job.draft.task) for job in all_.jobs.values()})
            found = [queue_view(all_, queue, task) for queue, task in names]
            empty = all_.paused - {queue for queue, _ in names}
            found += [QueueView(queue=queue, task="", paused=True) for queue in empty]
            return sorted(found, key=lambda view: (view.queue, view.task))

    def group(self, group: int) -> tuple[int, int] | None:
        """How many parts a group has, and how many have not ended."""
        with self._tables() as all_:
            found = all_.groups.get(group)
            return (found.total, max(0, found.open)) if found is not None else None

    # --- workers ----------------------------------------------------------------------------------------------------

    def register(self, info: WorkerInfo) -> int:
        """A worker begins."""
        with self._tables() as all_:
            worker = all_.number("worker")
            all_.workers[worker] = WorkerRow(info, all_.now, all_.now + LEASE)
            return worker

    def beat(self, worker: int) -> bool:
        """Renew a lease."""
        with self._tables() as all_:
            found = all_.workers.get(worker)
            if found is not None:
                found.until = all_.now + LEASE
            return found is not None

    def turn(
        self,
        worker: int,
        outcomes: Sequence[Outcome] = (),
        wants: Sequence[Want] = (),
        *,
        queues: Collection[str] = (),
        most: int = 1_000_000,
    ) -> Turn:
        """Settle and claim."""
        with self._tables(tell=bool(outcomes)) as all_:
            refused = settle(all_, outcomes, worker)
            make_due(all_)
            found: list[Claimed] = []
            more, opens = False, None
            leased = all_.workers.get(worker)
            if wants and leased is not None and leased.until > all_.now:
                found, more, opens = claim(all_, worker, wants, queues, most)
            return Turn(tuple(refused), tuple(found), next_due(all_, opens), more)

    @contextmanager
    def transact(self, job: int, token: int) -> Iterator[Transaction]:
        """Nothing to work in: only the fence, and the settling."""
        with self._tables(tell=True) as all_:
            if all_.mine(job, token) is None:
                raise Stale(job)
            yield Settling(partial(settle, all_), job, token)

    def begin(self, job: int, token: int) -> bool:
        """A suspect begins."""
        with self._tables() as all_:
            found = all_.mine(job, token)
            if found is not None:
                found.begun = True
            return found is not None

    def note(self, notes: Sequence[Note]) -> None:
        """Remember how far jobs are."""
        with self._tables() as all_:
            for said in notes:
                job = all_.mine(said.id, said.token)
                if job is not None:
                    job.progress, job.note = said.share, said.text

    def running(self, worker: int) -> list[tuple[int, int]]:
        """Jobs that it runs."""
        with self._tables() as all_:
            return [(job.id, job.token) for job in all_.of(worker)]

    def unwanted(self, worker: int) -> list[tuple[int, int]]:
        """Running jobs that were cancelled."""
        with self._tables() as all_:
            return [(job.id, job.token) for job in all_.of(worker) if job.cancelled]

    def leave(self, worker: int) -> int:
        """A worker ends in good order."""
        with self._tables(tell=True) as all_:
            count = hand_back(all_, all_.of(worker))
            all_.workers.pop(worker, None)
            return count

    def recover(self, worker: int) -> int:
        """A worker is dead."""
        with self._tables(tell=True) as all_:
            loss = recover(all_, worker)
        log_losses([loss])
        return loss.count

    def workers(self) -> list[WorkerView]:
        """All that are registered."""
        with self._tables() as all_:
            return [
                WorkerView(id=w, info=it.info, started=it.started, lease=it.until - all_.now, running=len(all_.of(w)))
                for w, it in all_.workers.items()
            ]

    def listen(self, *, ends: bool = False) -> Listener:
        """Hear of what is new."""
        ear = Ear(lambda closed: self._ears.remove(closed) if closed in self._ears else None)
        self._ears.append(ear)
        return ear

    # --- upkeep -----------------------------------------------------------------------------------------------------

    def upkeep(self) -> float | None:
        """Recover, open gates, forget."""
        with self._tables(tell=True) as all_:
            gone = [w for w, known in all_.workers.items() if known.until <= all_.now]
            losses = [recover(all_, worker) for worker in gone]
            open_gates(all_)
            forget(all_)
        log_losses(losses)
        return None

    def schedules(self) -> list[ScheduleView]:
        """All schedules."""
        with self._tables() as all_:
            return sorted(all_.schedules.values(), key=lambda view: view.name)

    def put_schedule(self, name: str, task: str, definition: bytes, next_fire: float) -> ScheduleView:
        """Declare a schedule."""
        with self._tables() as all_:
            known = all_.schedules.get(name)
            if known is None:
                known = ScheduleView(name=name, task=task, definition=definition, next_fire=next_fire)
            elif known.definition != definition:
                again = known.last_fire is not None and known.last_fire >= next_fire
                first = known.next_fire if again else next_fire
                known = msgspec.structs.replace(known, definition=definition, next_fire=first)
            all_.schedules[name] = msgspec.structs.replace(known, task=task, seen=all_.now)
            return all_.schedules[name]

    def drop_schedule(self, name: str) -> bool:
        """Forget one."""
        with self._tables() as all_:
            return all_.schedules.pop(name, None) is not None

    def fire(self, name: str, due: float, next_fire: float, drafts: Sequence[Draft]) -> list[Placed] | None:
        """Enqueue what a schedule submits, once."""
        with self._tables(tell=True) as all_:
            known = all_.schedules.get(name)
            if known is None or known.next_fire != due:
                return None
            placed = store(all_, drafts)
            last = placed[-1].id if placed else known.last_job
            fired = {"next_fire": next_fire, "last_fire": all_.now, "last_job": last}
            all_.schedules[name] = msgspec.structs.replace(known, **fired)
            return placed

    def close(self) -> None:
        """Nothing to let go of."""
