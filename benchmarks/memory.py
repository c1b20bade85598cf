"""Ten million items through two workers: does memory stay flat, and how much is it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import drain, noop, numbers, warmed

ROW = Row(
    name="memory",
    work="peak memory of parent and workers, 10 million items (PSS of the whole tree, starter included)",
    target="flat, under 100 MB beyond the interpreter's own",
    figures=(
        Figure("beyond", "MB beyond as many bare interpreters"),
        Figure("growth", "MB growth, 2nd half over 1st", compared=False),
        Figure("peak", "MB peak PSS"),
    ),
    size=10_000_000,
    quick=200_000,
    proportional=True,
    interval=0.05,
)


@ROW.cell("plait", "model='processes', workers=2, ordered; source: a generator")
def with_plait(meter: Meter) -> None:
    import plait

    def run(source: Iterable[int]) -> Iterable[int]:
        return plait.map(noop, source, model="processes", workers=2)

    warmed(run)
    with meter.timed():
        drain(run(numbers(meter.size)))


@ROW.cell("multiprocessing.Pool", "Pool(2), fork, imap_unordered(chunksize=64)")
def pool(meter: Meter) -> None:
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as workers:
        warmed(lambda source: workers.imap_unordered(noop, source, chunksize=64))
        with meter.timed():
            drain(workers.imap_unordered(noop, numbers(meter.size), chunksize=64))


@ROW.cell("ProcessPoolExecutor", "2 workers, fork, map(chunksize=64)")
def executor(meter: Meter) -> None:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as workers:
        warmed(lambda source: workers.map(noop, source, chunksize=64))
        with meter.timed():
            drain(workers.map(noop, numbers(meter.size), chunksize=64))


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    beyond = medians.of("plait", "beyond")
    yield Check(f"{beyond:.0f} MB beyond as many bare interpreters", beyond < 100)
    growth = medians.of("plait", "growth")
    yield Check(f"the second half's peak is {growth:+.1f} MB over the first's", growth <= 10)
