"""Neighbouring stages in worker processes run as one, so that items do not cross the border between them twice.

The later stage hands its function to the earlier one, whose workers call both from then on; what comes back has passed
the later stage already, and goes by it. So the two may become one while they run, at the boundary of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plait.engine.rules import Rules

__all__ = ["Fused", "Through", "fused", "may_fuse", "stage_of"]


class Through:
    """A result that has passed the next `stages` stages already."""

    __slots__ = ("stages", "value")

    def __init__(self, value: Any, stages: int) -> None:
        self.value, self.stages = value, stages

    def __reduce__(self) -> Any:
        return Through, (self.value, self.stages)

    def past(self) -> Any:
        """What the stage that it goes by gives in its place."""
        return self.value if self.stages == 1 else Through(self.value, self.stages - 1)


class Fused:
    """Calls functions one after the other.

    Parameters:
        names: of their stages.
    """

    def __init__(self, functions: tuple[Callable[[Any], Any], ...], names: tuple[str, ...]) -> None:
        self.functions, self.names = functions, names
        self.__name__ = names[0]

    def __call__(self, item: Any) -> Through:
        """What comes of `item` in the end."""
        at, value = 0, item
        try:
            for at, function in enumerate(self.functions):  # noqa: B007  which one raised is asked below
                value = function(value)
        except BaseException as error:
            if at:
                error.__plait_stage__ = self.names[at]  # type: ignore[attr-defined]
            raise
        return Through(value, len(self.functions) - 1)


def fused(first: Callable[[Any], Any], name: str, further: Callable[[Any], Any], other: str) -> Fused:
    """`first` and `further` behind it; each may be fused already."""
    functions, names = (first.functions, first.names) if isinstance(first, Fused) else ((first,), (name,))
    others, called = (further.functions, further.names) if isinstance(further, Fused) else ((further,), (other,))
    return Fused((*functions, *others), (*names, *called))


def may_fuse(one: Rules, other: Rules) -> bool:
    """Whether neither stage has rules that would have to tell apart which of the two an item is in."""
    alike = (one.ordered, one.workers, one.isolate) == (other.ordered, other.workers, other.isolate)
    return alike and all(rules.plain for rules in (one, other))


def stage_of(error: BaseException, name: str) -> str:
    """Which stage raised `error` in the workers of stage `name`."""
    return str(getattr(error, "__plait_stage__", name))
