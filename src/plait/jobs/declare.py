"""`declare`: what a function and its options come to as a task: checked where they are written."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

from plait.errors import OptionError, UnknownOption
from plait.jobs.enqueueing import EnqueueOptions
from plait.jobs.records import Rule
from plait.jobs.spec import ISOLATED, TaskSpec
from plait.placement import Placement
from plait.policy.limit import Limit
from plait.policy.rate import Rate
from plait.policy.retry import Retry
from plait.surface.calls import is_async
from plait.surface.options import rules_from

__all__ = ["Declared", "Home", "TaskOptions", "declare", "is_said_again", "seconds"]

#: Seconds until a failed job is tried again, where its task says how often only: from, to. A map is waited for; jobs
#: are there for as long as what they need is away.
BACKOFF, LONGEST = 1.0, 300.0
#: Options of a task that say how a job is enqueued, and how its results are kept; the others are `plait.map`'s.
_ENQUEUE = ("queue", "priority", "key")
_ENGINE = ("model", "workers", "width", "timeout", "resources", "memory", "on_crash")


class TaskOptions(TypedDict, total=False):
    """The options of `Jobs.task`."""

    name: str
    queue: str
    priority: int
    key: str | None
    model: str | Placement | tuple[str, ...]
    workers: int | None
    width: int | None
    retries: int | Retry
    timeout: float | None
    rate: str | float | Rate | Sequence[str | float | Rate] | None
    limit: int | Limit | Sequence[int | Limit] | None
    resources: Mapping[str, Any] | None
    memory: int | str | None
    on_crash: Literal["rerun", "fail"]
    keep: float
    keep_failed: float


class Home(NamedTuple):
    """What a queue gives to all its tasks.

    Parameters:
        place: under which worker processes find the store. in_memory: only this process does.
        keep, keep_failed, largest: as of `Jobs`.
    """

    place: str
    in_memory: bool
    keep: float
    keep_failed: float
    largest: int


class Declared(NamedTuple):
    """A task as it was declared.

    Parameters:
        engine: the options that `plait.map` has, too. enqueueing: those of `JobTask.with_`.
        keys: the key functions of its rates and limits.
    """

    spec: TaskSpec
    engine: dict[str, Any]
    enqueueing: dict[str, Any]
    keys: list[Callable[..., Any]]


def declare(function: Callable[..., Any], transactional: bool, options: Mapping[str, Any], home: Home) -> Declared:
    """A function and the options of `Jobs.task` as a task.

    Raises:
        UnknownOption, OptionError: an option that cannot be.
    """
    _check_names(options)
    name = _name(function, options.get("name"))
    try:
        inspect.signature(function)
    except (TypeError, ValueError):
        wants = "nobody can tell what arguments it takes: call it in a function of your own, and make that a task"
        raise OptionError("task", function, wants) from None
    if transactional and is_async(function):
        raise OptionError("transactional", True, "an async function cannot have it: make it a plain one")
    engine = {option: options[option] for option in _ENGINE if option in options}
    rated = {option: options[option] for option in ("retries", "rate", "limit") if option in options}
    if type(rated.get("retries")) is int and rated["retries"] >= 0:
        rated["retries"] = Retry(rated["retries"], backoff=BACKOFF, longest=LONGEST)
    asked = rules_from(name, {**engine, **rated}, is_async=is_async(function))
    rules = rules_from(
        name,
        {**_placed(function, transactional, engine, home), "on_error": "return", "ordered": False, "buffer": 1 << 20},
        is_async=is_async(function),
    )
    store_rules, keys = _store_rules(name, asked.rates, asked.limits)
    spec = TaskSpec(
        name=name,
        function=function,
        is_async=is_async(function),
        rules=rules,
        retry=asked.retry,
        keep=seconds("keep", options.get("keep", home.keep)),
        keep_failed=seconds("keep_failed", options.get("keep_failed", home.keep_failed)),
        largest=home.largest,
        store_rules=store_rules,
        url=home.place,
        transactional=transactional,
    )
    enqueueing = {option: options[option] for option in _ENQUEUE if option in options}
    return Declared(spec, engine, enqueueing, keys)


def _check_names(options: Mapping[str, Any]) -> None:
    known = [*TaskOptions.__annotations__, "transactional"]
    for option in options:
        if option in EnqueueOptions.__annotations__ and option not in known:
            hint = f"It is said where jobs are enqueued: task.with_({option}=...).enqueue(...)."
            raise UnknownOption("option", option, known, hint)
        if option not in known:
            raise UnknownOption("option", option, known)


def _placed(function: Callable[..., Any], transactional: bool, engine: Mapping[str, Any], home: Home) -> dict[str, Any]:
    """The engine's options with the model that jobs run under."""
    if home.in_memory:  # other processes would not find the store: whatever was asked for, they run in this one
        kept = {option: engine[option] for option in ("timeout", "resources") if option in engine}
        return kept | {
            "model": Placement("here", "loop" if is_async(function) else "threads", width=engine.get("width"))
        }
    model = engine.get("model", "auto")
    if model == "auto":
        model = ISOLATED
    if transactional and "model" not in engine:
        model = Placement("processes", "serial", 1, 1) if home.place.startswith("sqlite") else "processes"
    return {**engine, "model": model}


def _name(function: Any, given: Any) -> str:
    name = getattr(function, "__name__", None) if given is None else given
    if not isinstance(name, str) or not name or (given is None and name == "<lambda>"):
        raise OptionError("name", name, 'jobs are stored under the name of their task: say name="..."')
    return name


def is_said_again(before: Any, function: Any) -> bool:
    """Whether it is the same function of a notebook or a prompt, whose cell was run again, perhaps changed."""
    names = [(getattr(one, "__module__", None), getattr(one, "__qualname__", None)) for one in (before, function)]
    file = getattr(sys.modules["__main__"], "__file__", None)  # "<stdin>" may be one that is none
    return names[0] == names[1] and names[0][0] == "__main__" and not (file and os.path.exists(file))


def seconds(option: str, value: Any) -> float:
    """The value of an option that takes seconds from 0, looked at."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise OptionError(option, value, "it takes seconds from 0")
    return float(value)


def _store_rules(
    name: str, rates: Sequence[Rate], limits: Sequence[Limit]
) -> tuple[tuple[Rule, ...], list[Callable[..., Any]]]:
    """The rules as the store keeps them, and the key functions of those that have one."""
    rules: list[Rule] = []
    keys: list[Callable[..., Any]] = []
    for at, rate in enumerate(rates):
        keyed = len(keys) if rate.key is not None else None
        keys += [rate.key] if rate.key is not None else []
        rules.append(Rule(f"{name}/rate-{at}", 0, rate.interval, rate.burst, keyed))
    for at, limit in enumerate(limits):
        keyed = len(keys) if limit.key is not None else None
        keys += [limit.key] if limit.key is not None else []
        rules.append(Rule(f"{name}/limit-{at}", limit.n, 0.0, 1.0, keyed))
    return tuple(rules), keys
