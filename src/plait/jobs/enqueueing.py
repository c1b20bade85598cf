"""How jobs are enqueued: the options of `JobTask.with_`, and what each may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypedDict, TypeVar

from plait.errors import ArgumentRefused, ConnectionRefused, OptionError, UnknownOption
from plait.jobs.records import PRIORITIES, Draft

__all__ = [
    "EnqueueOptions",
    "checked_connection",
    "checked_enqueueing",
    "checked_queue",
    "checked_together",
    "one_by_one",
]

T = TypeVar("T")


class EnqueueOptions(TypedDict, total=False):
    """How one job, or several, are enqueued. See `JobTask.with_`."""

    delay: float
    at: datetime | float
    priority: int
    queue: str
    unique: str | None
    unique_for: float
    key: str | None
    connection: Any


def checked_enqueueing(options: EnqueueOptions) -> EnqueueOptions:
    """The options, each looked at.

    Raises:
        UnknownOption, OptionError, ConnectionRefused: what cannot be; the message says what can.
    """
    checked_connection(options.get("connection"))
    for name, value in options.items():
        if name not in EnqueueOptions.__annotations__:
            raise UnknownOption("option", name, EnqueueOptions.__annotations__)
        wants = _WANTS.get(name)
        if wants is not None and not wants[0](value):
            raise OptionError(name, value, wants[1])
    return options


def checked_together(options: EnqueueOptions) -> EnqueueOptions:
    """The options of a job that is about to be stored, looked at as a whole: each may have been said apart."""
    if options.get("unique_for") and options.get("unique") is None:
        wants = "it says for how long the text of unique= stays taken, and there is none: say unique=, too"
        raise OptionError("unique_for", options["unique_for"], wants)
    return options


def checked_queue(name: str) -> str:
    """The name of a queue, looked at."""
    checked_enqueueing({"queue": name})
    return name


def checked_connection(connection: Any) -> Any:
    """What is to be a connection, looked at as far as that goes without its store.

    Raises:
        ConnectionRefused: it is something that connections are made of.
    """
    kind = type(connection)
    is_engine = hasattr(connection, "connect") and hasattr(connection, "dispose")
    if connection is None or (hasattr(connection, "execute") and not is_engine):
        return connection
    what = "a text" if isinstance(connection, str) else f"a {kind.__module__}.{kind.__qualname__}"
    wants = "it takes an open apsw.Connection or psycopg.Connection, as the store's driver is, or SQLAlchemy's over one"
    if is_engine:
        wants += ", as in `with engine.begin() as connection:`"
    raise ConnectionRefused(f"connection= is {what}: {wants}.")


def one_by_one(what: str, encode: Callable[[T], Draft], calls: Iterable[T]) -> list[Draft]:
    """What is to be stored of many calls; who refuses one says which.

    Raises:
        ArgumentRefused: one cannot be.
    """
    drafts: list[Draft] = []
    calls = calls if isinstance(calls, list | tuple) else list(calls)
    try:
        drafts.extend(map(encode, calls))  # those before the one that is refused are in it then
    except ArgumentRefused as error:
        raise ArgumentRefused(error.task, error.why, f"{what} {len(drafts) + 1:,} of {len(calls):,}") from None
    return drafts


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _is_time(value: Any) -> bool:
    return value.tzinfo is not None if isinstance(value, datetime) else _is_number(value) and math.isfinite(value)


def _is_priority(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -PRIORITIES <= value <= PRIORITIES


def _is_text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and 0 < len(value) <= 500 and not {"\0", "\x1f"} & set(value))


_TEXT = "it takes a text of up to 500 characters, at least one, without NUL or unit separators (0x1f), or None"
_WANTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "delay": (lambda value: _is_number(value) and 0 <= value < math.inf, "it takes seconds from 0"),
    "at": (_is_time, "it takes a datetime with a time zone, or seconds since the epoch"),
    "priority": (_is_priority, f"it takes a whole number from -{PRIORITIES} to {PRIORITIES}; higher ones come first"),
    "queue": (
        lambda value: value is not None and _is_text(value) and "," not in value,
        "it takes a name of 1 to 500 characters, without commas, NUL or unit separators (0x1f)",
    ),
    "unique": (_is_text, _TEXT),
    "unique_for": (lambda value: _is_number(value) and value >= 0, "it takes seconds from 0"),
    "key": (_is_text, _TEXT),
}
