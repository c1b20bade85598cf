"""What a type checker says of what people write: the function's own parameters and results, wherever it goes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# `# E: text` at a line's end: an error there that says so. `# R: type`: the type that is revealed there.
SAMPLE = """
from __future__ import annotations

from typing import Any

import plait
from plait.jobs import Job, JobTask

jobs = plait.Jobs("memory://")


@jobs.task(retries=5, queue="media")
def thumbnail(path: str, size: int = 64) -> bytes:
    return b""


@jobs.task
async def fetch(url: str, *, timeout: float = 1.0) -> str:
    return url


@jobs.task(transactional=True)
def transfer(connection: Any, cents: int) -> int:
    return cents


@jobs.task
def bundle(pictures: list[bytes], name: str) -> int:
    return len(pictures)


reveal_type(thumbnail("a"))  # R: bytes
reveal_type(thumbnail.enqueue("a"))  # R: Job[bytes]
reveal_type(thumbnail.enqueue("a", size=3).result(timeout=1))  # R: bytes
reveal_type(fetch.enqueue("a").result())  # R: str
reveal_type(thumbnail.with_(delay=3, key="a").enqueue("a").result())  # R: bytes
reveal_type(fetch.with_(priority=1).enqueue("a", timeout=2.0).result())  # R: str
reveal_type(thumbnail.enqueue_many([("a",), {"path": "b"}]))  # R: list[Job[bytes]]
reveal_type(fetch.enqueue_many(fetch.draft(url) for url in "ab"))  # R: list[Job[str]]
reveal_type(transfer.enqueue(500).result())  # R: int

thumbnail.enqueue(1)  # E: "enqueue" of "JobTask"
thumbnail.enqueue()  # E: "enqueue" of "JobTask"
thumbnail.enqueue("a", sice=3)  # E: "enqueue" of "JobTask"
thumbnail.with_(delay=3).enqueue(b"a")  # E: "enqueue" of "JobTask"
thumbnail.with_(delays=3)  # E: Unexpected keyword argument "delays"
thumbnail.with_(delay="3")  # E: incompatible type "str"; expected "float"
fetch.enqueue(1)  # E: "enqueue" of "JobTask"
transfer.enqueue(None, 500)  # E: "enqueue" of "JobTask"
thumbnail.draft(b"a")  # E: "draft" of "JobTask"
fetch.draft("a", timeout="1")  # E: "draft" of "JobTask"
jobs.task(retrys=3)  # E: "task" of "Jobs"

jobs.group([thumbnail.draft("a"), thumbnail.draft("b", 3)], then=bundle.draft("name"))
jobs.group([thumbnail.draft("a")], then=bundle.draft(3))  # E: "draft" of "JobTask"
jobs.chain(fetch.draft("a"), thumbnail.draft(size=3))


async def main() -> None:
    reveal_type(await fetch("a"))  # R: str
    reveal_type(await fetch.enqueue_async("a"))  # R: Job[str]
    reveal_type(await (await thumbnail.enqueue_async("a")).aresult(1.0))  # R: bytes
    await fetch.enqueue_async(1)  # E: "enqueue_async" of "JobTask"


def keep(task: JobTask[[str], str], job: Job[bytes]) -> None:
    job.result().decode()
    job.cancel().upper()
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[str]]:
    """What mypy says of the sample, by line."""
    folder = tmp_path_factory.mktemp("typing")
    (folder / "sample.py").write_text(SAMPLE)
    (folder / "mypy.ini").write_text("[mypy]\nstrict = True\n")
    source = Path(__file__).parents[3] / "src"
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--no-pretty", "sample.py"]
    done = subprocess.run(
        command, cwd=folder, env={"MYPYPATH": str(source)}, capture_output=True, text=True, timeout=300, check=False
    )
    assert not done.stderr, done.stderr
    found: dict[int, list[str]] = {}
    for file, line, what in re.findall(r"^(.*?):(\d+): (?:error|note): (.*)$", done.stdout, re.MULTILINE):
        if file == "sample.py":
            found.setdefault(int(line), []).append(what)
    return found


def expected(mark: str) -> list[tuple[int, str]]:
    lines = enumerate(SAMPLE.splitlines(), 1)
    return [(at, line.partition(f"  # {mark}: ")[2]) for at, line in lines if f"  # {mark}: " in line]


pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("mypy", path=str(Path(sys.executable).parent)) is None, reason="mypy is not here"),
]


def test_types_follow_from_the_function(said: dict[int, list[str]]) -> None:
    for line, kind in expected("R"):
        revealed = [what for what in said.get(line, []) if what.startswith("Revealed type")]
        plain = [re.sub(r"(\w+\.)+|[\"]", "", what).removeprefix("Revealed type is ") for what in revealed]
        assert plain == [kind], f"line {line}: {said.get(line)}"


def test_what_does_not_fit_is_an_error(said: dict[int, list[str]]) -> None:
    for line, words in expected("E"):
        assert any(words in what for what in said.get(line, [])), f"line {line}: {said.get(line)}"


def test_nothing_else_is_an_error(said: dict[int, list[str]]) -> None:
    known = {line for mark in "ER" for line, _ in expected(mark)}
    assert {line: what for line, what in said.items() if line not in known} == {}
