"""One random history of everything that can be done with jobs, in several stores at once: all have to tell the same.

Stores number jobs, groups and workers as they like: jobs are known by a label (their arguments), the others by which
of their kind they were, tokens by which of their job's.
"""

import contextlib
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plait.errors import Stale
from plait.jobs.protocol import Event, State
from plait.jobs.records import Draft, Fan, Filter, Note, Outcome, Rule, Want, WorkerInfo
from plait.jobs.store import Store
from plait.jobs.testing import VirtualClock

TASKS, QUEUES = ("a", "b"), ("q", "r")
#: What a task's jobs have to pass: nothing, one gate of either kind, or several at once.
RULES = (
    (),
    (Rule("limit", cap=1),),
    (Rule("limit", cap=2, keyed=0),),
    (Rule("rate", interval=4.0, burst=2.0),),
    (Rule("rate", interval=4.0, keyed=1), Rule("limit", cap=1, keyed=0)),
    (Rule("all", cap=2), Rule("limit", cap=1, keyed=1), Rule("rate", interval=1.0, burst=3.0)),
)
ENDS = (Event.SUCCEED, Event.SUCCEED, Event.FAIL, Event.RETRY, Event.RELEASE, Event.SNOOZE, Event.STOP)

#: What a worker says of attempts that have failed, and of those that have not.
SAID = {"error": "e"}, {"result": b"r"}
#: Where the tokens of a job begin is for the store to say: at a multiple of this.
TOKENS = 1 << 16


class View:
    """A store, and what its numbers are called."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ids: dict[str, int] = {}
        self.labels: dict[int, str] = {}
        self.first: dict[str, int] = {}  # what the tokens of a job count from
        self.workers: list[int] = []
        self.groups: list[int] = []
        self._seen: dict[str, Any] = {}
        self._shown: dict[str, Any] = {}

    def learn(self, job: int, args: bytes) -> str:
        label = args.decode()
        assert self.ids.setdefault(label, job) == job, f"{label} is stored twice"
        self.labels[job] = label
        return label

    def held(self, tokens: list[tuple[int, int]]) -> list[tuple[str, int]]:
        """Jobs and their tokens, as all stores call them."""
        return sorted((self.labels[job], token % TOKENS) for job, token in tokens)

    def token(self, label: str, token: int) -> int:
        """What the store calls the `token`-th of a job."""
        return self.first[label] + token

    def look(self) -> dict[str, Any]:
        """Everything that can be seen."""
        store = self.store
        for found in reversed(store.find(Filter(limit=100_000))):
            if found.id not in self.labels:
                shown = store.show(found.id)
                assert shown is not None
                assert shown.args is not None, "it has ended before anybody could see it"
                self.learn(found.id, shown.args)
        jobs = {self.labels[each.id]: self._named(each) for each in store.find(Filter(limit=100_000))}
        for label, seen in jobs.items():
            if self._seen.get(label) != seen:
                self._shown[label] = self._named(store.show(self.ids[label]))
        self._seen = jobs
        known = [*self.labels, 999_999]
        return {
            "jobs": jobs,
            "shown": {label: self._shown[label] for label in jobs},
            "states": {self.labels[job]: state for job, state in store.states(known).items()},
            "ended": {self.labels[end.id]: msgspec.structs.replace(end, id=0) for end in store.ended(known)},
            "queues": store.queues(),
            "groups": [store.group(group) for group in self.groups],
            "workers": {self.workers.index(each.id): msgspec.structs.replace(each, id=0) for each in store.workers()},
            "running": [self.held(store.running(w)) for w in self.workers],
            "unwanted": [self.held(store.unwanted(w)) for w in self.workers],
            "schedules": [self._of_schedule(view) for view in store.schedules()],
        }

    def _named(self, shown: Any) -> Any:
        worker = self.workers.index(shown.worker) if shown.worker is not None else None
        group = self.groups.index(shown.group) + 1 if shown.group else 0
        return msgspec.structs.replace(shown, id=0, worker=worker, group=group)

    def _of_schedule(self, view: Any) -> Any:
        return msgspec.structs.asdict(view) | {"last_job": self.labels.get(view.last_job)}

    def claimed(self, jobs: Any) -> list[Any]:
        """Claimed jobs, as all stores call them."""
        found = []
        for job in jobs:
            first = job.token - job.token % TOKENS
            assert self.first.setdefault(self.learn(job.id, job.args), first) == first
            parts = job.parts and tuple(
                msgspec.structs.replace(part, id=0, error=f"{self.labels.get(part.id)}: {part.error}")
                for part in job.parts
            )
            found.append(msgspec.structs.replace(job, id=0, token=job.token - first, parts=parts))
        return found


def differing(one: Any, other: Any) -> Any:
    """Only what two answers do not have in common."""
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        one, other = msgspec.structs.asdict(one), msgspec.structs.asdict(other)
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
        return {key: differing(one.get(key), other.get(key)) for key in keys}
    return one, other


drafts = st.fixed_dictionaries(
    {"task": st.sampled_from(TASKS)},
    optional={
        "queue": st.sampled_from(QUEUES),
        "priority": st.sampled_from([-1, 1]),
        "delay": st.sampled_from([3.0, 20.0]),
        "unique": st.sampled_from(["u", "v"]),
        "keep_unique": st.just(10.0),
        "key": st.sampled_from(["k", "l"]),
        "gates": st.tuples(st.sampled_from(["g", "h"]), st.sampled_from(["x", "y"])),
    },
)
chains = st.lists(drafts, min_size=1, max_size=3)
ways = st.tuples(st.sampled_from(ENDS), st.sampled_from([0.0, 30.0]), st.sampled_from([2.0, 7.0]))
wants = st.lists(
    st.tuples(st.sampled_from(TASKS), st.integers(1, 3), st.booleans()), max_size=3, unique_by=lambda w: (w[0], w[2])
)


class Histories(RuleBasedStateMachine):
    """What clients, workers, operators and time do."""

    def __init__(self, stores: list[Store], clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.views = [View(store) for store in stores]
        self.rules: dict[str, tuple[Rule, ...]] = dict.fromkeys(TASKS, ())
        self.claims: list[tuple[str, int, int]] = []  # label, token, worker
        self.count = 0
        self.fires: dict[str, float] = {}

    def same(self, what: str, *answers: Any) -> Any:
        for view, answer in zip(self.views[1:], answers[1:], strict=True):
            if answer != answers[0]:
                store = type(view.store).__name__
                raise AssertionError(f"{what}: {store} and memory differ in {differing(answer, answers[0])}")
        return answers[0]

    def each(self, what: str, call: Any) -> Any:
        """The answer of all stores to a call."""
        return self.same(what, *[call(view) for view in self.views])

    def drafted(self, chain: list[dict[str, Any]]) -> Draft:
        made = []
        for said in chain:
            self.count += 1
            made.append(Draft(args=f"j{self.count}".encode(), **said))
        return msgspec.structs.replace(made[0], then=tuple(made[1:]))

    def labels(self) -> list[str]:
        return sorted(self.views[0].ids, key=lambda label: int(label[1:]))

    @initialize(rules=st.lists(st.sampled_from(RULES), min_size=2, max_size=2))
    def begin_with_two_workers(self, rules: Any) -> None:
        self.register()
        self.register()
        for task, its in zip(TASKS, rules, strict=True):
            self.rules_change(task, its)

    # --- clients ----------------------------------------------------------------------------------------------------

    @rule(chains=st.lists(chains, min_size=1, max_size=3))
    def enqueue(self, chains: Any) -> None:
        made = [self.drafted(chain) for chain in chains]

        def call(view: View) -> Any:
            placed, _ = view.store.enqueue(made)
            for draft, its in zip(made, placed, strict=True):
                if its.fresh:
                    view.learn(its.id, draft.args)
            return [(view.labels[its.id], its.fresh) for its in placed]

        self.each("enqueue", call)

    @rule(chains=st.lists(chains, max_size=3), then=st.none() | chains)
    def enqueue_group(self, chains: Any, then: Any) -> None:
        made = [self.drafted(chain) for chain in chains]
        last = self.drafted(then) if then is not None else None

        def call(view: View) -> Any:
            placed, group = view.store.enqueue(made, fan=Fan(total=len(made), then=last))
            view.groups.append(group)
            for draft, its in zip(made, placed, strict=True):
                view.learn(its.id, draft.args)
            return [its.fresh for its in placed]

        self.each("group", call)

    @precondition(lambda self: self.views[0].ids)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.labels()), min_size=1, max_size=4))
        self.each("cancel", lambda v: {v.labels[j]: s for j, s in v.store.cancel([v.ids[c] for c in chosen]).items()})

    @precondition(lambda self: self.views[0].ids)
    @rule(data=st.data())
    def redo(self, data: Any) -> None:
        shown = self.views[0].store.find(Filter(states=(State.FAILED, State.CANCELLED), limit=100))
        some = sorted(self.views[0].labels[each.id] for each in shown) or self.labels()
        chosen = data.draw(st.sampled_from(some))
        self.each("redo", lambda v: [v.labels[job] for job in v.store.redo([v.ids[chosen]])])

    @rule(queue=st.sampled_from(QUEUES), pause=st.booleans())
    def pause(self, queue: str, pause: bool) -> None:
        for view in self.views:
            (view.store.pause if pause else view.store.resume)(queue)

    # --- workers ----------------------------------------------------------------------------------------------------

    def register(self) -> None:
        for view in self.views:
            view.workers.append(view.store.register(WorkerInfo(host="h", pid=len(view.workers))))

    def some_worker(self, data: Any) -> int:
        """A worker that has a lease, if there is any: else a new one comes."""
        view = self.views[0]
        living = [view.workers.index(each.id) for each in view.store.workers() if each.lease > 0]
        if not living:
            self.register()
            living = [len(view.workers) - 1]
        return data.draw(st.sampled_from([*living, *living, *range(len(view.workers))]), label="worker")

    @rule(data=st.data(), wants=wants, queues=st.sampled_from([(), (), ("q",), ("r",)]), most=st.sampled_from([99, 2]))
    def turn(self, data: Any, wants: Any, queues: Any, most: int) -> None:
        worker = self.some_worker(data)
        said = data.draw(st.lists(st.sampled_from(self.claims), max_size=3, unique=True)) if self.claims else []
        self.settle_and_claim(worker, said, [data.draw(ways) for _ in said], wants, queues, most)

    @rule(data=st.data(), counts=st.tuples(st.integers(1, 4), st.integers(1, 4)))
    def work(self, data: Any, counts: Any) -> None:
        """As a worker does: it settles what it has, and claims of all tasks."""
        worker = self.some_worker(data)
        running = {(self.views[0].labels[j], t) for j, t in self.views[0].store.running(self.views[0].workers[worker])}
        mine = [claim for claim in self.claims if claim[:2] in running]
        said = data.draw(st.lists(st.sampled_from(mine), max_size=4, unique=True)) if mine else []
        asked = [(task, count, alone) for task, count in zip(TASKS, counts, strict=True) for alone in (False, True)]
        self.settle_and_claim(worker, said, [data.draw(ways) for _ in said], asked, (), 99)

    def settle_and_claim(self, worker: int, said: Any, ways: Any, wants: Any, queues: Any, most: int) -> None:
        asked = [Want(task, count, self.rules[task], alone) for task, count, alone in wants]

        def call(view: View) -> Any:
            known = [(view.ids[label], view.token(label, token)) for label, token, _ in said]
            outcomes = [
                Outcome(id=job, token=token, event=event, keep=keep, delay=delay, **SAID[event is Event.SUCCEED])
                for (job, token), (event, keep, delay) in zip(known, ways, strict=True)
            ]
            turn = view.store.turn(view.workers[worker], outcomes, asked, queues=queues, most=most)
            return turn.refused, view.claimed(turn.claimed), turn.due, turn.more

        _, claimed, _, _ = self.each("turn", call)
        self.claims += [(job.args.decode(), job.token, worker) for job in claimed]

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), finish=st.booleans(), keep=st.sampled_from([0.0, 30.0]))
    def transact(self, data: Any, finish: bool, keep: float) -> None:
        label, token, _ = data.draw(st.sampled_from(self.claims))

        def call(view: View) -> bool:
            with (
                contextlib.suppress(Stale),
                view.store.transact(view.ids[label], view.token(label, token)) as transaction,
            ):
                if finish:
                    transaction.finish(b"in it", keep)
                return True
            return False

        self.each("transact", call)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def begin(self, data: Any) -> None:
        label, token, _ = data.draw(st.sampled_from(self.claims))
        self.each("begin", lambda view: view.store.begin(view.ids[label], view.token(label, token)))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), share=st.sampled_from([0.25, 1.0]))
    def note(self, data: Any, share: float) -> None:
        label, token, _ = data.draw(st.sampled_from(self.claims))
        for view in self.views:
            view.store.note([Note(view.ids[label], view.token(label, token), share, "half")])

    @rule(data=st.data(), how=st.sampled_from(["beat", "leave", "recover"]))
    def worker_does(self, data: Any, how: str) -> None:
        worker = self.some_worker(data)
        self.each(how, lambda view: getattr(view.store, how)(view.workers[worker]))

    @rule(task=st.sampled_from(TASKS), rules=st.sampled_from(RULES))
    def rules_change(self, task: str, rules: Any) -> None:
        self.rules[task] = tuple(msgspec.structs.replace(rule, name=f"{task}/{rule.name}") for rule in rules)

    # --- time and upkeep --------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 2.0, 8.0, 16.0, 100.0, 800_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def upkeep(self) -> None:
        for view in self.views:
            view.store.upkeep()

    @rule(name=st.sampled_from(["s", "t"]), definition=st.sampled_from([b"1", b"2"]), later=st.sampled_from([1.0, 9.0]))
    def put_schedule(self, name: str, definition: bytes, later: float) -> None:
        due = self.clock() + later
        self.fires[name] = self.each("put", lambda v: v.store.put_schedule(name, "a", definition, due).next_fire)

    @rule(name=st.sampled_from(["s", "t"]), chain=chains, late=st.booleans())
    def fire(self, name: str, chain: Any, late: bool) -> None:
        draft, due = self.drafted(chain), self.fires.get(name, 0.0) - late

        def call(view: View) -> Any:
            placed = view.store.fire(name, due, due + 5.0, [draft])
            for its in placed or ():
                if its.fresh:
                    view.learn(its.id, draft.args)
            return placed and [(view.labels[its.id], its.fresh) for its in placed]

        if self.each("fire", call) is not None:
            self.fires[name] = due + 5.0

    @rule(name=st.sampled_from(["s", "t"]))
    def drop_schedule(self, name: str) -> None:
        self.each("drop", lambda view: view.store.drop_schedule(name))

    @invariant()
    def all_tell_the_same(self) -> None:
        looks = [view.look() for view in self.views]
        for what in looks[0]:
            self.same(what, *[look[what] for look in looks])
