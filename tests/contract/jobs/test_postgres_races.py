"""PostgreSQL: what several connections do at the same moment comes out as if they had done it one after the other."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from plait.jobs.postgres.pool import Pool
from plait.jobs.postgres.store import PostgresStore
from plait.jobs.protocol import Event, State
from plait.jobs.records import Claimed, Draft, Fan, Outcome, Rule, Want, WorkerInfo
from tests.support.stores import closing

pytestmark = pytest.mark.timeout(300)

ME = WorkerInfo(host="here", pid=1)
#: Set when one of several threads has failed, for those that would wait for it for ever.
broken = threading.Event()


@pytest.fixture
def stores(postgres: str) -> Iterator[list[PostgresStore]]:
    """Four clients of one database."""
    with ExitStack() as open_:
        made = []
        for _ in range(4):
            made.append(PostgresStore(postgres))
            open_.callback(made[-1].close)
        yield made


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Call all at the same moment, each in a thread of its own; what they return."""
    gate = threading.Barrier(len(calls))
    found: list[Any] = [None] * len(calls)
    raised: list[BaseException] = []
    broken.clear()

    def run(at: int, call: Callable[[], Any]) -> None:
        gate.wait()
        try:
            found[at] = call()
        except BaseException as error:
            raised.append(error)
            broken.set()

    threads = [threading.Thread(target=run, args=(at, call)) for at, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
    return found


def working(store: PostgresStore, worker: int, seen: list[Claimed], *wants: Want, left: Callable[[], bool]) -> None:
    """Claim, note what came, settle with the next claim, until nothing is left."""
    outcomes: list[Outcome] = []
    while not broken.is_set():
        turn = store.turn(worker, outcomes, wants)
        assert turn.refused == (), "somebody else has settled or claimed what was this worker's"
        seen += turn.claimed
        outcomes = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED) for job in turn.claimed]
        if not outcomes and not left():
            return


def live(store: PostgresStore) -> int:
    """Jobs that have not ended."""
    return int(store.read(lambda session: session.rows("SELECT count(*) FROM plait_job"))[0][0])


def test_jobs_that_come_due_are_claimed_once(stores: list[PostgresStore]) -> None:
    """Many turns make the same jobs wait: none of them may take one back that another has claimed since."""
    ids = [workers.register(ME) for workers in stores]
    soon = stores[0].now() + 0.5
    stores[0].enqueue([Draft(task="t", at=soon + at / 2000) for at in range(2000)])
    seen: list[Claimed] = []
    at_once(
        *(
            partial(working, store, worker, seen, Want("t", 7), left=lambda: live(stores[0]) > 0)
            for store, worker in zip(stores, ids, strict=True)
        )
    )
    assert Counter(job.id for job in seen).most_common(1)[0][1] == 1
    assert len(seen) == 2000


def test_a_limit_is_never_passed(stores: list[PostgresStore]) -> None:
    """Workers of different queues claim through one gate at the same moment."""
    rules = (Rule("t/limit-0", cap=1),)
    ids = [store.register(ME) for store in stores]
    for queue in "abcd":
        stores[0].enqueue([Draft(task="t", queue=queue) for _ in range(15)])
    running: set[int] = set()
    most, lock = [0], threading.Lock()
    done = [0]

    def work(store: PostgresStore, worker: int, queue: str) -> None:
        outcomes: list[Outcome] = []
        while done[0] < 60 and not broken.is_set():
            with lock:
                running.difference_update(outcome.id for outcome in outcomes)
                done[0] += len(outcomes)
            turn = store.turn(worker, outcomes, [Want("t", 5, rules)], queues=[queue])
            assert turn.refused == ()
            with lock:
                running.update(job.id for job in turn.claimed)
                most[0] = max(most[0], len(running))
            outcomes = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED) for job in turn.claimed]
            store.upkeep()

    at_once(*(partial(work, *each) for each in zip(stores, ids, "abcd", strict=True)))
    assert most[0] == 1
    assert live(stores[0]) == 0


def test_held_jobs_come_back_to_one_worker_each(stores: list[PostgresStore]) -> None:
    """Whoever frees a place lets a held job come back, and may claim it in the same transaction: only it does."""
    rules = (Rule("t/limit-0", cap=3, keyed=0),)
    ids = [store.register(ME) for store in stores]
    stores[0].enqueue([Draft(task="t", gates=(str(at % 4),)) for at in range(200)])
    seen: list[Claimed] = []

    def work(store: PostgresStore, worker: int) -> None:
        outcomes: list[Outcome] = []
        while not broken.is_set():
            turn = store.turn(worker, outcomes, [Want("t", 3, rules)])
            assert turn.refused == ()
            seen.extend(turn.claimed)
            outcomes = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED) for job in turn.claimed]
            store.upkeep()
            if not outcomes and live(store) == 0:
                return

    at_once(*(partial(work, *each) for each in zip(stores, ids, strict=True)))
    assert len(seen) == 200
    assert len({job.id for job in seen}) == 200


def test_a_rate_is_kept_by_all_together(stores: list[PostgresStore]) -> None:
    """One job each ten seconds, four workers of different queues: at one moment only one gets one."""
    rules = (Rule("t/rate-0", interval=10_000.0),)
    ids = [store.register(ME) for store in stores]
    for queue in "abcd":
        stores[0].enqueue([Draft(task="t", queue=queue) for _ in range(5)])
    for _ in range(5):
        turns = at_once(
            *(
                partial(store.turn, worker, (), [Want("t", 5, rules)], queues=[queue])
                for store, worker, queue in zip(stores, ids, "abcd", strict=True)
            )
        )
        assert sum(len(turn.claimed) for turn in turns) <= 1
    found = stores[0].read(lambda session: session.rows("SELECT count(*) FROM plait_job WHERE state = 2"))
    assert found[0][0] == 1


def test_a_group_goes_on_once(stores: list[PostgresStore]) -> None:
    """Its last parts end at the same moment, at four workers."""
    ids = [store.register(ME) for store in stores]
    for round_ in range(25):
        then = Draft(task="then", unique=None)
        stores[0].enqueue([Draft(task="part") for _ in range(4)], fan=Fan(total=4, then=then))
        taken = [
            store.turn(worker, (), [Want("part", 1)]).claimed[0] for store, worker in zip(stores, ids, strict=True)
        ]
        at_once(
            *(
                partial(store.turn, worker, [Outcome(id=job.id, token=job.token, event=Event.SUCCEED)])
                for store, worker, job in zip(stores, ids, taken, strict=True)
            )
        )
        counts = stores[0].queues()
        assert [view.counts["waiting"] for view in counts if view.task == "then"] == [round_ + 1]


def test_a_unique_key_has_one_job(stores: list[PostgresStore]) -> None:
    """Four clients enqueue the same keys at once, in different orders."""
    for round_ in range(20):
        keys = [f"{round_}/{at}" for at in range(10)]
        orders = [keys, keys[::-1], keys[5:] + keys[:5], keys[3:] + keys[:3]]
        found = at_once(
            *(
                partial(store.enqueue, [Draft(task="t", unique=key) for key in order])
                for store, order in zip(stores, orders, strict=True)
            )
        )
        jobs = [
            dict(zip(order, (p.id for p in placed), strict=True))
            for (placed, _), order in zip(found, orders, strict=True)
        ]
        assert all(its == jobs[0] for its in jobs)
        assert sum(p.fresh for placed, _ in found for p in placed) == len(keys)


def test_cancelling_is_never_lost(stores: list[PostgresStore]) -> None:
    """A job that is claimed, handed back or settled while it is cancelled: it ends, or its worker is told."""
    worker = stores[0].register(ME)
    for round_ in range(60):
        placed, _ = stores[0].enqueue([Draft(task="t") for _ in range(4)])
        jobs = [place.id for place in placed]
        event = (Event.RELEASE, Event.SUCCEED, Event.RETRY, Event.SNOOZE)[round_ % 4]
        taken = stores[0].turn(worker, (), [Want("t", 2)]).claimed
        outcomes = [Outcome(id=job.id, token=job.token, event=event, delay=60.0) for job in taken]
        turn, _ = at_once(partial(stores[0].turn, worker, outcomes, [Want("t", 4)]), partial(stores[1].cancel, jobs))
        told = {job for job, _ in stores[0].unwanted(worker)}
        after = stores[0].states(jobs)
        for job in jobs:
            assert after[job] in (State.DONE, State.CANCELLED) or job in told, f"{after[job]} though it was cancelled"
        mine = [job for job in turn.claimed if job.id in told] + [job for job in taken if job.id in told]
        stores[0].turn(worker, [Outcome(id=job.id, token=job.token, event=Event.STOP) for job in mine])
        assert live(stores[0]) == 0


def test_many_are_settled_and_cancelled_at_once(stores: list[PostgresStore]) -> None:
    """In whatever order either goes through them, neither fails."""
    worker = stores[0].register(ME)
    for _ in range(8):
        placed, _ = stores[0].enqueue([Draft(task="t") for _ in range(400)])
        jobs = [place.id for place in placed]
        taken = stores[0].turn(worker, (), [Want("t", 400)]).claimed
        outcomes = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED) for job in taken]
        turn, *_ = at_once(
            partial(stores[0].turn, worker, outcomes),
            partial(stores[1].cancel, jobs[::-1]),
            partial(stores[2].cancel, jobs[::3] + jobs[1::3]),
        )
        assert turn.refused == ()
        assert set(stores[0].states(jobs).values()) == {State.DONE}


def test_leaving_and_cancelling(stores: list[PostgresStore]) -> None:
    """A worker hands its jobs back while they are cancelled: none of them is run again."""
    for _ in range(30):
        worker = stores[0].register(ME)
        placed, _ = stores[0].enqueue([Draft(task="t") for _ in range(3)])
        jobs = [place.id for place in placed]
        assert len(stores[0].turn(worker, (), [Want("t", 3)]).claimed) == 3
        at_once(partial(stores[0].leave, worker), partial(stores[1].cancel, jobs))
        assert set(stores[0].states(jobs).values()) == {State.CANCELLED}


def test_recovery_and_settling(stores: list[PostgresStore]) -> None:
    """A worker that was thought dead settles while two others recover it: each job ends once, or comes back once."""
    for _ in range(25):
        worker = stores[0].register(ME)
        placed, _ = stores[0].enqueue([Draft(task="t") for _ in range(20)])
        taken = stores[0].turn(worker, (), [Want("t", 20)]).claimed
        outcomes = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED) for job in taken]
        turn, *recovered = at_once(
            partial(stores[0].turn, worker, outcomes),
            partial(stores[1].recover, worker),
            partial(stores[2].recover, worker),
        )
        again = sum(recovered) + stores[1].recover(worker)
        assert again == len(turn.refused)
        states = Counter(stores[0].states([place.id for place in placed]).values())
        assert states == Counter({State.DONE: 20 - again, State.WAITING: again}) - Counter()
        other = stores[3].register(ME)
        rest = stores[3].turn(other, (), [Want("t", 1, alone=True)] * 1 + [Want("t", 20)])
        while rest.claimed:
            rest = stores[3].turn(
                other,
                [Outcome(id=job.id, token=job.token, event=Event.SUCCEED) for job in rest.claimed],
                [Want("t", 20, alone=True)],
            )
        assert live(stores[0]) == 0


def test_two_redo_the_same(stores: list[PostgresStore]) -> None:
    """Only one of them does."""
    for _ in range(20):
        placed, _ = stores[0].enqueue([Draft(task="t", unique="k") for _ in range(1)] + [Draft(task="t")])
        jobs = [place.id for place in placed]
        stores[0].cancel(jobs)
        found = at_once(
            *(partial(store.redo, order) for store, order in zip(stores, [jobs, jobs[::-1]] * 2, strict=True))
        )
        assert sorted(job for again in found for job in again) == sorted(jobs)
        stores[0].cancel(jobs)


def test_a_schedule_fires_once(stores: list[PostgresStore]) -> None:
    """Four workers find it due."""
    stores[0].put_schedule("s", "t", b"", 100.0)
    for at in range(20):
        found = at_once(*(partial(store.fire, "s", 100.0 + at, 101.0 + at, [Draft(task="t")]) for store in stores))
        assert sum(fired is not None for fired in found) == 1
    assert live(stores[0]) == 20


def test_nothing_is_claimed_after_a_pause(stores: list[PostgresStore]) -> None:
    """When `pause` has returned, no claim of jobs of the queue is under way."""
    ids = [store.register(ME) for store in stores]
    stores[0].enqueue([Draft(task="t") for _ in range(3000)])
    for _ in range(25):
        over = threading.Event()
        found = at_once(
            *(partial(claiming, *each, over) for each in zip(stores[:3], ids[:3], strict=True)),
            partial(pausing, stores[3], over),
        )
        began = found.pop()
        assert all(count == 0 for seen in found for when, count in seen if when > began)
        stores[0].resume("default")


def claiming(store: PostgresStore, worker: int, over: threading.Event) -> list[tuple[float, int]]:
    """Claim until it is over; when each claim began, and how many jobs came."""
    seen: list[tuple[float, int]] = []
    while not over.is_set() and not broken.is_set():
        began = time.monotonic()
        seen.append((began, len(store.turn(worker, (), [Want("t", 1)]).claimed)))
    return seen


def pausing(store: PostgresStore, over: threading.Event) -> float:
    """Pause, and see that nothing more is claimed; when that was."""
    store.pause("default")
    began, running = time.monotonic(), live_running(store)
    for _ in range(5):
        assert live_running(store) == running
    over.set()
    return began


def live_running(store: PostgresStore) -> int:
    """Jobs that run."""
    return int(store.read(lambda session: session.rows("SELECT count(*) FROM plait_job WHERE state = 2"))[0][0])


def test_upkeeps_at_once(stores: list[PostgresStore]) -> None:
    """Four workers forget, open gates and recover at the same moment."""
    kept = [Draft(task="t", unique=f"k{at}", keep_unique=0.001, key=f"key{at}") for at in range(300)]
    worker = stores[0].register(ME)
    for _ in range(5):
        stores[0].enqueue(kept)
        outcomes: list[Outcome] = []
        while live(stores[0]):  # some are behind the mark of the claim before
            taken = stores[0].turn(worker, outcomes, [Want("t", 300)]).claimed
            outcomes = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED, keep=0.001) for job in taken]
        at_once(*(store.upkeep for store in stores))
    stores[0].upkeep()
    assert live(stores[0]) == 0
    found = stores[0].read(lambda session: session.rows("SELECT count(*) FROM plait_uniq"))
    assert found[0][0] == 0


def test_any_default_isolation(postgres: str, stores: list[PostgresStore]) -> None:
    """A database whose transactions are serializable by default makes no difference."""
    name = conninfo_to_dict(postgres)["dbname"]
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            SQL("ALTER DATABASE {} SET default_transaction_isolation = 'serializable'").format(Identifier(name))
        )
    with ExitStack() as open_:
        others = [PostgresStore(postgres) for _ in range(3)]
        for store in others:
            open_.callback(store.close)
        ids = [store.register(ME) for store in others]
        others[0].enqueue([Draft(task="t") for _ in range(300)])
        seen: list[Claimed] = []
        at_once(
            *(
                partial(working, store, worker, seen, Want("t", 5), left=lambda: live(others[0]) > 0)
                for store, worker in zip(others, ids, strict=True)
            )
        )
        assert len({job.id for job in seen}) == len(seen) == 300


def test_claims_from_the_same_lanes_in_different_orders_do_not_deadlock(postgres, monkeypatch):
    """Their jobs have keys, so each claim writes its lanes' virtual times."""
    deadlocks: list[BaseException] = []
    transact = Pool._transact

    def watched(*given):
        try:
            return transact(*given)
        except psycopg.errors.DeadlockDetected as error:
            deadlocks.append(error)
            raise

    monkeypatch.setattr(Pool, "_transact", watched)
    stores = [PostgresStore(postgres) for _ in range(3)]
    with closing(*stores):
        ids = [store.register(ME) for store in stores]
        for lane in range(6):
            stores[0].enqueue([Draft(task=f"t{lane}", key=str(at % 50)) for at in range(300)])

        def work(store, worker):
            outcomes: list[Outcome] = []
            draw = random.Random(worker)
            for _ in range(60):
                turn = store.turn(worker, outcomes, [Want(f"t{lane}", draw.choice([0, 2])) for lane in range(6)])
                outcomes = [Outcome(id=j.id, token=j.token, event=Event.SUCCEED) for j in turn.claimed]

        with ThreadPoolExecutor() as pool:
            list(pool.map(work, stores, ids))
    assert deadlocks == []


def test_a_turn_that_looked_behind_the_mark_only_says_when_to_look_again(postgres):
    store = PostgresStore(postgres)
    with closing(store):
        worker = store.register(ME)
        store.enqueue([Draft(task="t") for _ in range(3)])
        first, *_ = store.turn(worker, (), [Want("t", 3)]).claimed
        turn = store.turn(worker, [Outcome(id=first.id, token=first.token, event=Event.RELEASE)], [Want("t", 3)])
        assert store.states([first.id]) == {first.id: State.WAITING}
        assert turn.more or turn.due is not None, "there is a job that waits, and nobody is told to look for it"
