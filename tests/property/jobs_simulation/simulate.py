"""Runs one world to its end: clients, workers that are started again, and what has to be true all the while."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from plait.errors import StoreError
from plait.jobs.memory.store import MemoryStore
from plait.jobs.protocol import ENDED, State
from plait.jobs.records import Fan
from plait.jobs.sql.store import SqlStore
from plait.jobs.sql.upkeep import Outage
from plait.jobs.store import Store
from plait.jobs.testing import VirtualClock
from tests.property.jobs_simulation.history import Broken
from tests.property.jobs_simulation.ledger import Ledger
from tests.property.jobs_simulation.shaky import ShakyStore
from tests.property.jobs_simulation.workers import Worker
from tests.property.jobs_simulation.workload import Case, Drafts, simpler
from tests.property.jobs_simulation.world import LATE, Being, Sleep, Steps, World, call

#: Virtual seconds of peace without the end of any job after which something is stuck.
PATIENCE = 300.0
MakeStore = Callable[[VirtualClock], Store]


class Simulation:
    """One world.

    Parameters:
        make: makes the store; by default what the case says. recounts: see `Worker`.
    """

    def __init__(self, case: Case, make: MakeStore | None = None, *, recounts: bool = True) -> None:
        clock = VirtualClock()
        self.case, self.recounts = case, recounts
        self.store = make(clock) if make is not None else _store(case, clock)
        self.ledger = Ledger(case.rules)
        self.ledger.every = {f"every-{at}": each for at, each in enumerate(case.schedules)}
        if isinstance(self.store, SqlStore):
            self.store.outage = Outage(clock)
        if isinstance(self.store, ShakyStore):
            self.store.undoes = lambda: not self.world.peaceful and self.world.random.random() < case.faults.lose
        self.world = World(self.store, clock, self.ledger, case.seed, case.faults, case.seconds)
        self._drafts = Drafts(case, self.world.random)
        self._busy = case.clients
        self._names = count(1)

    def run(self) -> None:
        """Until everything has ended.

        Raises:
            Broken: a rule did not hold.
        """
        try:
            for _ in range(self.case.workers):
                self._hire()
            for at in range(self.case.clients):
                self.world.spawn(Being(f"client {at}"), self._client())
            self.world.spawn(Being("peace"), self._peace())
            self.world.run(self._over)
            self.ledger.at_the_end()
        finally:
            self.store.close()

    def _over(self) -> bool:
        if not self.world.peaceful:
            return False
        stuck = self.world.now - max(self.world.peace, self.ledger.ended) > PATIENCE
        return stuck or (self._busy == 0 and not any(life.live for life in self.ledger.lives.values()))

    # --- workers ----------------------------------------------------------------------------------------------------

    def _hire(self) -> None:
        world, draw = self.world, self.world.random.random
        worker = Worker(world, self.case, f"worker {next(self._names)}", recounts=self.recounts)

        def died() -> None:
            if draw() < 0.5 and worker.id and not worker.left:  # the kernel tells of it
                world.after(0.002 + draw() * 0.01, self._found_dead, worker.id)
            world.after(0.2 + draw() * 2.0, self._hire)

        worker.died = died
        world.spawn(worker, worker.work())
        if draw() < 0.2 and not world.peaceful:
            world.after(draw() * self.case.seconds, self._drain, worker)

    def _drain(self, worker: Worker) -> None:
        if not worker.dead and not worker.left and worker.id:
            self.world.spawn(worker, worker.drain(self.world.random.random() * 5.0))

    def _found_dead(self, worker: int) -> None:
        def tells() -> Steps:
            try:
                yield call("recover", worker)
            except StoreError:
                return

        self.world.spawn(Being("kernel"), tells())

    # --- clients ----------------------------------------------------------------------------------------------------

    def _client(self) -> Steps:
        draw = self.world.random
        actions = [self._enqueue, self._enqueue, self._enqueue, self._group, self._cancel, self._redo, self._pause]
        for _ in range(self.case.actions):
            yield Sleep(draw.random() * self.case.seconds / self.case.actions * 1.2)
            try:
                yield from draw.choice(actions)()
            except StoreError:
                continue  # as people do
        self._busy -= 1

    def _enqueue(self) -> Steps:
        number = self.world.random.choice([1, 1, 2, 5, 12])
        yield call("enqueue", [self._drafts.job() for _ in range(number)])

    def _group(self) -> Steps:
        parts, fan = self._drafts.group()
        yield call("enqueue", parts, fan=fan)
        if self.world.random.random() < 0.1:
            yield call("enqueue", [], fan=Fan(total=0, then=self._drafts.job("then", plain=True)))

    def _cancel(self) -> Steps:
        lives, draw = self.ledger.lives.values(), self.world.random
        wanted = draw.choice([State.RUNNING, State.RUNNING, State.WAITING, State.SCHEDULED, State.DONE])
        jobs = [life.id for life in lives if life.state is wanted] or [life.id for life in lives]
        yield call("cancel", draw.sample(jobs, min(len(jobs), 3)))

    def _redo(self) -> Steps:
        bad = [job for job, life in self.ledger.lives.items() if life.state in ENDED]
        yield call("redo", self.world.random.sample(bad, min(len(bad), 4)))

    def _pause(self) -> Steps:
        queue = self.world.random.choice(["default", "media"])
        yield call("pause", queue)
        yield Sleep(self.world.random.random() * 5.0)
        while True:
            try:
                yield call("resume", queue)
                return
            except StoreError:
                yield Sleep(1.0)

    def _peace(self) -> Steps:
        yield Sleep(self.case.seconds + 0.01)
        for name in list(self.ledger.fires):
            yield call("drop_schedule", name)
        yield Sleep(LATE)  # a pause may still be on its way whose client has given it up, and will never resume
        for queue in ("default", "media"):
            yield call("resume", queue)


def _store(case: Case, clock: VirtualClock) -> Store:
    if case.path is None:
        return MemoryStore(clock)
    return ShakyStore(case.path / f"{case.seed}.db", full=False, clock=clock)


def broken(case: Case, make: MakeStore | None = None, *, recounts: bool = True) -> tuple[Broken, Simulation] | None:
    """What is wrong in a world; `None`: nothing."""
    simulation = Simulation(case, make, recounts=recounts)
    try:
        simulation.run()
    except Broken as found:
        return found, simulation
    return None


def check(case: Case, make: MakeStore | None = None, *, simplify: bool = True) -> None:
    """Run a world; if something is wrong, tell of the simplest like it in which that is so.

    Parameters:
        simplify: whether there are stores for further worlds.

    Raises:
        AssertionError: with the rule, the history around, and how to run it again.
    """
    found = broken(case, make)
    if found is None:
        return
    simplest = case
    for _ in range(6 if simplify else 0):
        for other in simpler(simplest):
            again = broken(other, make)
            if again is not None and again[0].rule == found[0].rule:
                simplest, found = other, again
                break
        else:
            break
    what, simulation = found
    raise AssertionError(
        f"{what}\n\n{simulation.world.history.around(what)}\n\nin {simplest}\n\nAgain: PLAIT_SEED={case.seed} "
        "python -m pytest tests/property/jobs_simulation/test_simulation.py"
    )
