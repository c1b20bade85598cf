"""Exceptions and values that plain pickle refuses or would change, made to travel."""

from __future__ import annotations

import pickle
from typing import Any

from plait.errors import CannotTravel
from plait.failure import shown

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
        self.kind, self.args = type(error), tuple(_plain(arg) for arg in error.args)
        self.parts = {name: _plain(value) for name, value in error.__dict__.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.kind, self.args, self.parts)


def _rebuilt(kind: type[BaseException], args: tuple[Any, ...], parts: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(parts)
    return error


def _plain(value: Any) -> Any:
    try:
        pickle.loads(pickle.dumps(value, 5))
    except Exception:
        return repr(value)
    return value


def portable(error: BaseException) -> Any:
    """`error`, or what becomes it when unpickled: the same class, arguments and attributes."""
    for candidate in (
        lambda: error,
        lambda: _Exception(error),
        lambda: by_value(error),
        lambda: by_value(_Exception(error)),
    ):
        try:
            thing = candidate()
            again = pickle.loads(pickle.dumps(thing, 5))
            if type(again).__qualname__ == type(error).__qualname__ and str(again) == str(error):
                return thing
        except BaseException:
            continue
    kind = type(error).__qualname__
    return CannotTravel(
        f"The exception {kind}", f"it cannot be pickled; it was {shown(error)}", "Its traceback is kept as text."
    )


def by_value(thing: Any) -> Any:
    """`thing` pickled by value, as what becomes it when unpickled.

    Raises:
        Exception: whatever stands in the way.
    """
    import cloudpickle

    return _Carried(cloudpickle.dumps(thing, 5))
