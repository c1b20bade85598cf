"""Random flows: what their stages do, to be imported by workers; and what plain Python makes of the same stages."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Stage", "applied", "expected"]

VALUES: dict[str, Any] = {
    "map": lambda x: 3 * x + 1,
    "filter": lambda x: x % 3 != 1,
    "flat_map": lambda x: [x, x + 1] if x % 4 else [],
    "tap": lambda x: None,
}
#: Several stages in one: lists of `size` items, whose members go on one by one.
SIZES = {"listed": True, "summed": True}


@dataclass(frozen=True)
class Stage:
    """A stage of a random flow.

    Parameters:
        how: the flow's method, or `listed` (a batch, a map of it, and taken apart), or `summed` (a batch and its sum).
        raises: remainder by seven of the items for which it raises; -1: of none.
        dies, hangs: the item for which its worker dies once, or for which it takes for ever.
        size: of batches.
    """

    name: str
    how: str
    model: str
    is_async: bool = False
    ordered: bool = True
    on_error: str = "skip"
    raises: int = -1
    dies: int | None = None
    hangs: int | None = None
    slow: float = 0.0
    size: int = 3

    def fails(self, item: int) -> bool:
        """Whether it fails for good."""
        return item % 7 == self.raises or (item == self.hangs and item != self.dies)

    def value(self, item: Any) -> Any:
        """What its function gives."""
        return (
            sum(item)
            if self.how == "summed"
            else [x + 1 for x in item]
            if self.how == "listed"
            else VALUES[self.how](item)
        )


@dataclass(frozen=True)
class Call:
    """The function of a stage. A worker dies once for its item: the first that finds no `mark`."""

    stage: Stage
    mark: str

    def before(self, item: Any) -> bool:
        stage = self.stage
        if isinstance(item, int):
            if item == stage.dies:
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(f"{self.mark}-{stage.name}", os.O_CREAT | os.O_EXCL))
                    os._exit(1)
            if item % 7 == stage.raises:
                raise ValueError(item)
        return item == stage.hangs and item != stage.dies

    def __call__(self, item: Any) -> Any:
        if self.before(item):
            time.sleep(60)
        if self.stage.slow:
            time.sleep(self.stage.slow)
        return self.stage.value(item)


class AsyncCall(Call):
    """The same as a coroutine."""

    async def __call__(self, item: Any) -> Any:
        if self.before(item):
            await asyncio.sleep(60)
        await asyncio.sleep(self.stage.slow)
        return self.stage.value(item)


def applied(flow: Any, stages: list[Stage], mark: str) -> Any:
    """`flow` with `stages`."""
    for stage in stages:
        call = (AsyncCall if stage.is_async else Call)(stage, mark)
        options: dict[str, Any] = {"model": stage.model, "workers": 2, "on_error": stage.on_error, "name": stage.name}
        if stage.hangs is not None:
            options["timeout"] = 1.5
        if stage.how in SIZES:
            flow = flow.batch(stage.size).map(call, **options | {"ordered": stage.ordered})
            flow = flow.unbatch() if stage.how == "listed" else flow
        else:
            flow = getattr(flow, stage.how)(call, **options, ordered=stage.ordered)
    return flow


@dataclass(frozen=True)
class Failed:
    """Stands for a failure."""

    stage: str
    item: int


def expected(items: Any, stages: list[Stage]) -> tuple[list[Any], list[Failed]]:
    """Results, failures that were returned among them, and all failures: by plain Python."""
    failures: list[Failed] = []
    results = iter(items)
    for stage in stages:
        results = _through(stage, results, failures)
    return list(results), failures


def _through(stage: Stage, items: Iterator[Any], failures: list[Failed]) -> Iterator[Any]:
    batch: list[Any] = []
    for item in items:
        if isinstance(item, Failed):
            yield item
        elif stage.how in SIZES:
            batch.append(item)
            if len(batch) == stage.size:
                yield from _batched(stage, batch)
                batch = []
        elif stage.fails(item):
            failures.append(Failed(stage.name, item))
            if stage.on_error == "return":
                yield failures[-1]
        else:
            value = stage.value(item)
            if stage.how == "flat_map":
                yield from value
            elif stage.how == "map":
                yield value
            elif stage.how == "tap" or value:
                yield item
    if batch:
        yield from _batched(stage, batch)


def _batched(stage: Stage, batch: list[Any]) -> list[Any]:
    value = stage.value(batch)
    return value if stage.how == "listed" else [value]
