"""What a task needs is made once, bound by keyword, and closed, whatever kind it is."""

import asyncio
import contextlib
import sqlite3

import pytest

from plait.errors import OptionError
from plait.styles.resources import open_async, open_sync


class Log(list):
    """What happened, in order."""


@pytest.fixture
def log() -> Log:
    return Log()


class Closing:
    def __init__(self, log, name="closing"):
        self.log, self.name = log, name

    def close(self):
        self.log.append(f"close {self.name}")


class Managed:
    def __init__(self, log, name="managed"):
        self.log, self.name = log, name

    def __enter__(self):
        self.log.append(f"enter {self.name}")
        return self

    def __exit__(self, *_):
        self.log.append(f"leave {self.name}")


class AsyncManaged:
    def __init__(self, log):
        self.log = log

    async def __aenter__(self):
        self.log.append("enter")
        return self

    async def __aexit__(self, *_):
        self.log.append("leave")


class AsyncClosing:
    def __init__(self, log):
        self.log = log

    async def close(self):
        self.log.append("close")


def show(item, **resources):
    return item, resources


def refuse():
    raise ConnectionError("no database")


class TestSync:
    def test_without_resources_the_function_is_itself(self):
        call, close = open_sync(show, {})
        assert call is show
        close()

    def test_a_function_makes_it_and_close_closes_it(self, log):
        call, close = open_sync(show, {"db": lambda: Closing(log)})
        item, made = call(1)
        assert item == 1
        assert isinstance(made["db"], Closing)
        assert not log
        close()
        assert log == ["close closing"]

    def test_it_is_made_once(self):
        made = []
        call, _ = open_sync(show, {"x": lambda: made.append(1)})
        call(1), call(2)
        assert made == [1]

    def test_a_context_manager_is_entered_and_left(self, log):
        _, close = open_sync(show, {"x": Managed(log)})
        assert log == ["enter managed"]
        close()
        assert log == ["enter managed", "leave managed"]

    def test_a_function_may_make_a_context_manager(self, log):
        @contextlib.contextmanager
        def session():
            log.append("open")
            yield "the session"
            log.append("shut")

        call, close = open_sync(show, {"session": session})
        assert call(1) == (1, {"session": "the session"})
        close()
        assert log == ["open", "shut"]

    def test_a_class_makes_it(self):
        call, close = open_sync(show, {"x": dict})
        assert call(1) == (1, {"x": {}})
        close()

    def test_a_connection_whose_with_does_not_close_is_closed(self):
        call, close = open_sync(show, {"db": lambda: sqlite3.connect(":memory:")})
        _, made = call(1)
        made["db"].execute("select 1")
        close()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            made["db"].execute("select 1")

    def test_the_last_opened_is_closed_first(self, log):
        _, close = open_sync(
            show, {"a": lambda: Closing(log, "a"), "b": Managed(log, "b"), "c": lambda: Closing(log, "c")}
        )
        close()
        assert log == ["enter b", "close c", "leave b", "close a"]

    def test_when_one_cannot_be_opened_those_that_were_are_closed(self, log):
        with pytest.raises(ConnectionError, match="no database"):
            open_sync(show, {"a": lambda: Closing(log, "a"), "b": Managed(log, "b"), "c": refuse})
        assert log == ["enter b", "leave b", "close a"]

    @pytest.mark.parametrize("kind", ["manager", "function"])
    def test_an_asynchronous_one_is_refused_with_what_to_do(self, log, kind):
        async def make():
            return 1

        source = AsyncManaged(log) if kind == "manager" else make
        with pytest.raises(OptionError, match=r"resources\['x'\].*model='async'"):
            open_sync(show, {"a": lambda: Closing(log, "a"), "x": source})
        assert log == ["close a"]

    def test_what_makes_nothing_is_refused(self):
        with pytest.raises(OptionError, match=r"resources\['x'\]=5 .*a function that makes it"):
            open_sync(show, {"x": 5})


class TestAsync:
    def opened(self, resources):
        async def run():
            call, stack = await open_async(show, resources)
            _, made = call(1)
            await stack.aclose()
            return made

        return asyncio.run(run())

    def test_without_resources_the_function_is_itself(self):
        async def run():
            call, stack = await open_async(show, {})
            assert call is show
            await stack.aclose()

        asyncio.run(run())

    def test_an_async_context_manager(self, log):
        self.opened({"x": AsyncManaged(log)})
        assert log == ["enter", "leave"]

    def test_an_async_function_that_makes_an_async_context_manager(self, log):
        async def make():
            return AsyncManaged(log)

        self.opened({"x": make})
        assert log == ["enter", "leave"]

    def test_an_async_function_and_an_async_close(self, log):
        async def make():
            return AsyncClosing(log)

        assert isinstance(self.opened({"x": make})["x"], AsyncClosing)
        assert log == ["close"]

    def test_a_sync_one_will_do(self, log):
        self.opened({"a": lambda: Closing(log, "a"), "b": Managed(log, "b")})
        assert log == ["enter b", "leave b", "close a"]

    def test_a_connection_whose_with_does_not_close_is_closed(self):
        made = self.opened({"db": lambda: sqlite3.connect(":memory:")})
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            made["db"].execute("select 1")

    def test_when_one_cannot_be_opened_those_that_were_are_closed(self, log):
        with pytest.raises(ConnectionError, match="no database"):
            self.opened({"a": AsyncManaged(log), "b": lambda: AsyncClosing(log), "c": refuse})
        assert log == ["enter", "close", "leave"]
