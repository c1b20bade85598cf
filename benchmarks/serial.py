"""No-op items in `serial` with every feature on, against the builtin `map` over the same source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import drain, noop, numbers, warmed

WALL = Figure("wall", "ns/item", 1e9, per_item=True)
ROW = Row(
    name="serial",
    work="1,000,000 no-op items, `serial`, all features on",
    target="at most 1.5x the builtin `map` in time, flat memory",
    figures=(WALL, Figure("own_growth", "MB peak growth", compared=False)),
    size=1_000_000,
    quick=50_000,
)
FEATURES = "retries=2, timeout=30, on_error='return', ordered=True"


def with_plait(meter: Meter, items: Iterable[int]) -> None:
    import plait

    def run(source: Iterable[int]) -> Iterable[int]:
        return plait.map(noop, source, model="serial", retries=2, timeout=30, on_error="return", ordered=True)

    warmed(run)
    with meter.timed():
        drain(run(items))


def with_builtin(meter: Meter, items: Iterable[int]) -> None:
    warmed(lambda source: map(noop, source))
    with meter.timed():
        drain(map(noop, items))


@ROW.cell("plait, range", f"model='serial', {FEATURES}; source: range")
def plait_range(meter: Meter) -> None:
    with_plait(meter, range(meter.size))


@ROW.cell("builtin map, range", "source: range")
def builtin_range(meter: Meter) -> None:
    with_builtin(meter, range(meter.size))


@ROW.cell("plait, generator", f"model='serial', {FEATURES}; source: a generator")
def plait_generator(meter: Meter) -> None:
    with_plait(meter, numbers(meter.size))


@ROW.cell("builtin map, generator", "source: a generator", against="plait, generator")
def builtin_generator(meter: Meter) -> None:
    with_builtin(meter, numbers(meter.size))


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    for source in ("range", "generator"):
        times = medians.of(f"plait, {source}", "wall") / medians.of(f"builtin map, {source}", "wall")
        yield Check(f"{source}: {times:.2f}x the builtin map", times <= 1.5)
        growth = medians.of(f"plait, {source}", "own_growth")
        yield Check(f"{source}: peak memory grew by {growth:.1f} MB", growth <= 5)
