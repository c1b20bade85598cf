"""Exceptions and values that plain pickle refuses or would change, made to travel."""

from __future__ import annotations

import pickle
from typing import Any

from plait.errors import CannotTravel
from plait.failure import shown
from plait.places.processes import clouded

__all__ = ["by_value", "portable"]


class _Carried:
    """Bytes that become what they hold when they are unpickled."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.blob,)


class _Exception:
    """An exception that its own constructor cannot rebuild: rebuilt from its class, args and attributes."""

    def __init__(self, error: BaseException) -> None:
        self.kind = type(error)
        reduced: Any = _builtin(self.kind).__reduce__(error)  # what C keeps of it, too: an OSError's filename, say
        self.made_of = tuple(map(_plain, reduced[1]))
        self.args = tuple(map(_plain, error.args))
        self.parts = {name: _plain(value) for name, value in _attributes(error).items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.kind, self.made_of, self.args, self.parts)


def _builtin(kind: type[BaseException]) -> Any:
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")


def _attributes(error: BaseException) -> dict[str, Any]:
    names = [name for kind in type(error).__mro__ for name in _slots(kind)]
    slotted = {name: getattr(error, name) for name in names if hasattr(error, name)}
    return {**slotted, **getattr(error, "__dict__", {})}


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _rebuilt(
    kind: type[BaseException], made_of: tuple[Any, ...], args: tuple[Any, ...], parts: dict[str, Any]
) -> BaseException:
    error = kind.__new__(kind, *made_of)
    _builtin(kind).__init__(error, *made_of)
    error.args = args
    for name, value in parts.items():
        object.__setattr__(error, name, value)
    return error


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        return portable(value)
    if isinstance(value, list | tuple) and any(isinstance(one, BaseException) for one in value):
        return type(value)(map(_plain, value))
    try:
        pickle.loads(pickle.dumps(value, 5))
    except Exception:
        return shown(value)
    return value


def _same(again: Any, error: Any) -> bool:
    """Whether what plain pickle made of `error` is what it was."""
    if type(again) is not type(error) or str(again) != str(error):
        return False
    if isinstance(error, BaseExceptionGroup):
        return all(portable(one) is one for one in error.exceptions)
    return _attributes(again).keys() == _attributes(error).keys()


def portable(error: Any) -> Any:
    """`error`, or what becomes it when unpickled: the same class, arguments and attributes."""
    if isinstance(error, _Exception | _Carried):
        return error
    for candidate in (
        lambda: error,
        lambda: _Exception(error),
        lambda: by_value(error),
        lambda: by_value(_Exception(error)),
    ):
        try:
            thing = candidate()
            again = pickle.loads(pickle.dumps(thing, 5))
            if thing is error and not _same(again, error):
                continue
            if type(again).__qualname__ == type(error).__qualname__:
                return thing
        except BaseException:
            continue
    kind = type(error).__qualname__
    what = f"it cannot be pickled; it was {shown(error)}"
    return CannotTravel(f"The exception {kind}", what, "Its traceback is kept as text.")


def by_value(thing: Any) -> Any:
    """`thing` pickled by value, as what becomes it when unpickled.

    Raises:
        Exception: whatever stands in the way.
    """
    return _Carried(clouded.dumps(thing))
