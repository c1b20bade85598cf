"""Checks a history, call by call, against what `jobs/store.py` promises. It knows nothing of how any store does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from plait.jobs.protocol import CRASHES, LEASE, Event, State
from plait.jobs.records import Claimed, Draft, Fan, Outcome, Part, Placed, Rule, Snapshot, Turn, Want
from tests.property.jobs_simulation.history import Broken
from tests.property.jobs_simulation.lives import Group, Life
from tests.property.jobs_simulation.order import Order

_BACK = frozenset({Event.RETRY, Event.RELEASE, Event.SNOOZE})


class Ledger:
    """Everything that has to be true now.

    Parameters:
        rules: of each task.
    """

    def __init__(self, rules: dict[str, tuple[Rule, ...]]) -> None:
        self.lives: dict[int, Life] = {}
        self.gone: dict[int, Life] = {}
        self.groups: dict[int, Group] = {}
        self.leases: dict[int, float] = {}
        self.uniques: dict[tuple[str, str], tuple[int, float | None]] = {}
        self.paused: set[str] = set()
        self.fires: dict[str, float] = {}
        self.every: dict[str, tuple[float, str]] = {}
        self.order = Order(rules)
        self.stirred = True  # whether jobs may have changed with the last call
        self.ended = 0.0  # when the last job has
        self._expected: list[tuple[Draft, dict[str, Any]]] = []
        self._now = 0.0

    # --- what is heard ----------------------------------------------------------------------------------------------

    def see(self, method: str, said: tuple[Any, ...], named: dict[str, Any], answer: Any, now: float) -> None:
        """The store was asked, and has answered."""
        self._now, self.stirred = now, True
        check = getattr(self, f"_{method}", None)
        if check is not None:
            check(answer, *said, **named)

    def ran(self, job: int, token: int) -> None:
        """A worker has begun with a job."""
        life = self.known(job)
        life.ran.add(token)

    def known(self, job: int) -> Life:
        """What is known of a job."""
        found = self.lives.get(job) or self.gone.get(job)
        if found is None:
            raise Broken("complete", f"job {job} is none that was enqueued", [job])
        return found

    # --- what is seen -----------------------------------------------------------------------------------------------

    def observe(self, snapshots: Sequence[Snapshot], args_of: Callable[[int], bytes], now: float) -> None:
        """Everything that the store knows has to be what it should be."""
        self._now = now
        seen: dict[int, Snapshot] = {}
        for snapshot in snapshots:
            if snapshot.id in seen:
                raise Broken("one state", f"job {snapshot.id} is there twice", [snapshot.id])
            seen[snapshot.id] = snapshot
        for job in sorted(seen.keys() - self.lives.keys() - self.gone.keys()):
            self._arrive(job, args_of(job))
        if self._expected:
            names = [draft.args.decode() for draft, _ in self._expected]
            raise Broken("followers", f"{names} should have been enqueued in this transaction", [])
        for job, life in list(self.lives.items()):
            found = seen.get(job)
            if found is not None:
                life.seen(found, now)
            elif life.forgettable and (life.group is None or not life.group.needed):
                self.gone[job] = self.lives.pop(job)
            else:
                raise Broken("complete", f"{life.name} was {life.state}, and is not there any more", [job])
        self._no_unique_twice()

    def _no_unique_twice(self) -> None:
        live = Counter(life.unique for life in self.lives.values() if life.unique is not None and life.live)
        twice = [unique for unique, number in live.items() if number > 1]
        if twice:
            jobs = [life.id for life in self.lives.values() if life.unique in twice and life.live]
            raise Broken("unique", f"{twice} have more than one live job: {jobs}", jobs)

    # --- clients ----------------------------------------------------------------------------------------------------

    def _enqueue(
        self, answer: tuple[list[Placed], int], drafts: Sequence[Draft], *, fan: Fan | None = None, **_: Any
    ) -> None:
        placed, number = answer
        group = None
        if fan is not None:
            group = self.groups[number] = Group(number, fan.total, fan.then, set(range(fan.total)))
            if fan.total == 0:
                self._fan_in(group)
        self._placed(drafts, placed, group)

    def _placed(self, drafts: Sequence[Draft], placed: Sequence[Placed], group: Group | None = None) -> None:
        for part, (draft, where) in enumerate(zip(drafts, placed, strict=True)):
            unique = (draft.task, draft.unique) if draft.unique is not None and group is None else None
            holder, until = self.uniques.get(unique, (0, 0.0)) if unique is not None else (0, 0.0)
            if holder and (until is None or until > self._now):
                if where.fresh or where.id != holder:
                    raise Broken("unique", f"{unique} is job {holder}'s: {where}", [holder, where.id])
                continue
            if not where.fresh:
                raise Broken("unique", f"{unique} is nobody's, and {where} was said", [where.id])
            self._born(where.id, draft, group, part, unique=unique)

    def _born(
        self, job: int, draft: Draft, group: Group | None = None, part: int = 0, unique: Any = None, **of: Any
    ) -> None:
        if job in self.lives or job in self.gone:
            raise Broken("complete", f"the id of job {job} was used before", [job])
        run_at = max(draft.at, self._now + draft.delay)
        later = run_at > self._now
        state = State.SCHEDULED if later else State.WAITING
        life = Life(job, draft, state, run_at if later else None, not later, group, part, unique=unique, **of)
        if unique is not None:
            self.uniques[unique] = (job, None)
        self.lives[job] = life
        self.order.born(life, self.lives.values())

    def _arrive(self, job: int, args: bytes) -> Life:
        """A job that the store has enqueued by itself."""
        for at, (draft, of) in enumerate(self._expected):
            if draft.args == args:
                del self._expected[at]
                self._born(job, draft, **of)
                return self.lives[job]
        raise Broken("followers", f"job {job} ({args.decode()}) was enqueued, and its time has not come", [job])

    def _cancel(self, answer: dict[int, State], ids: Sequence[int]) -> None:
        for job in ids:
            life = self.lives.get(job)
            if life is not None and life.state is State.RUNNING:
                life.cancelled = True
            elif life is not None and life.live:
                self._end(life, Event.CANCEL)
            if life is not None and answer.get(job, life.state if life.forgettable else None) is not life.state:
                raise Broken("cancel", f"{life.name} is said to be {answer.get(job)}: it is {life.state}", [job])

    def _redo(self, answer: list[int], ids: Sequence[int]) -> None:
        for job in ids:
            life = self.lives.get(job)
            forgotten = life is not None and life.forgettable and job not in answer
            if life is None or forgotten or life.state not in (State.FAILED, State.CANCELLED):
                if job in answer:
                    raise Broken("redo", f"job {job} runs again, and had not failed", [job])
                continue
            holder, until = self.uniques.get(life.unique, (job, None)) if life.unique else (job, None)
            taken = holder != job and (until is None or until > self._now)
            if (job in answer) is taken:
                raise Broken("redo", f"{life.name} was asked to run again (its key is job {holder}'s)", [job, holder])
            if not taken:
                self._again(life)

    def _again(self, life: Life) -> None:
        life.step(Event.REDO)
        life.retries = life.crashes = 0
        life.cancelled = life.prompt = life.forgettable = False
        life.run_at = None
        if life.unique is not None:
            self.uniques[life.unique] = (life.id, None)
        group = life.group
        if group is not None and group.open:
            group.open.add(life.part)
        elif group is not None:
            group.parts.pop(life.part, None)
            life.group = None

    def _pause(self, answer: None, queue: str) -> None:
        self.paused.add(queue)

    def _resume(self, answer: None, queue: str) -> None:
        self.paused.discard(queue)

    # --- workers ----------------------------------------------------------------------------------------------------

    def _register(self, worker: int, info: Any) -> None:
        if worker in self.leases:
            raise Broken("leases", f"worker {worker} is there already")
        self.leases[worker] = self._now + LEASE

    def _beat(self, answer: bool, worker: int) -> None:
        if answer is not (worker in self.leases):
            raise Broken("leases", f"worker {worker} was told {answer} when it renewed its lease")
        if answer:
            self.leases[worker] = self._now + LEASE

    def _turn(
        self,
        answer: Turn,
        worker: int,
        outcomes: Sequence[Outcome] = (),
        wants: Sequence[Want] = (),
        *,
        queues: Sequence[str] = (),
        most: int = 1_000_000,
    ) -> None:
        for at, outcome in enumerate(outcomes):
            self._settled(outcome, at not in answer.refused)
        self.stirred = bool(outcomes or answer.claimed)
        for life in self.lives.values():
            if life.state is State.SCHEDULED and life.due(self._now):
                life.step(Event.DUE)
                self.stirred = True
        if answer.claimed and self.leases.get(worker, 0.0) <= self._now:
            jobs = [job.id for job in answer.claimed]
            raise Broken("leases", f"worker {worker} has no lease, and was given {jobs}", jobs)
        for job in answer.claimed:
            if job.id not in self.lives:
                self._arrive(job.id, job.args)
        if wants and self.leases.get(worker, 0.0) > self._now:
            self.order.claimed(self.lives, answer.claimed, wants, self.paused, queues, most, self._now)
        for job in answer.claimed:
            self._claimed(self.lives[job.id], job, worker)
        self.order.limits(self.lives.values())

    def _claimed(self, life: Life, job: Claimed, worker: int) -> None:
        life.step(Event.CLAIM)
        if job.token <= life.token:
            raise Broken("fence", f"{life.name} has token {job.token} after {life.token}", [life.id])
        if (job.attempt, job.crashes) != (life.retries + 1, life.crashes):
            had = f"{life.retries} failed attempts and {life.crashes} crashes"
            raise Broken(
                "attempts", f"{life.name}: attempt {job.attempt}, crashes {job.crashes}, after {had}", [life.id]
            )
        if job.args != life.draft.args or job.feed != life.feed or job.task != life.draft.task:
            raise Broken("complete", f"{life.name} was claimed as {job}", [life.id])
        if life.of is not None:
            life.of.tells(life, job.parts)
        life.token, life.worker, life.begun = job.token, worker, False
        life.claims += 1

    def _settled(self, outcome: Outcome, accepted: bool) -> None:
        life = self.known(outcome.id)
        if accepted is not life.mine(outcome.token):
            what = f"is {life.state} with token {life.token}"
            said = f"{outcome.event} with token {outcome.token} was {'accepted' if accepted else 'refused'}"
            raise Broken("fence", f"{life.name} {what}, and {said}", [life.id])
        if not accepted:
            return
        if outcome.event is Event.SUCCEED and outcome.token not in life.ran:
            raise Broken("ran", f"{life.name} is done, and nobody has run it with that token", [life.id])
        if outcome.event not in _BACK:
            self._end(life, outcome.event, outcome.result, outcome.keep)
        elif life.cancelled:
            self._end(life, Event.STOP, None, outcome.keep)
        else:
            life.retries += outcome.event is Event.RETRY
            life.step(outcome.event)
            life.run_at = self._now + outcome.delay

    def _transact(self, answer: bool, job: int, token: int, result: bytes, keep: float) -> None:
        self._settled(Outcome(id=job, token=token, event=Event.SUCCEED, result=result, keep=keep), answer)

    def _begin(self, answer: bool, job: int, token: int) -> None:
        life = self.known(job)
        if answer is not life.mine(token):
            raise Broken("fence", f"{life.name} begins with token {token}, has {life.token}: {answer}", [job])
        life.begun = life.begun or answer

    def _unwanted(self, answer: list[tuple[int, int]], worker: int) -> None:
        mine = {(life.id, life.token) for life in self._of(worker) if life.cancelled}
        if set(answer) != mine:
            jobs = {job for job, _ in set(answer) ^ mine}
            raise Broken("cancel", f"worker {worker} is to stop {mine}, and was told {answer}", jobs)

    def _running(self, answer: list[tuple[int, int]], worker: int) -> None:
        mine = {(life.id, life.token) for life in self._of(worker)}
        if set(answer) != mine:
            jobs = {job for job, _ in set(answer) ^ mine}
            raise Broken("fence", f"worker {worker} has {mine}, and was told {answer}", jobs)

    def _leave(self, answer: int, worker: int) -> None:
        for life in self._of(worker):
            if life.cancelled:
                self._end(life, Event.STOP)
            else:
                life.step(Event.RELEASE)
        self.leases.pop(worker, None)

    def _recover(self, answer: int, worker: int) -> None:
        for life in self._of(worker):
            self._crash(life)
        self.leases.pop(worker, None)

    def _crash(self, life: Life) -> None:
        """All that a worker had come under suspicion; of those that were, what had begun counts."""
        if life.cancelled:
            self._end(life, Event.STOP)
            return
        counts = life.crashes == 0 or life.begun
        life.crashes += counts
        if counts and life.crashes >= CRASHES:
            self._end(life, Event.POISON)
        else:
            life.step(Event.CRASH)

    def _of(self, worker: int) -> list[Life]:
        return [life for life in self.lives.values() if life.state is State.RUNNING and life.worker == worker]

    # --- upkeep -----------------------------------------------------------------------------------------------------

    def expired(self, now: float) -> list[int]:
        """Workers whose lease has run out, and who were not recovered yet."""
        return [worker for worker, until in self.leases.items() if until <= now]

    def _upkeep(self, left: Any) -> None:
        """A store may take its time after an outage: then `left` has them still. Who has a lease is left alone."""
        expired = self.expired(self._now)
        self.stirred = bool(expired)
        for worker in expired:
            if worker not in left:
                self._recover(0, worker)

    def _put_schedule(self, answer: Any, name: str, task: str, definition: bytes, next_fire: float) -> None:
        due = self.fires.setdefault(name, next_fire)
        if answer.next_fire != due:
            raise Broken("schedules", f"{name} is due at {due}, and {answer.next_fire} was said")

    def _fire(
        self, answer: list[Placed] | None, name: str, due: float, next_fire: float, drafts: Sequence[Draft]
    ) -> None:
        if (answer is not None) is not (self.fires.get(name) == due):
            raise Broken("schedules", f"{name} fired for {due}, and was due at {self.fires.get(name)}: {answer}")
        if answer is None:
            return
        self.fires[name] = next_fire
        seconds, missed = self.every[name]
        times = round((next_fire - due) / seconds)
        if times < 1 or len(drafts) != (times if missed == "all" else 1):
            raise Broken("schedules", f"{name} fired {len(drafts)} times for the {times} from {due} to {next_fire}")
        self._placed(drafts, answer)

    def _drop_schedule(self, answer: bool, name: str) -> None:
        self.fires.pop(name, None)

    # --- what follows -----------------------------------------------------------------------------------------------

    def _end(self, life: Life, event: Event, result: bytes | None = None, keep: float = 86_400.0) -> None:
        life.step(event)
        self.ended = self._now
        life.result, life.forgettable = result, keep <= 0
        if life.of is not None and life.state is State.DONE:  # else it may be run again, and is to be told of the parts
            life.of.needed = False
        if life.unique is not None and self.uniques.get(life.unique, (0, None))[0] == life.id:
            if life.draft.keep_unique:
                self.uniques[life.unique] = (life.id, self._now + life.draft.keep_unique)
            else:
                del self.uniques[life.unique]
        group, part = life.group, life.part
        if life.draft.then and event is Event.SUCCEED:
            first, *rest = life.draft.then
            life.group = None
            draft = msgspec.structs.replace(first, then=(*first.then, *rest))
            self._expected.append((draft, {"group": group, "part": part, "feed": result}))
        elif group is not None:
            group.open.discard(part)
            group.parts[part] = Part(life.state, result, "", life.id)
            if not group.open:
                self._fan_in(group)

    def _fan_in(self, group: Group) -> None:
        if group.over:
            raise Broken("groups", f"group {group.id} has ended twice")
        group.over = True
        if group.then is not None:
            self._expected.append((group.then, {"of": group}))
        else:
            group.needed = False

    def at_the_end(self) -> None:
        """The world was left in peace for long."""
        for life in [*self.lives.values(), *self.gone.values()]:
            if life.live:
                why = f", and queue {life.draft.queue!r} is paused" if life.draft.queue in self.paused else ""
                raise Broken("liveness", f"{life.name} is {life.state} still{why}", [life.id])
        for group in self.groups.values():
            if not group.over:
                raise Broken("groups", f"group {group.id} has not ended")
