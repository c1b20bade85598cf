"""Items that only compute: from nothing at all to 40 ms of Python, and what the standard library's C code does."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from benchmarks.burn import MILLISECOND, burn, burnt
from benchmarks.fit.grid import SERIAL, chunked, process_threads, processes, threads
from benchmarks.fit.workload import Workload


def noop(x: int) -> int:
    return x


def tiny(x: int) -> int:
    return x + burn(130)


def one_millisecond(x: int) -> int:
    return x + burn(MILLISECOND)


def forty_milliseconds(x: int) -> int:
    return x + burn(40 * MILLISECOND)


def two_milliseconds(x: int) -> int:
    return x + burn(2 * MILLISECOND)


def so_many_rounds(item: tuple[int, int]) -> int:
    x, rounds = item
    return x + burn(rounds)


def digest(block: bytes) -> str:
    return hashlib.sha256(block).hexdigest()


def compressed(text: bytes) -> tuple[int, int]:
    packed = zlib.compress(text)
    return len(packed), zlib.crc32(packed)


def summary(document: str) -> tuple[int, float, str]:
    """What a program typically does with a document: parse it, look at every record, keep a little."""
    data = json.loads(document)
    total = sum(record["price"] * record["count"] for record in data["records"])
    return data["id"], round(total, 6), max(record["name"] for record in data["records"])


class NoOps(Workload):
    name = "no-ops"
    what = "no-ops: the function returns its argument"
    full, quick, each = 1_000_000, 20_000, 1e-7
    grid = (SERIAL, *threads(2, 8), *processes(), *process_threads(4), *chunked(64, 1024))
    fn = staticmethod(noop)

    def expected(self) -> Iterable[Any]:
        return range(self.size)


class TinyPython(Workload):
    name = "tiny-python"
    what = "pure Python of 5 us"
    full, quick, each = 300_000, 5_000, 5e-6
    grid = (SERIAL, *processes(), *threads(2, 8), *process_threads(2, 8), *chunked(16, 64, 256, 1024))
    fn = staticmethod(tiny)

    def expected(self) -> Iterable[Any]:
        return range(burnt(130), burnt(130) + self.size)


class PythonMillisecond(Workload):
    name = "python-1ms"
    what = "pure Python of 1 ms"
    full, quick, each = 3_000, 60, 1e-3
    grid = (*processes(), SERIAL, *processes(1, 4), *threads(2, 8), *process_threads(2, 8), *chunked(1, 4, 16, 64))
    fn = staticmethod(one_millisecond)

    def expected(self) -> Iterable[Any]:
        return range(burnt(MILLISECOND), burnt(MILLISECOND) + self.size)


class PythonFortyMilliseconds(Workload):
    name = "python-40ms"
    what = "pure Python of 40 ms"
    full, quick, each = 80, 6, 40e-3
    grid = (*processes(), SERIAL, *processes(1, 4), *threads(2, 8), *process_threads(2, 8), *chunked(1, 4))
    fn = staticmethod(forty_milliseconds)

    def expected(self) -> Iterable[Any]:
        return range(burnt(40 * MILLISECOND), burnt(40 * MILLISECOND) + self.size)


class Dozen(Workload):
    name = "a-dozen"
    what = "a dozen items of 2 ms: the whole job is short"
    full, quick, each = 12, 12, 2e-3
    grid = (SERIAL, *threads(2, 4), *processes(), *process_threads(2), *chunked(1, 4))
    fn = staticmethod(two_milliseconds)

    def expected(self) -> Iterable[Any]:
        return range(burnt(2 * MILLISECOND), burnt(2 * MILLISECOND) + self.size)


class Skewed(Workload):
    name = "skewed"
    what = "pure Python of 2 ms, and at the end eight heavy items of 200 ms"
    full, quick, each = 600, 30, 2e-3
    grid = (*processes(), SERIAL, *processes(4), *threads(2, 8), *process_threads(2, 4), *chunked(1, 4, 16, 64))
    fn = staticmethod(so_many_rounds)

    def items(self) -> list[tuple[int, int]]:
        light, heavy = 2 * MILLISECOND, (200 if self.size == self.full else 20) * MILLISECOND
        return [(x, heavy if x >= self.size - 8 else light) for x in range(self.size)]

    def expected(self) -> Iterable[Any]:
        return [x + burnt(rounds) for x, rounds in self.items()]


class Sha256(Workload):
    name = "sha256"
    what = "SHA-256 of blocks of 1 MB, handed over as bytes"
    full, quick, each = 3_000, 60, 6e-4
    grid = (*threads(2, 4, 8, 16), SERIAL, *processes(), *process_threads(2, 4), *chunked(1, 16))
    fn = staticmethod(digest)

    @cached_property
    def blocks(self) -> list[bytes]:
        return [random.Random(seed).randbytes(1_000_000) for seed in range(17)]

    def items(self) -> list[bytes]:
        return [self.blocks[x % len(self.blocks)] for x in range(self.size)]

    def expected(self) -> Iterable[Any]:
        known = [digest(block) for block in self.blocks]
        return [known[x % len(known)] for x in range(self.size)]


class Zlib(Workload):
    name = "zlib"
    what = "zlib of 200 KB of text, handed over as bytes"
    full, quick, each = 500, 20, 5e-3
    grid = (*threads(2, 4, 8, 16), SERIAL, *processes(), *process_threads(2, 4), *chunked(1, 4, 16))
    fn = staticmethod(compressed)

    @cached_property
    def texts(self) -> list[bytes]:
        draw = random.Random(7)
        words = [bytes(draw.choices(b"abcdefghijklmnop", k=draw.randint(2, 9))) for _ in range(2000)]
        return [b" ".join(draw.choices(words, k=36_000))[:200_000] for _ in range(13)]

    def items(self) -> list[bytes]:
        return [self.texts[x % len(self.texts)] for x in range(self.size)]

    def expected(self) -> Iterable[Any]:
        known = [compressed(text) for text in self.texts]
        return [known[x % len(known)] for x in range(self.size)]


class Json(Workload):
    name = "json"
    what = "parsing JSON documents of 2 to 20 KB and adding up their records"
    full, quick, each = 20_000, 400, 1e-4
    grid = (SERIAL, *processes(), *threads(2, 8), *process_threads(2, 8), *chunked(4, 16, 64, 256))
    fn = staticmethod(summary)

    @cached_property
    def documents(self) -> list[str]:
        draw = random.Random(11)
        return [self._document(number, draw) for number in range(211)]

    @staticmethod
    def _document(number: int, draw: random.Random) -> str:
        records = [
            {
                "name": f"article {draw.randrange(10**6)}",
                "price": draw.randrange(10**4) / 100,
                "count": draw.randrange(9),
                "tags": [f"tag{draw.randrange(50)}" for _ in range(draw.randrange(5))],
            }
            for _ in range(draw.randint(22, 210))
        ]
        return json.dumps({"id": number, "records": records})

    def items(self) -> list[str]:
        return [self.documents[x % len(self.documents)] for x in range(self.size)]

    def expected(self) -> Iterable[Any]:
        known = [summary(document) for document in self.documents]
        return [known[x % len(known)] for x in range(self.size)]


class Lambda(Workload):
    name = "lambda"
    what = "a lambda: pure Python of 1 ms that no worker can import by its name"
    full, quick, each = 3_000, 60, 1e-3
    grid = (*processes(), SERIAL, *processes(1, 4), *threads(2, 8), *process_threads(2, 8))

    @cached_property
    def fn(self) -> Callable[[int], int]:  # type: ignore[override]
        return lambda x: x + burn(MILLISECOND)

    def expected(self) -> Iterable[Any]:
        return range(burnt(MILLISECOND), burnt(MILLISECOND) + self.size)
