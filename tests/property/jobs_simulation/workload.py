"""What is drawn from a seed: tasks, workers, clients, faults; and who does it over which store."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from plait.jobs.calendar import Every
from plait.jobs.records import Draft, Fan, Rule
from plait.jobs.schedules import Schedule
from plait.policy.retry import Retry
from tests.property.jobs_simulation.world import Faults

QUEUES = ("default", "media")
#: Ends the label of a job that kills its worker whenever it runs.
KILLER = b"!"
#: Everything happens, and often.
STORM = Faults(crash=0.03, stop=0.06, lose=0.06, away=0.006, slow=0.03, late=0.03)
#: How likely each is, where it is at all.
SHARES = Faults(crash=0.015, stop=0.03, lose=0.02, away=0.006, slow=0.02, late=0.01)


@dataclass(frozen=True)
class Task:
    """A task, and how its jobs behave.

    Parameters:
        seconds: what one takes, about. fails, snoozes, kills: shares of attempts, and of jobs.
        transactional: its jobs are settled in a transaction of their own.
    """

    name: str
    seconds: float
    slots: int
    fails: float
    snoozes: float
    kills: float
    retry: Retry
    rules: tuple[Rule, ...]
    keep: float
    transactional: bool


@dataclass(frozen=True)
class Case:
    """One simulated world.

    Parameters:
        seconds: until peace comes. most: jobs that a worker has at once. schedules: (seconds, missed) of each.
        path: where SQLite's file is to be; `None`: in memory.
    """

    seed: int
    seconds: float
    workers: int
    clients: int
    actions: int
    most: int
    tasks: tuple[Task, ...]
    faults: Faults
    skew: float
    schedules: tuple[tuple[float, str], ...]
    path: Path | None = None

    @property
    def rules(self) -> dict[str, tuple[Rule, ...]]:
        """The rules of each task."""
        return {task.name: task.rules for task in self.tasks}

    def declared(self) -> list[Schedule]:
        """Its schedules, as code declares them."""
        task: Any = SimpleNamespace(name=self.tasks[0].name)
        return [
            Schedule(f"every-{at}", f"{seconds}", task, Every(seconds), self._fired(at), missed, "queue")
            for at, (seconds, missed) in enumerate(self.schedules)
        ]

    def _fired(self, at: int) -> Draft:
        return Draft(task=self.tasks[0].name, args=b"schedule-%d" % at)


def drawn(seed: int, path: Path | None = None) -> Case:
    """The world of a seed."""
    draw = random.Random(f"plait {seed}")
    calm = draw.random() < 0.1
    scale = 0.0 if calm else draw.choice([0.5, 1.0, 2.0])
    faults = Faults(*(scale * draw.choice([0.0, 1.0, 1.0]) * share for share in SHARES))
    return Case(
        seed=seed,
        seconds=draw.choice([10.0, 30.0, 60.0]),
        workers=draw.randint(1, 5),
        clients=draw.randint(1, 3),
        actions=draw.choice([3, 6, 10]),
        most=draw.choice([1, 3, 10, 10_000]),
        tasks=tuple(_task(draw, f"t{at}") for at in range(draw.randint(1, 3))),
        faults=faults,
        skew=draw.choice([1.0, 1.5, 3.0]),
        schedules=tuple(
            (draw.choice([2.0, 5.0, 7.0]), draw.choice(["latest", "all"])) for _ in range(draw.choice([0, 0, 1, 2]))
        ),
        path=path if path is not None and seed % 8 == 0 else None,
    )


def _task(draw: random.Random, name: str) -> Task:
    rules = []
    if draw.random() < 0.4:
        rules.append(Rule(f"{name}:limit", cap=draw.randint(1, 3), keyed=draw.choice([None, 0])))
    if draw.random() < 0.3:
        keyed = draw.choice([None, 1 if rules and rules[0].keyed == 0 else 0])
        interval = draw.choice([0.25, 1.0, 2.0])
        rules.append(Rule(f"{name}:rate", interval=interval, burst=draw.choice([1.0, 2.0, 3.5]), keyed=keyed))
    return Task(
        name=name,
        seconds=draw.choice([0.005, 0.1, 0.1, 1.0, 1.0, 5.0, 5.0, 12.0]),
        slots=draw.randint(1, 4),
        fails=draw.choice([0.0, 0.1, 0.4]),
        snoozes=draw.choice([0.0, 0.0, 0.2]),
        kills=draw.choice([0.0, 0.0, 0.0, 0.1]),
        retry=Retry(draw.randint(0, 3), backoff=draw.choice([0.05, 1.0])),
        rules=tuple(rules),
        keep=draw.choice([86_400.0, 86_400.0, 0.0]),
        transactional=draw.random() < 0.15,
    )


class Drafts:
    """Makes jobs, each with a label of its own."""

    def __init__(self, case: Case, draw: random.Random) -> None:
        self._case, self._draw, self._count = case, draw, 0

    def _label(self, task: Task, kind: str) -> bytes:
        self._count += 1
        return b"%s%d%s" % (kind.encode(), self._count, KILLER if self._draw.random() < task.kills else b"")

    def job(self, kind: str = "j", *, plain: bool = False) -> Draft:
        """A job; `plain`: without a unique key, and without links that come after it."""
        draw = self._draw
        task = draw.choice(self._case.tasks)
        unique = None if plain or draw.random() < 0.8 else draw.choice("uvw")
        return Draft(
            task=task.name,
            args=self._label(task, kind),
            queue=draw.choice(QUEUES) if draw.random() < 0.3 else "default",
            priority=draw.choice([0, 0, 0, -1, 5]),
            delay=draw.random() * 10.0 if draw.random() < 0.2 else 0.0,
            unique=unique,
            keep_unique=draw.choice([0.0, 8.0]) if unique is not None else 0.0,
            key=draw.choice([None, "a", "b", "c"]),
            gates=tuple(draw.choice("xy") for rule in task.rules if rule.keyed is not None),
            then=() if plain else self._links(),
        )

    def _links(self) -> tuple[Draft, ...]:
        number = self._draw.randint(1, 3) if self._draw.random() < 0.15 else 0
        return tuple(self.job("link", plain=True) for _ in range(number))

    def group(self) -> tuple[list[Draft], Fan]:
        """A group, some of its parts chains, and what comes after it."""
        draw = self._draw
        total = draw.choice([0, 1, 2, 3, 5])
        parts = [self.job("part") for _ in range(total)]
        for part in parts:
            part.unique = draw.choice([None, "u"])
        then = self.job("then", plain=True) if draw.random() < 0.8 else None
        return parts, Fan(total=total, then=then)


def simpler(case: Case) -> Iterator[Case]:
    """Worlds in which less happens than in this one, the simplest first."""
    changes: list[dict[str, Any]] = [
        {"clients": 1}, {"actions": 1}, {"actions": case.actions // 2}, {"workers": 1}, {"workers": case.workers - 1},
        {"schedules": ()}, {"skew": 1.0}, {"seconds": 10.0}, {"tasks": case.tasks[:1]}, {"path": None},
        *({"faults": case.faults._replace(**{name: 0.0})} for name in case.faults._fields),
        {"tasks": tuple(replace(task, kills=0.0) for task in case.tasks)},
        {"tasks": tuple(replace(task, fails=0.0, snoozes=0.0) for task in case.tasks)},
        {"tasks": tuple(replace(task, rules=()) for task in case.tasks)},
    ]  # fmt: skip
    for change in changes:
        if change.get("workers", 1) >= 1 and change.get("actions", 1) >= 1:
            made = replace(case, **change)
            if made != case:
                yield made
