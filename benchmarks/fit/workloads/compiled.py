"""A small C++ extension, built on the spot, that computes for 3 ms: once with the GIL held, once without it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.fit.grid import SERIAL, chunked, process_threads, processes, threads
from benchmarks.fit.workload import Unavailable, Workload

SOURCE = r"""
#include <cstdint>
extern "C" int64_t compute(int64_t x, int64_t rounds) {
    volatile uint64_t state = 88172645463325252ULL;
    for (int64_t round = 0; round < rounds; ++round) {
        uint64_t word = state;
        word ^= word << 13; word ^= word >> 7; word ^= word << 17;
        state = word;
    }
    return x + static_cast<int64_t>(state % 1000);
}
"""
#: Rounds that take about 3 ms on the machines of today.
ROUNDS = 1_200_000
#: Where workers find the library.
LIBRARY = "PLAIT_FIT_LIBRARY"


@cache
def _compute(kind: type[ctypes.CDLL]) -> Any:
    """The compiled function: through `PyDLL` a call holds the GIL, through `CDLL` it lets it go."""
    function = kind(os.environ[LIBRARY]).compute
    function.argtypes, function.restype = (ctypes.c_int64, ctypes.c_int64), ctypes.c_int64
    return function


def holding(x: int) -> int:
    return _compute(ctypes.PyDLL)(x, ROUNDS)


def releasing(x: int) -> int:
    return _compute(ctypes.CDLL)(x, ROUNDS)


class Compiled(Workload):
    """Builds the extension with the system's compiler."""

    @contextmanager
    def setting(self) -> Iterator[None]:
        compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
        if compiler is None:
            raise Unavailable("there is no C++ compiler: none of c++, g++, clang++ was found")
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder) / "compute.cpp", Path(folder) / "compute.so"
            source.write_text(SOURCE)
            command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source)]
            built = subprocess.run(command, capture_output=True, text=True, check=False)
            if built.returncode:
                raise Unavailable(f"the C++ compiler failed: {built.stderr.strip().splitlines()[-1:]}")
            os.environ[LIBRARY] = str(library)
            self.offset = releasing(0)
            yield

    def expected(self) -> Iterable[Any]:
        return range(self.offset, self.offset + self.size)


class ExtensionHeld(Compiled):
    name = "extension-held"
    what = "a C++ extension that computes for 3 ms and holds the GIL"
    full, quick, each = 1_000, 30, 3e-3
    grid = (*processes(), SERIAL, *processes(1, 4), *threads(2, 8), *process_threads(2, 4), *chunked(1, 4, 16, 64))
    fn = staticmethod(holding)


class ExtensionReleased(Compiled):
    name = "extension-released"
    what = "a C++ extension that computes for 3 ms without the GIL"
    full, quick, each = 1_000, 30, 3e-3
    grid = (*threads(2, 4, 8, 16), SERIAL, *processes(), *process_threads(2, 4), *chunked(1, 4, 16, 64))
    fn = staticmethod(releasing)
