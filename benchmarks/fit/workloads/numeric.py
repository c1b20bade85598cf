"""NumPy: large arrays let go of the GIL, small ones hold it, and matrix products bring threads of their own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.fit.grid import SERIAL, chunked, process_threads, processes, threads
from benchmarks.fit.workload import Workload


def sorted_roots(seed: int) -> float:
    """Draw 2 MB of numbers, sort them, add up their roots."""
    array = np.random.default_rng(seed).random(1 << 18)
    array.sort()
    return float(np.sqrt(array).sum())


def product(seed: int) -> float:
    """Draw two matrices of 1 MB and multiply them."""
    one, other = np.random.default_rng(seed).random((2, 360, 360))
    return round(float((one @ other).trace()), 3)


def small_steps(seed: int) -> int:
    """Many calls on an array of a hundred numbers: mostly NumPy's own overhead, with the GIL held."""
    array = np.arange(seed, seed + 100)
    for _ in range(8):
        array = np.roll(array, 1) * 3 % 1009
    return int(array.sum())


def root_sum(array: np.ndarray) -> float:
    return float(np.sqrt(array).sum())


class Numeric(Workload):
    """Numbers of which some are computed again for the check: all of them would take as long as the run."""

    def wrong(self, results: list[Any]) -> str | None:
        if len(results) != self.size:
            return f"{len(results)} results for {self.size} items"
        picked = sorted({0, 1, self.size // 3, self.size // 2, self.size - 2, self.size - 1})
        for at in picked:
            wanted = type(self).fn(at)
            if results[at] != wanted:
                return f"result {at} is {results[at]}, not {wanted}"
        return None if len(set(results)) > 0.9 * min(self.size, 500) else "results are doubled"


class NumpyBig(Numeric):
    name = "numpy-big"
    what = "NumPy: sort and square roots of an array of 2 MB, made inside from a seed"
    full, quick, each = 250, 10, 13e-3
    grid = (*threads(2, 4, 8), SERIAL, *processes(), *processes(4), *process_threads(2, 4), *chunked(1, 4, 16))
    fn = staticmethod(sorted_roots)


class NumpyMatmul(Numeric):
    name = "numpy-matmul"
    what = "NumPy: the product of two matrices of 1 MB, made inside from a seed; BLAS has threads of its own"
    full, quick, each = 400, 10, 4e-3
    grid = (*threads(2, 4), SERIAL, *threads(8), *processes(), *process_threads(2, 4), *chunked(1, 4, 16))
    fn = staticmethod(product)

    def wrong(self, results: list[Any]) -> str | None:
        """BLAS may add up in another order in each run: the last digits differ."""
        near = [round(value, 1) for value in results[:2]]
        if len(results) == self.size and near == [round(product(at), 1) for at in range(len(near))]:
            return None
        return super().wrong(results)


class NumpySmall(Numeric):
    name = "numpy-small"
    what = "NumPy: some 24 operations on an array of 100 numbers"
    full, quick, each = 25_000, 500, 1e-4
    grid = (*processes(), SERIAL, *threads(2, 8), *process_threads(2, 8), *chunked(4, 16, 64, 256))
    fn = staticmethod(small_steps)


class LargeArrays(Workload):
    name = "large-arrays"
    what = "arrays of 4 MB in, a number out"
    full, quick, each = 2_000, 20, 1e-3
    grid = (*threads(2, 4, 8), SERIAL, *processes(), *process_threads(2, 4), *chunked(1, 4))
    fn = staticmethod(root_sum)

    @cached_property
    def arrays(self) -> list[np.ndarray]:
        return [np.random.default_rng(seed).random(1 << 19) for seed in range(7)]

    def items(self) -> list[np.ndarray]:
        return [self.arrays[x % len(self.arrays)] for x in range(self.size)]

    def expected(self) -> Iterable[Any]:
        known = [root_sum(array) for array in self.arrays]
        return [known[x % len(known)] for x in range(self.size)]
