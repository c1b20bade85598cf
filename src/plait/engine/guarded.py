"""`guarded`: what escapes from a method that places call ends the run, since their threads have nobody to raise to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

__all__ = ["guarded"]

P = ParamSpec("P")


class _Breakable(Protocol):
    def broken(self, error: BaseException, traceback: str) -> None: ...


B = TypeVar("B", bound=_Breakable)


def guarded(method: Callable[Concatenate[B, P], None]) -> Callable[Concatenate[B, P], None]:
    """`method`, but what it raises goes to `self.broken`."""

    @functools.wraps(method)
    def call(self: B, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except BaseException as error:
            self.broken(error, "")

    return call
