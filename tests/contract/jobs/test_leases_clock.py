"""The store's clock is set, and its users notice one after the other: nobody loses a lease, or has one for ever."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.jobs.protocol import LEASE, State
from plait.jobs.records import Draft, Want
from plait.jobs.sql.upkeep import Outage
from plait.jobs.sqlite.store import SqliteStore
from tests.support.stores import ME, closing

HOUR = 3600.0


class Machine:
    """A user of the store: what it takes for the store's time, by a clock that all of them share and nobody sets."""

    steady = 1000.0

    def __init__(self, path: Path) -> None:
        self.ahead = 1e9
        self.store = SqliteStore(path, full=False, clock=lambda: Machine.steady + self.ahead)
        self.store.__dict__["outage"] = Outage(lambda: Machine.steady)


def passes(seconds: float, *machines: Machine, first: int = 1) -> None:
    """Time: all tend the store every second, and renew their leases every third. first: the number of the first."""
    for second in range(int(seconds)):
        Machine.steady += 1.0
        for number, machine in enumerate(machines, first):
            if second % 3 == 0:
                assert machine.store.beat(number), "its lease was taken from it"
            machine.store.upkeep()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """Two with a worker each; the first has a job."""
    one, other = Machine(tmp_path / "jobs.db"), Machine(tmp_path / "jobs.db")
    with closing(one.store, other.store):
        assert [one.store.register(ME), other.store.register(ME)] == [1, 2]
        one.store.enqueue([Draft(task="t")])
        assert len(one.store.turn(1, (), [Want("t", 1)]).claimed) == 1
        passes(3, one, other)
        yield one, other


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
@pytest.mark.parametrize("first", [0, 1])
def test_it_is_set_and_one_knows_it_half_a_minute_before_the_other(machines, first, seconds):
    machines[first].ahead += seconds
    passes(30, *machines)
    machines[not first].ahead += seconds
    passes(60, *machines)
    assert machines[0].store.show(1).crashes == 0
    assert machines[0].store.running(1) == [(1, 1)]


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_who_is_lost_when_it_is_set_is_recovered_all_the_same(machines, seconds):
    for machine in machines:
        machine.ahead += seconds
    passes(10 * LEASE, machines[1], first=2)
    assert machines[1].store.states([1]) == {1: State.WAITING}
    assert [view.id for view in machines[1].store.workers()] == [2]
