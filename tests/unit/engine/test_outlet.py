"""Where results wait for the consumer, and what bounds the source."""

import asyncio
import signal
import threading
from queue import SimpleQueue

import pytest

from plait.engine.outlet import Outlet

WAIT = 5.0


def rest(outlet: Outlet) -> list:
    found = []
    while (taken := outlet.take()) is not None:
        found += taken
    return found


def in_thread(function, *args) -> SimpleQueue:
    """What the function returns, or raises, once it does."""
    outcome: SimpleQueue = SimpleQueue()

    def run() -> None:
        try:
            outcome.put(function(*args))
        except BaseException as error:
            outcome.put(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


class TestOrder:
    def test_what_came_early_waits_for_what_is_before_it(self):
        outlet = Outlet(True, 10)
        outlet.put([(2, 2, ["c", "d"]), (1, 1, ["b"])])
        outlet.put([(0, 1, ["a"])])
        outlet.put([(4, 1, ["e"])])
        outlet.finish()
        assert rest(outlet) == ["a", "b", "c", "d", "e"]

    def test_without_order_it_goes_as_it_came(self):
        outlet = Outlet(False, 10)
        outlet.put([(2, 2, ["c", "d"]), (1, 1, ["b"])])
        outlet.put([(0, 1, ["a"])])
        outlet.finish()
        assert rest(outlet) == ["c", "d", "b", "a"]

    def test_what_was_left_out_keeps_its_place(self):
        outlet = Outlet(True, 10)
        outlet.put([(1, 1, []), (2, 1, ["c"])])
        outlet.put([(0, 1, ["a"])])
        outlet.finish()
        assert rest(outlet) == ["a", "c"]

    def test_what_is_handed_over_does_not_change_what_came(self):
        outlet = Outlet(True, 10)
        first = ["a"]
        outlet.put([(0, 1, first), (1, 1, ["b"])])
        outlet.finish()
        rest(outlet)
        assert first == ["a"]


class TestEnd:
    def test_an_error_is_raised_once_after_what_is_ready(self):
        outlet = Outlet(True, 10)
        outlet.put([(0, 1, ["a"])])
        outlet.finish(ValueError("no"))
        assert outlet.take() == ["a"]
        with pytest.raises(ValueError, match="no"):
            outlet.take()
        assert outlet.take() is None

    def test_the_first_end_counts(self):
        outlet = Outlet(True, 10)
        outlet.finish()
        outlet.finish(ValueError("too late"))
        assert outlet.take() is None
        assert outlet.over

    def test_it_wakes_a_consumer_and_a_source_that_wait(self):
        outlet = Outlet(True, 1)
        taken, room = in_thread(outlet.take), in_thread(outlet.wait_for_room, 1)
        outlet.finish()
        assert taken.get(timeout=WAIT) is None
        assert room.get(timeout=WAIT) is False

    def test_an_error_wakes_a_consumer_that_waits(self):
        outlet = Outlet(True, 1)
        taken = in_thread(outlet.take)
        outlet.finish(KeyError("x"))
        assert isinstance(taken.get(timeout=WAIT), KeyError)


class TestRoom:
    def test_what_was_read_and_not_consumed_takes_room(self):
        outlet = Outlet(True, 4)
        assert [outlet.room(offered) for offered in (0, 3, 4)] == [4, 1, 0]

    def test_what_is_handed_over_is_consumed_when_the_next_is_asked_for(self):
        outlet = Outlet(True, 4)
        outlet.put([(0, 2, ["a", "b"])])
        assert outlet.take() == ["a", "b"]
        assert outlet.room(4) == 0
        outlet.put([(2, 1, ["c"])])
        assert outlet.take() == ["c"]
        assert outlet.room(4) == 2

    def test_what_was_left_out_gives_its_room_back(self):
        outlet = Outlet(True, 4)
        outlet.put([(0, 4, [])])
        assert outlet.take() == []
        outlet.finish()
        outlet.take()
        assert outlet.room(4) == 4

    def test_a_source_that_waits_goes_on_when_a_quarter_is_free(self):
        outlet = Outlet(True, 8)
        waiting = in_thread(outlet.wait_for_room, 8)
        outlet.put([(0, 1, ["a"]), (1, 1, ["b"])])
        assert outlet.take() == ["a", "b"]
        assert waiting.empty()
        outlet.put([(2, 1, ["c"])])
        outlet.take()
        assert waiting.get(timeout=WAIT) is True

    def test_a_source_that_waits_goes_on_when_the_buffer_grows(self):
        outlet = Outlet(True, 2)
        waiting = in_thread(outlet.wait_for_room, 2)
        outlet.resize(1)
        assert waiting.empty()
        outlet.resize(100)
        assert waiting.get(timeout=WAIT) is True

    def test_a_buffer_that_shrinks_takes_back_what_it_allowed(self):
        outlet = Outlet(True, 8)
        outlet.resize(2)
        assert [outlet.room(offered) for offered in (1, 5)] == [1, -3]

    def test_a_buffer_of_one_is_one_at_a_time(self):
        outlet = Outlet(True, 1)
        assert outlet.wait_for_room(0)
        outlet.put([(0, 1, ["a"])])
        assert outlet.room(1) == 0
        outlet.take()
        taking = in_thread(outlet.take)
        assert outlet.wait_for_room(1)
        outlet.finish()
        assert taking.get(timeout=WAIT) is None


class TestAsync:
    def test_a_consumer_on_a_loop_is_woken_from_a_thread(self):
        async def test():
            outlet = Outlet(True, 10)
            taking = asyncio.ensure_future(outlet.take_async())
            await asyncio.sleep(0)
            assert not taking.done()
            in_thread(outlet.put, [(0, 1, ["a"])])
            assert await asyncio.wait_for(taking, WAIT) == ["a"]
            taking = asyncio.ensure_future(outlet.take_async())
            await asyncio.sleep(0)
            in_thread(outlet.finish, ValueError("no"))
            with pytest.raises(ValueError, match="no"):
                await asyncio.wait_for(taking, WAIT)

        asyncio.run(test())

    def test_a_source_on_a_loop_is_woken_from_a_thread(self):
        async def test():
            outlet = Outlet(True, 1)
            waiting = asyncio.ensure_future(outlet.wait_for_room_async(1))
            await asyncio.sleep(0)
            assert not waiting.done()
            outlet.put([(0, 1, ["a"])])
            outlet.take()
            taken = in_thread(outlet.take)
            assert await asyncio.wait_for(waiting, WAIT) is True
            waiting = asyncio.ensure_future(outlet.wait_for_room_async(2))
            await asyncio.sleep(0)
            outlet.finish()
            assert await asyncio.wait_for(waiting, WAIT) is False
            taken.get(timeout=WAIT)

        asyncio.run(test())

    def test_a_consumer_that_was_cancelled_loses_nothing(self):
        async def test():
            outlet = Outlet(True, 10)
            taking = asyncio.ensure_future(outlet.take_async())
            await asyncio.sleep(0)
            taking.cancel()
            await asyncio.wait([taking])
            outlet.put([(0, 1, ["a"])])
            assert await outlet.take_async() == ["a"]

        asyncio.run(test())

    def test_a_loop_that_is_closed_harms_nobody(self):
        outlet = Outlet(True, 10)

        async def leave():
            taking = asyncio.ensure_future(outlet.take_async())
            await asyncio.sleep(0)
            taking.cancel()

        asyncio.run(leave())
        outlet.put([(0, 1, ["a"])])
        assert outlet.take() == ["a"]


def test_a_source_that_waits_is_woken_though_the_buffer_has_shrunk():
    outlet = Outlet(True, 4096)
    outlet.put([(0, 4096, list(range(4096)))])
    went_on = threading.Event()
    source = threading.Thread(target=lambda: outlet.wait_for_room(4096) and went_on.set(), daemon=True)
    source.start()
    outlet.resize(600)
    assert outlet.take() is not None
    outlet.finish()
    outlet.take()
    source.join(5)
    assert not source.is_alive()


def test_room_that_a_shrunk_buffer_has_is_enough():
    outlet = Outlet(True, 4096)
    outlet.resize(8)
    outlet.put([(0, 4, [1, 2, 3, 4])])
    assert outlet.take() == [1, 2, 3, 4]
    assert outlet.wait_for_room(4)


def test_a_signal_that_came_before_the_wait_is_handled_all_the_same():
    """Caught by a thread other than the one that waits, it does not end that one's wait for a lock; nor would one that
    came just before it."""
    outlet, waits = Outlet(True, 10), threading.Event()

    class Caught(Exception):
        pass

    def handler(number, frame):
        raise Caught

    class Consumers(list):
        """Tells when one waits."""

        def append(self, wakes):
            super().append(wakes)
            waits.set()

    def signal_own_thread():
        waits.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    outlet._consumers = Consumers()
    before = signal.signal(signal.SIGUSR1, handler)
    emergency = threading.Timer(WAIT, outlet.finish)
    emergency.start()  # what ends the wait of a consumer that has not noticed
    try:
        threading.Thread(target=signal_own_thread, daemon=True).start()
        with pytest.raises(Caught):
            outlet.take()
        assert not outlet.over
    finally:
        emergency.cancel()
        signal.signal(signal.SIGUSR1, before)
