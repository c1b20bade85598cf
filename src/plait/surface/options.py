"""The options of a stage: checked at the call, with a message that says what to do."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Mapping
from typing import Any

from plait.engine.rules import Rules
from plait.errors import OptionError, UnknownOption
from plait.fit.meaning import pin
from plait.journal.journal import Journal
from plait.machine import parse_bytes
from plait.placement import Placement, models
from plait.places.crew import places
from plait.places.processes.travel import why_not
from plait.policy.hedge import Hedge
from plait.policy.limit import Limit
from plait.policy.rate import Rate
from plait.policy.retry import Retry

__all__ = ["CHECKS", "KNOWN", "journal_from", "meant", "pinned_model", "rules_from"]


def _model(value: Any) -> Any:
    if isinstance(value, Placement) or value == "auto":
        return value
    names = value if isinstance(value, tuple) else (value,)
    if not names:
        raise OptionError("model", value, 'it takes a model\'s name, a Placement, a tuple of names, or "auto"')
    for name in names:
        if name == "auto":
            raise OptionError("model", value, '"auto" stands alone; a tuple names the models that it may choose among')
        if not isinstance(name, str):
            raise OptionError("model", value, 'it takes a model\'s name, a Placement, a tuple of names, or "auto"')
        try:
            models.get(name)
        except UnknownOption:
            raise UnknownOption("model", name, [*models.names(), "auto"]) from None
    return value


def _whole(value: Any) -> int:
    """A whole number, NumPy's included; -1: it is none."""
    try:
        return operator.index(value)
    except TypeError:
        return -1


def _count(name: str, least: int = 1) -> Callable[[Any], int | None]:
    def check(value: Any) -> int | None:
        count = value if value is None or isinstance(value, bool) else _whole(value)
        if count is not None and (isinstance(count, bool) or count < least):
            raise OptionError(name, value, f"it takes a whole number from {least}, or None to measure")
        return count

    return check


def _seconds(name: str) -> Callable[[Any], float | None]:
    def check(value: Any) -> float | None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < math.inf):
            raise OptionError(name, value, "it takes seconds above 0, or None")
        return None if value is None else float(value)

    return check


def _one_of(name: str, *known: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in known:
            raise OptionError(name, value, f"it takes one of {', '.join(map(repr, known))}")
        return str(value)

    return check


def _flag(name: str) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise OptionError(name, value, "it takes True or False")
        return value

    return check


def _retries(value: Any) -> Retry:
    if isinstance(value, Retry):
        return value
    if isinstance(value, bool) or _whole(value) < 0:
        raise OptionError("retries", value, "it takes a number of further attempts from 0, or a plait.Retry")
    return Retry(_whole(value))


def _max_failures(value: Any) -> float | None:
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not value >= 0
        or (isinstance(value, float) and value >= 1)
    ):
        raise OptionError("max_failures", value, "it takes a count (int) or a share below 1 (float)")
    return value


def _resources(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise OptionError("resources", value, 'it takes a dict like {"session": open_session}')
    for name, source in value.items():
        if not callable(source) and not hasattr(source, "__enter__") and not hasattr(source, "__aenter__"):
            raise OptionError(f"resources[{name!r}]", source, "it takes a function that makes it, or a context manager")
    return dict(value)


def _memory(value: Any) -> int | None:
    return None if value is None else parse_bytes(value)


def _rates(value: Any) -> tuple[Rate, ...]:
    several = value if isinstance(value, list | tuple) else () if value is None else (value,)
    return tuple(rate if isinstance(rate, Rate) else Rate(rate) for rate in several)


def _limits(value: Any) -> tuple[Limit, ...]:
    several = value if isinstance(value, list | tuple) else () if value is None else (value,)
    return tuple(limit if isinstance(limit, Limit) else Limit(limit) for limit in several)


def _hedge(value: Any) -> Hedge | None:
    if value is None or value is False or isinstance(value, Hedge):
        return value or None
    return Hedge() if value is True else Hedge(value)


def _journal_key(value: Any) -> Callable[[Any], Any] | None:
    if value is not None and not callable(value):
        raise OptionError("journal_key", value, "it takes a function of the item that gives what it is known by")
    return value  # type: ignore[no-any-return]


def journal_from(value: Any) -> Journal | None:
    """What `journal=` names.

    Raises:
        OptionError: it is neither a path nor a `plait.Journal`.
    """
    if value is None or isinstance(value, Journal):
        return value
    if not isinstance(value, str | os.PathLike):
        raise OptionError("journal", value, "it takes a path, or a plait.Journal")
    return Journal(value)


#: Option -> what it is called in `Rules`, and its check.
CHECKS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "model": ("model", _model),
    "workers": ("workers", _count("workers")),
    "width": ("width", _count("width")),
    "ordered": ("ordered", _flag("ordered")),
    "retries": ("retry", _retries),
    "timeout": ("timeout", _seconds("timeout")),
    "deadline": ("deadline", _seconds("deadline")),
    "on_error": ("on_error", _one_of("on_error", "raise", "skip", "return")),
    "max_failures": ("max_failures", _max_failures),
    "on_crash": ("on_crash", _one_of("on_crash", "rerun", "fail")),
    "isolate": ("isolate", _flag("isolate")),
    "resources": ("resources", _resources),
    "buffer": ("buffer", _count("buffer")),
    "memory": ("memory", _memory),
    "rate": ("rates", _rates),
    "limit": ("limits", _limits),
    "hedge": ("hedge", _hedge),
    "journal_key": ("journal_key", _journal_key),
}
KNOWN = (*CHECKS, "progress", "name", "journal")


def pinned_model(is_async: bool) -> str | tuple[str, ...] | None:
    """What `PLAIT_MODEL` asks for in place of `auto`: a model's name, or several with commas between; `None`: nothing.

    Functions that none of these models can run (async ones, where it says `threads`) are left alone.

    Raises:
        OptionError: it names a model that does not exist.
    """
    names = tuple(name.strip() for name in os.environ.get("PLAIT_MODEL", "").split(",") if name.strip())
    if not names or names == ("auto",):
        return None
    try:
        placements = [models.get(name)() for name in names]
    except UnknownOption:
        wants = f"the environment sets it; it takes a model, or several with commas: {', '.join(models.names())}, auto"
        raise OptionError("PLAIT_MODEL", ",".join(names), wants) from None
    if any((at.style == "loop") != is_async and at.model != "serial" for at in placements):
        return None
    return names[0] if len(names) == 1 else names


def meant(function: Any, resources: Any, wanted: str | tuple[str, ...]) -> tuple[str | tuple[str, ...], str]:
    """Of the models that `PLAIT_MODEL` names, those under which `function` means the same, and why not the others.

    Returns:
        The models, `"auto"` where none is left; and a sentence, empty where all of them are.
    """
    names = wanted if isinstance(wanted, tuple) else (wanted,)
    kept, note = [], ""
    for name in names:
        if (why := _changes_meaning(function, resources, models.get(name)())) is None:
            kept.append(name)
        else:
            note = f"PLAIT_MODEL={name} is not followed: {why}"
    if not note:
        return wanted, ""
    return (kept[0] if len(kept) == 1 else tuple(kept) or "auto"), note


def _changes_meaning(function: Any, resources: Any, placement: Placement) -> str | None:
    if placement.place != "here":
        found = pin(function)
        return found.reason if found else why_not(function) or (why_not(dict(resources)) if resources else None)
    found = pin(function, alone=True) if placement.style == "threads" else None
    return found.reason if found else None


def rules_from(name: str, options: Mapping[str, Any], *, is_async: bool) -> Rules:
    """The rules that `options` spell.

    Raises:
        UnknownOption: there is no such option; the message lists the known ones.
        OptionError: an option has a value that it cannot have, or does not go with another.
    """
    made: dict[str, Any] = {}
    for option, value in options.items():
        if option not in CHECKS:
            raise UnknownOption("option", option, KNOWN)
        field, check = CHECKS[option]
        made[field] = check(value)
    rules = Rules(name, **made)
    _agree(rules, is_async)
    return rules


def _agree(rules: Rules, is_async: bool) -> None:
    """What goes with what."""
    if rules.max_failures is not None and rules.on_error == "raise":
        wants = 'it goes with on_error="skip" or "return"; with "raise" the first failure ends the run'
        raise OptionError("max_failures", rules.max_failures, wants)
    if rules.model == "auto":
        return
    names = rules.model if isinstance(rules.model, tuple) else (rules.model,)
    possible = [name if isinstance(name, Placement) else models.get(name)() for name in names]
    for placement in possible:
        if placement.place not in places.names():
            raise UnknownOption("place", placement.place, places.names())
    if is_async and not any(at.style == "loop" or at.model == "serial" for at in possible):
        fits = "processes+async" if possible[0].place == "processes" else "async"
        raise OptionError("model", rules.model, f'an async function needs an event loop: use model="{fits}"')
    if rules.isolate and all(at.place == "here" for at in possible):
        raise OptionError("isolate", True, f"model={rules.model!r} runs in this process; use a model with processes")
