"""How jobs are enqueued: the options of `JobTask.with_`, and what each may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypedDict

from plait.errors import OptionError, UnknownOption
from plait.jobs.records import PRIORITIES

__all__ = ["EnqueueOptions", "checked_enqueueing", "checked_queue", "checked_together"]


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
        UnknownOption, OptionError: what cannot be; the message says what can.
    """
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _is_time(value: Any) -> bool:
    return value.tzinfo is not None if isinstance(value, datetime) else _is_number(value) and math.isfinite(value)


def _is_priority(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -PRIORITIES <= value <= PRIORITIES


def _is_text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and 0 < len(value) <= 500 and not {"\0", "\x1f"} & set(value))


_WANTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "delay": (lambda value: _is_number(value) and 0 <= value < math.inf, "it takes seconds from 0"),
    "at": (_is_time, "it takes a datetime with a time zone, or seconds since the epoch"),
    "priority": (_is_priority, f"it takes a whole number from -{PRIORITIES} to {PRIORITIES}; higher ones come first"),
    "queue": (
        lambda value: value is not None and _is_text(value) and "," not in value,
        "it takes a name without commas",
    ),
    "unique": (_is_text, "it takes a text of up to 500 characters, or None"),
    "unique_for": (lambda value: _is_number(value) and value >= 0, "it takes seconds from 0"),
    "key": (_is_text, "it takes a text of up to 500 characters, or None"),
}
