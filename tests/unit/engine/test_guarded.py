"""What escapes from a method that nobody waits for."""

import pytest

from plait.engine.guarded import guarded


class Listener:
    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def broken(self, error: BaseException, traceback: str) -> None:
        self.errors.append(error)

    @guarded
    def told(self, error: BaseException | None, *, twice: bool = False) -> None:
        """Be told."""
        if error is not None:
            raise error
        self.twice = twice


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_it_ends_the_run_and_is_not_raised(error):
    one = Listener()
    one.told(error)
    assert one.errors == [error]


def test_otherwise_it_is_the_method():
    one = Listener()
    one.told(None, twice=True)
    assert one.twice
    assert one.errors == []
    assert (Listener.told.__name__, Listener.told.__doc__) == ("told", "Be told.")
