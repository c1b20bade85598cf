"""Workers as step machines: what keeper, steward, lanes and pulse do together, one step at a time."""

from __future__ import annotations

from collections import deque
from typing import Any

from plait.errors import JobCancelled, Stale, StoreError
from plait.failure import Failure
from plait.jobs.protocol import LEASE, Event
from plait.jobs.records import Claimed, Outcome, Want, WorkerInfo
from plait.jobs.schedules import Schedules
from plait.jobs.worker.appetite import appetite
from plait.jobs.worker.perform import Hindered, Order, Snooze
from plait.jobs.worker.verdict import verdict
from tests.property.jobs_simulation.workload import KILLER, Case, Task
from tests.property.jobs_simulation.world import Being, Call, Sleep, Steps, World, call

#: Seconds between looks of the keeper, rounds of the steward, beats of the pulse, comparisons with the store.
LOOK, ROUND, BEAT, RECOUNT = 1.5, 1.0, LEASE / 5, 15.0


class Lane:
    """One task's jobs at a worker: those that run, and those that wait for a place."""

    def __init__(self, task: Task, *, alone: bool) -> None:
        self.task, self.alone = task, alone
        self.slots = 1 if alone else task.slots
        self.held: dict[int, Claimed] = {}
        self.waiting: deque[Claimed] = deque()
        self.running = 0
        self.opened = False
        self.seconds: float | None = None

    def want(self) -> int:
        """How many more jobs there is room for."""
        if self.alone:
            return 0 if self.held else 1
        return appetite(self.slots, self.seconds, len(self.held)) if self.opened else 1


class Worker(Being):
    """A worker, from its registration to its end.

    Parameters:
        recounts: whether it compares what it has with the store after a turn that was cut short.
    """

    def __init__(self, world: World, case: Case, name: str, *, recounts: bool = True) -> None:
        low, high = 1.0 / case.skew, case.skew
        super().__init__(name, mortal=True, speed=world.random.uniform(low, high))
        self.world, self.case, self.recounts = world, case, recounts
        self.tasks = {task.name: task for task in case.tasks}
        self._queues: tuple[str, ...] = ("default",) if world.random.random() < 0.2 else ()
        self.id = 0
        self.accepting = True
        self.left = False
        self._era = 0  # which registration this is
        self._schedules = Schedules(case.declared(), Direct(world, self))  # type: ignore[arg-type]

    def work(self) -> Steps:
        """Enlist, and go on until the end."""
        while True:
            try:
                self.id = yield call("register", WorkerInfo(host="here", pid=1, tasks=tuple(self.tasks), slots=1))
                break
            except StoreError:
                yield Sleep(0.3)
        self._era += 1
        self.lanes = {name: Lane(task, alone=False) for name, task in self.tasks.items()}
        self.apart = {name: Lane(task, alone=True) for name, task in self.tasks.items()}
        self.outcomes: list[Outcome] = []
        self.unwanted: set[int] = set()
        self._doubt = False
        self.world.spawn(self, self._steward(self._era))
        self.world.spawn(self, self._pulse(self._era))
        yield from self._keeper(self._era)

    def _lost(self, era: int) -> None:
        """Its jobs are others': it begins anew."""
        if era == self._era and not self.left:
            self._era += 1  # whatever still runs of the old era ends without a word
            self.world.spawn(self, self.work())

    @property
    def queues(self) -> tuple[str, ...]:
        """Those that it serves; all in the end, so that nobody is left without a worker."""
        return () if self.world.peaceful else self._queues

    def _all(self) -> list[Lane]:
        return [*self.lanes.values(), *self.apart.values()]

    @property
    def held(self) -> int:
        """Jobs that it has."""
        return sum(len(lane.held) for lane in self._all())

    # --- the keeper -------------------------------------------------------------------------------------------------

    def _keeper(self, era: int) -> Steps:
        recounted = self.world.now
        while era == self._era and not self.left:
            try:
                if self.recounts and (self._doubt or self.world.now - recounted > RECOUNT):
                    yield from self._recount()
                    recounted = self.world.now
                if era != self._era:
                    return
                wants = self._wants() if self.accepting else []
                outcomes, room = list(self.outcomes), self.case.most - self.held
                self._doubt = True
                turn = yield call(
                    "turn", self.id, outcomes, wants if room > 0 else (), queues=self.queues, most=max(0, room)
                )
                if era != self._era:
                    return
                self._doubt = False
                del self.outcomes[: len(outcomes)]
                for job in turn.claimed:
                    self._offer(job, era)
                if not self.outcomes and not (turn.more and self._wants()):
                    yield Sleep(min(LOOK, turn.due if turn.due is not None else LOOK) * self.world.random.random())
            except StoreError:
                yield Sleep(0.1 + self.world.random.random())

    def _wants(self) -> list[Want]:
        wants = []
        for lane in self._all():
            count = lane.want()
            if count > 0:
                wants.append(Want(lane.task.name, count, lane.task.rules, lane.alone))
        return wants

    def _recount(self) -> Steps:
        """Hand back what the store says is its own, and is not here."""
        theirs = yield call("running", self.id)
        mine = {job.id: job.token for lane in self._all() for job in lane.held.values()}
        mine |= {outcome.id: outcome.token for outcome in self.outcomes}
        for job, token in theirs:
            if mine.get(job) != token:
                self.outcomes.append(Outcome(id=job, token=token, event=Event.RELEASE))

    # --- the lanes --------------------------------------------------------------------------------------------------

    def _offer(self, job: Claimed, era: int) -> None:
        lane = (self.apart if job.crashes else self.lanes)[job.task]
        lane.held[job.id] = job
        lane.opened = True
        lane.waiting.append(job)
        self._next(lane, era)

    def _next(self, lane: Lane, era: int) -> None:
        while lane.waiting and lane.running < lane.slots:
            lane.running += 1
            self.world.spawn(self, self._run(lane, lane.waiting.popleft(), era))

    def _run(self, lane: Lane, job: Claimed, era: int) -> Steps:
        """One attempt."""
        task, draw = lane.task, self.world.random.random
        outcome: Outcome | None = None
        try:
            if job.crashes:
                yield from self._begin(job)
            self.world.ledger.ran(job.id, job.token)
            self.world.history.add(self.world.now, self.name, "runs", (job.id, job.token))
            seconds = task.seconds * (0.5 + draw())
            while seconds > 0 and job.id not in self.unwanted:
                yield Sleep(min(seconds, 1.0))
                seconds -= 1.0
            if job.args.endswith(KILLER):
                self.world.crash(self)
                return
            if job.id in self.unwanted:
                raise JobCancelled(job.id)
            if draw() < task.snoozes and not self.world.peaceful:
                raise Snooze(draw() * 5.0)
            if draw() < task.fails:
                raise ArithmeticError("it failed")
            lane.seconds = task.seconds
            result = b"%d" % job.id
            if task.transactional:
                yield from self._settled_by_itself(job, result)
            else:
                outcome = Outcome(id=job.id, token=job.token, event=Event.SUCCEED, result=result, keep=task.keep)
        except Exception as error:
            failure = Failure(Order.of(job), 0, task.name, 1, error, "")
            outcome = verdict(failure, task.retry, 86_400.0, self.world.now, draw)
        if era != self._era:
            return
        lane.running -= 1
        lane.held.pop(job.id, None)
        self.unwanted.discard(job.id)
        if outcome is not None:
            self.outcomes.append(outcome)
        self._next(lane, era)

    def _begin(self, job: Claimed) -> Steps:
        try:
            mine = yield call("begin", job.id, job.token)
        except StoreError as error:
            raise Hindered(str(error)) from error
        if not mine:
            raise Stale(job.id)

    def _settled_by_itself(self, job: Claimed, result: bytes) -> Steps:
        try:
            mine = yield call("transact", job.id, job.token, result, self.tasks[job.task].keep)
        except StoreError as error:
            raise Hindered(str(error)) from error
        if not mine:
            raise Stale(job.id)

    # --- steward and pulse ------------------------------------------------------------------------------------------

    def _steward(self, era: int) -> Steps:
        while era == self._era and not self.left:
            yield Sleep(ROUND * (0.5 + self.world.random.random()))
            try:
                for job, _ in (yield call("unwanted", self.id)):
                    self.unwanted.add(job)
                if not self.world.peaceful:
                    self._schedules.fire()
                yield call("upkeep")
            except StoreError:
                continue

    def _pulse(self, era: int) -> Steps:
        while era == self._era and not self.left:
            yield Sleep(BEAT)
            try:
                if era == self._era and not (yield call("beat", self.id)):
                    self._lost(era)
            except StoreError:
                continue

    # --- the end ----------------------------------------------------------------------------------------------------

    def drain(self, grace: float) -> Steps:
        """Claim nothing more, wait a while, hand back the rest."""
        self.accepting = False
        yield Sleep(grace)
        self.left = True
        self._era += 1
        try:
            yield call("turn", self.id, list(self.outcomes))
            yield call("leave", self.id)
        except StoreError:
            pass  # its lease runs out
        self.dead = True
        self.died()


class Direct:
    """The store as `Schedules` sees it: asked at once, with all that may befall who asks."""

    def __init__(self, world: World, being: Being) -> None:
        self._world, self._being = world, being

    def now(self) -> float:
        """The store's time."""
        return self._world.now

    def __getattr__(self, method: str) -> Any:
        return lambda *said, **named: self._world.ask(self._being, Call(method, said, named))
