"""Events are facts; the hub tells observers of them, and no observer can break a run."""

import contextlib
import dataclasses
import logging
import pickle
import threading
import time

import pytest

from plait import events
from plait.events import ChunkFinished, Event, Hub, ItemFinished, ItemRetried, ObserverDropped, WorkerStarted

KINDS = [getattr(events, name) for name in events.__all__ if name not in ("Hub", "Event")]
VALUES = {"int": 3, "float": 0.5, "str": "x", "int | None": None, "tuple[str, ...]": ("y",), "tuple[int, ...]": (1,)}


@pytest.fixture
def hub() -> Hub:
    return Hub()


def example(kind: type[Event]) -> Event:
    return kind(**{field.name: VALUES[field.type] for field in dataclasses.fields(kind) if field.name != "at"})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
class TestEveryEvent:
    def test_is_frozen_and_slotted(self, kind):
        event = example(kind)
        assert not hasattr(event, "__dict__")
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.at = 0.0

    def test_takes_names_only(self, kind):
        with pytest.raises(TypeError, match="positional"):
            kind("x")

    def test_says_when_it_happened(self, kind):
        before = time.time()
        assert before <= example(kind).at <= time.time()

    def test_travels(self, kind):
        event = example(kind)
        assert pickle.loads(pickle.dumps(event)) == event


def test_an_observer_hears_everything_by_default(hub):
    heard = []
    hub.add(heard.append)
    sent = [WorkerStarted(pid=1), ItemFinished(stage="f", index=0, attempt=1)]
    for event in sent:
        hub.emit(event)
    assert heard == sent


def test_types_narrow_what_is_heard(hub):
    heard = []
    hub.add(heard.append, types=[WorkerStarted])
    hub.emit(ItemFinished(stage="f", index=0, attempt=1))
    hub.emit(WorkerStarted(pid=1))
    assert [type(event) for event in heard] == [WorkerStarted]


def test_types_may_be_read_once(hub):
    heard = []
    hub.add(heard.append, types=iter([WorkerStarted]))
    hub.emit(WorkerStarted(pid=1))
    hub.emit(WorkerStarted(pid=2))
    assert [event.pid for event in heard] == [1, 2]


def test_wants_only_what_somebody_listens_to(hub):
    assert not hub.wants(ItemFinished)
    remove = hub.add(lambda event: None, types=[ItemFinished, ItemRetried])
    assert hub.wants(ItemFinished)
    assert hub.wants(ItemRetried)
    assert not hub.wants(ChunkFinished)
    remove()
    assert not hub.wants(ItemFinished)


def test_listening_to_the_parent_type_wants_all(hub):
    hub.add(lambda event: None, types=[Event])
    assert hub.wants(ItemFinished)


def test_without_an_observer_an_emission_costs_one_truth_test(hub):
    class Emitter:
        made = 0

        def work(self):
            if hub.wanted:
                Emitter.made += 1
                hub.emit(WorkerStarted(pid=1))

    assert hub.wanted is False  # a plain attribute: no property, no lock, nothing computed
    assert "wanted" in vars(hub)
    Emitter().work()
    assert Emitter.made == 0
    with hub.subscribe(lambda event: None):
        Emitter().work()
    Emitter().work()
    assert Emitter.made == 1


def test_subscribe_ends_with_its_block(hub):
    heard = []
    with contextlib.suppress(ZeroDivisionError), hub.subscribe(heard.append):
        hub.emit(WorkerStarted(pid=1))
        raise ZeroDivisionError
    hub.emit(WorkerStarted(pid=2))
    assert [event.pid for event in heard] == [1]
    assert hub.wanted is False


def test_removing_twice_is_harmless_and_takes_only_its_own(hub):
    heard = []
    remove = hub.add(heard.append)
    hub.add(heard.append)
    remove()
    remove()
    hub.emit(WorkerStarted(pid=1))
    assert len(heard) == 1


def test_an_observer_that_raises_is_dropped_logged_and_reported(hub, caplog):
    calls, heard = [], []

    def broken(event):
        calls.append(event)
        raise ValueError("no disk")

    hub.add(broken)
    hub.add(heard.append)
    with caplog.at_level(logging.WARNING, "plait"):
        hub.emit(WorkerStarted(pid=1))
        hub.emit(WorkerStarted(pid=2))

    assert len(calls) == 1
    assert [event.pid for event in heard if isinstance(event, WorkerStarted)] == [1, 2]
    (dropped,) = [event for event in heard if isinstance(event, ObserverDropped)]
    assert "broken" in dropped.observer
    assert dropped.error == "ValueError('no disk')"
    (record,) = caplog.records
    assert "broken" in record.getMessage()
    assert "was dropped" in record.getMessage()
    assert record.exc_info


def test_the_last_observer_dropped_leaves_nobody(hub):
    hub.add(lambda event: 1 / 0)
    hub.emit(WorkerStarted(pid=1))
    assert hub.wanted is False


def test_observers_that_all_raise_end_in_silence(hub, caplog):
    for _ in range(3):
        hub.add(lambda event: 1 / 0)
    hub.emit(WorkerStarted(pid=1))
    assert hub.wanted is False
    assert len(caplog.records) == 3


def test_an_observer_may_be_any_callable(hub, caplog):
    class Broken:
        def __call__(self, event):
            raise ValueError

        def __repr__(self):
            return "<my observer>"

    heard = []
    hub.add(Broken())
    hub.add(heard.append, types=[ObserverDropped])
    hub.emit(WorkerStarted(pid=1))
    assert [event.observer for event in heard] == ["<my observer>"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_is_not_swallowed(hub, stop):
    def interrupted(event):
        raise stop

    hub.add(interrupted)
    with pytest.raises(stop):
        hub.emit(WorkerStarted(pid=1))


def test_observers_come_and_go_while_others_emit(hub):
    heard, done = [], threading.Event()
    hub.add(heard.append)

    def come_and_go():
        while not done.is_set():
            hub.add(lambda event: None)()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    for pid in range(2000):
        hub.emit(WorkerStarted(pid=pid))
    done.set()
    thread.join()
    assert [event.pid for event in heard] == list(range(2000))
    assert hub.wanted is True
