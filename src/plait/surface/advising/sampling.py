"""`sampled`: runs the first items one at a time in this thread, each once, and measures them."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from inspect import isasyncgenfunction, isgeneratorfunction
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from plait.engine.rules import Rules
from plait.fit.evidence import Evidence
from plait.fit.probe import Probe
from plait.places.processes.travel import why_not
from plait.styles.resources import open_sync
from plait.surface.advising.supply import Supply

__all__ = ["Sampled", "in_words", "sampled"]

#: What runs nothing by being called.
LAZY: dict[type, str] = {GeneratorType: "generator", AsyncGeneratorType: "async generator"}
LAZY_FUNCTIONS = ((isgeneratorfunction, "generator"), (isasyncgenfunction, "async generator"))
#: Seconds an item below which a source is no matter.
QUICK = 20e-6


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the first items told.

    Parameters:
        evidence: `None` where none could be had.
        travel: why items or results cannot go to another process.
        is_async: the function gives coroutines.
        items: how many were run. failures: how many of them failed.
        error: the last failure, in words.
        lazy: what the function gives in place of results: a generator, whose body has not run.
    """

    evidence: Evidence | None = None
    travel: str | None = None
    is_async: bool = False
    items: int = 0
    failures: int = 0
    error: str = ""
    lazy: str = ""


def sampled(function: Callable[..., Any], supply: Supply, rules: Rules, *, is_async: bool) -> Sampled:
    """Measure the first items of `supply`; none where they must not run in this process, or need a loop."""
    if lazy := next((word for check, word in LAZY_FUNCTIONS if check(_plain(function))), ""):
        return Sampled(lazy=lazy)
    if is_async or rules.isolate or rules.patience is not None:
        return Sampled(is_async=is_async)
    travel, items, failures, error, reading = None, 0, 0, "", list[float]()
    call, close = open_sync(function, rules.resources)
    context = copy_context()  # each item runs in a copy: what one sets must not reach the next
    try:
        with Probe() as probe:
            while not (items and probe.enough()):
                before = supply.reading
                try:
                    item = supply.take()
                except StopIteration:
                    break
                reading.append(supply.reading - before)
                try:
                    value = probe.call(lambda one: context.copy().run(call, one), item)
                except KeyboardInterrupt:
                    raise
                except BaseException as raised:
                    value, failures, error = None, failures + 1, in_words(raised)
                if type(value) is CoroutineType and not items:
                    value.close()  # not begun: as if it had not been called
                    supply.put_back(item)
                    return Sampled(is_async=True)
                items += 1
                if type(value) in LAZY:
                    return Sampled(items=items, lazy=LAZY[type(value)])
                if items <= 2 and travel is None:
                    travel = why_not((item, value))
            evidence = replace(probe.evidence(), source=_usual(reading)) if items else None
            return Sampled(evidence, travel, False, items, failures, error)
    finally:
        close()


def _plain(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _usual(reading: list[float]) -> float:
    """Seconds that the source takes for an item, its slowest left out (opening it is not its pace); 0: no matter."""
    if len(reading) < 2:
        return 0.0
    each = (sum(reading) - max(reading)) / (len(reading) - 1)
    return each if each > QUICK else 0.0


def in_words(error: BaseException) -> str:
    """`"ValueError: no sevens"`, in one line of bearable length."""
    try:
        said = " ".join(str(error).split())
    except Exception:
        said = "(it cannot say what)"
    kind = type(error).__name__
    said = f"{kind}: {said}".rstrip(".") if said else kind
    return said if len(said) <= 200 else said[:197] + "..."
