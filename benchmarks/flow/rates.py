"""50/s for each of 200 keys: is it never exceeded, in a window of whatever length, and is it used up?

Calls note when they begin. A key's calls may number at most `1 + 50 * w` in any `w` seconds; how many more there were
in the worst window is the excess. All keys together could be done in (100 - 1) / 50 s = 1.98 s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

from benchmarks.coroutines import on_best_loop
from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import numbers

KEYS, PER_SECOND, BURST = 200, 50, 1
#: A call notes its time a little after it was let go: by up to the interpreter's switch interval, 5 ms, a quarter of a
#: call here.
TOLERATED = 0.25
LEAST = 0.97
PLAIT = ("plait, async", "plait, threads")
ROW = Row(
    name="flow.rates",
    work="20,000 items of 200 keys, 50/s for each key",
    target="no window of any length over the limit; at least 97 % of what the rates allow",
    figures=(
        Figure("wall", "s"),
        Figure("used", "of what the rates allow", compared=False),
        Figure("excess", "calls too many in the worst window", compared=False),
        Figure("cpu", "us CPU/item", 1e6, per_item=True),
    ),
    size=20_000,
    quick=2_000,
    interval=0.5,
    limit=60.0,
)


def key_of(x: int) -> int:
    return x % KEYS


class Stamps:
    """When each key's calls began."""

    def __init__(self) -> None:
        self.by_key: list[list[float]] = [[] for _ in range(KEYS)]

    def call(self, x: int) -> int:
        self.by_key[key_of(x)].append(time.monotonic())
        return x

    async def call_async(self, x: int) -> int:
        return self.call(x)

    def excess(self) -> float:
        """Calls beyond `BURST + PER_SECOND * w` in the worst of all windows of all keys.

        With `slack[i] = i - PER_SECOND * t[i]`, the window from call i to call j has `slack[j] - slack[i] + 1` calls
        more than PER_SECOND allows: the greatest rise of a series, found in one pass.
        """
        worst = 0.0
        for times in self.by_key:
            slack = [place - PER_SECOND * at for place, at in enumerate(sorted(times))]
            lowest = accumulate(slack, min)
            worst = max(worst, *(high - low + 1 - BURST for high, low in zip(slack, lowest, strict=True)))
        return worst


def limited(meter: Meter, way: Callable[[Stamps, int], Any]) -> None:
    if sorted(way(Stamps(), KEYS)) != list(range(KEYS)):
        raise RuntimeError("the warm-up's results are not its items")
    stamps = Stamps()
    with meter.timed():
        results = list(way(stamps, meter.size))
    if sorted(results) != list(range(meter.size)):
        raise RuntimeError("the results are not the items")
    allowed = (meter.size / KEYS - BURST) / PER_SECOND
    meter.record(excess=stamps.excess(), used=allowed / meter.figures["wall"])


def with_plait(meter: Meter, model: str) -> None:
    import plait

    rate = plait.Rate(f"{PER_SECOND}/s", burst=BURST, key=key_of)

    def way(stamps: Stamps, count: int) -> Any:
        fn = stamps.call_async if model == "async" else stamps.call
        return plait.flow(numbers(count)).map(fn, model=model, rate=rate, ordered=False)

    limited(meter, way)


@ROW.cell("plait, async", "map(fn, model='async', rate=Rate('50/s', burst=1, key=...), ordered=False)")
def plait_async(meter: Meter) -> None:
    with_plait(meter, "async")


@ROW.cell("plait, threads", "the same, model='threads'")
def plait_threads(meter: Meter) -> None:
    with_plait(meter, "threads")


@ROW.cell("asyncio by hand", "a coroutine a key: call, sleep until 20 ms after the call began, next; uvloop")
def by_hand(meter: Meter) -> None:
    async def main(stamps: Stamps, count: int) -> list[int]:
        clock, results = asyncio.get_running_loop().time, []

        async def one_key(key: int) -> None:
            for x in range(key, count, KEYS):
                following = clock() + 1 / PER_SECOND
                results.append(await stamps.call_async(x))
                while (wait := following - clock()) > 0:
                    await asyncio.sleep(wait)

        await asyncio.gather(*map(one_key, range(KEYS)))
        return results

    limited(meter, lambda stamps, count: on_best_loop(main(stamps, count)))


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    for cell in PLAIT:
        excess, used = max(medians.values(cell, "excess"), default=None), medians.of(cell, "used")
        text = f"{cell.removeprefix('plait, ')}: {excess:.2f} calls too many in the worst window, {used:.1%} used"
        yield Check(text, excess is not None and excess <= TOLERATED and used >= LEAST)
