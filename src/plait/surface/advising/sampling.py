"""`sampled`: runs the first items one at a time in this thread, each once, and measures them."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from types import CoroutineType
from typing import Any

from plait.engine.rules import Rules
from plait.fit.evidence import Evidence
from plait.fit.probe import Probe
from plait.places.processes.travel import why_not
from plait.styles.resources import open_sync
from plait.surface.advising.supply import Supply

__all__ = ["Sampled", "in_words", "sampled"]


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the first items told.

    Parameters:
        evidence: `None` where none could be had.
        travel: why items or results cannot go to another process.
        is_async: the function gives coroutines.
        items: how many were run. failures: how many of them failed.
        error: the last failure, in words.
    """

    evidence: Evidence | None = None
    travel: str | None = None
    is_async: bool = False
    items: int = 0
    failures: int = 0
    error: str = ""


def sampled(function: Callable[..., Any], supply: Supply, rules: Rules, *, is_async: bool) -> Sampled:
    """Measure the first items of `supply`; none where they must not run in this process, or need a loop."""
    if is_async or rules.isolate or rules.patience is not None:
        return Sampled(is_async=is_async)
    travel, items, failures, error = None, 0, 0, ""
    call, close = open_sync(function, rules.resources)
    context = copy_context()  # each item runs in a copy: what one sets must not reach the next
    try:
        with Probe() as probe:
            while not (items and probe.enough()):
                try:
                    item = supply.take()
                except StopIteration:
                    break
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
                if items <= 2 and travel is None:
                    travel = why_not((item, value))
            evidence = probe.evidence() if items else None
            return Sampled(evidence, travel, False, items, failures, error)
    finally:
        close()


def in_words(error: BaseException) -> str:
    """`"ValueError: no sevens"`, in one line of bearable length."""
    try:
        said = " ".join(str(error).split())
    except Exception:
        said = "(it cannot say what)"
    kind = type(error).__name__
    said = f"{kind}: {said}" if said else kind
    return said if len(said) <= 200 else said[:197] + "..."
