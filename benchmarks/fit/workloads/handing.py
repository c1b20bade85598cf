"""Items that are dear to hand over: large arguments, large results."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from random import Random
from typing import Any

from benchmarks.burn import MILLISECOND, burn, burnt
from benchmarks.fit.grid import SERIAL, chunked, process_threads, processes, threads
from benchmarks.fit.workload import Workload

PATTERNS = (b"ab", b"\x00\x01", b"yz")


def occurrences(data: bytes) -> int:
    """Search with the GIL held, as methods of `bytes` do."""
    return sum(data.count(pattern) for pattern in PATTERNS)


def four_megabytes(x: int) -> bytes:
    """Compute for some 4 ms, and return 4 MB."""
    return (x + burn(4 * MILLISECOND)).to_bytes(8, "big") * (1 << 19)


class LargeArguments(Workload):
    name = "large-arguments"
    what = "bytes of 4 MB in, a number out: searched with the GIL held"
    full, quick, each = 250, 10, 11e-3
    grid = (*processes(), SERIAL, *threads(2, 8), *processes(1, 4), *process_threads(2, 4), *chunked(1, 4))
    fn = staticmethod(occurrences)

    @cached_property
    def blocks(self) -> list[bytes]:
        return [Random(seed).randbytes(4_000_000) for seed in range(7)]

    def items(self) -> list[bytes]:
        return [self.blocks[x % len(self.blocks)] for x in range(self.size)]

    def expected(self) -> Iterable[Any]:
        known = [occurrences(block) for block in self.blocks]
        return [known[x % len(known)] for x in range(self.size)]


class LargeResults(Workload):
    name = "large-results"
    what = "a number in, bytes of 4 MB out, after 4 ms of pure Python"
    full, quick, each = 300, 10, 6e-3
    grid = (*processes(), SERIAL, *threads(2, 8), *processes(1, 4), *process_threads(2, 4), *chunked(1, 4))
    fn = staticmethod(four_megabytes)

    def consume(self, results: Iterable[Any]) -> list[Any]:
        return [(len(result), result[:8], result[-8:]) for result in results]

    def expected(self) -> Iterable[Any]:
        words = [(x + burnt(4 * MILLISECOND)).to_bytes(8, "big") for x in range(self.size)]
        return [(4 << 20, word, word) for word in words]
