"""A module as users write it: a queue and its tasks. Where its store is comes from the environment."""

import asyncio
import datetime as dt
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plait
from plait.jobs import current

jobs = plait.Jobs(os.environ.get("DESK", "memory://"))


@dataclass
class Picture:
    path: str
    size: int = 64


@jobs.task
def thumbnail(path: str, size: int = 64) -> Picture:
    return Picture(path, size)


@jobs.task(retries=0)
async def fetch(url: str) -> str:
    await asyncio.sleep(0)
    return url.upper()


@jobs.task
def fails(what: str) -> None:
    raise ValueError(what)


@jobs.task
def bundle(pictures: list[Picture], name: str = "all") -> str:
    return f"{name}: " + " ".join(f"{picture.path}@{picture.size}" for picture in pictures)


@jobs.task(retries=5)
def total(numbers: list[Any]) -> int:
    return sum(number for number in numbers if number)


@jobs.task
def double(number: int) -> int:
    return 2 * number


@jobs.task
def until_file(path: Path, seconds: float = 60.0) -> int:
    """Runs until there is a file."""
    ends = time.monotonic() + seconds
    current().progress(0.5, "half of it")
    while not path.exists() and time.monotonic() < ends:
        time.sleep(0.01)
    return os.getpid()


@jobs.task
def tomorrow(day: dt.date) -> dt.date:
    return day + dt.timedelta(days=1)


@jobs.task(resources={"session": lambda: {"prefix": "got "}})
def with_session(url: str, session: dict[str, str]) -> str:
    return session["prefix"] + url


@jobs.task
def hands_on(url: str) -> int:
    """Enqueues another job."""
    return fetch.enqueue(url).id


@jobs.task
def hands(picture: Picture, width: int) -> str:
    return f"{picture.path} {width}"


@jobs.task
def idle() -> None: ...


@jobs.task
def shows(what: Any = "nothing was given") -> str:
    return repr(what)
