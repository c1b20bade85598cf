"""What has happened in a simulated world, in order; and how it is told when something is wrong."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from plait.jobs.protocol import Event
from plait.jobs.records import Claimed, Draft, Outcome, Placed, Turn

#: Facts that are shown of a history that went wrong: the last ones that have to do with it.
SHOWN = 60


class Broken(AssertionError):
    """A rule does not hold.

    Parameters:
        rule: its name. jobs: those that it is about.
    """

    def __init__(self, rule: str, what: str, jobs: Collection[int] = ()) -> None:
        self.rule, self.what, self.jobs = rule, what, frozenset(jobs)
        super().__init__(f"{rule}: {what}")


class Fact(NamedTuple):
    """At a time, somebody did something."""

    at: float
    who: str
    what: str
    said: tuple[Any, ...] = ()
    answer: Any = None


class History:
    """All facts. They are put into words only when somebody asks."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def add(self, at: float, who: str, what: str, said: tuple[Any, ...] = (), answer: Any = None) -> None:
        """Something happened."""
        self.facts.append(Fact(at, who, what, said, answer))

    def around(self, broken: Broken) -> str:
        """The last facts that have to do with what is wrong, and faults among them."""
        chosen = [
            fact
            for fact in self.facts
            if not broken.jobs or _jobs(fact) & broken.jobs or fact.what in ("crashes", "stops", "store is away")
        ]
        start = self.facts[0].at if self.facts else 0.0
        lines = [f"{fact.at - start:9.3f}  {fact.who:<9} {in_words(fact, broken.jobs)}" for fact in chosen[-SHOWN:]]
        return "\n".join([f"({len(self.facts)} facts; the last {len(lines)} that have to do with it)", *lines])


def _jobs(fact: Fact) -> set[int]:
    found: set[int] = set()
    for said in (*fact.said, fact.answer):
        found |= _ids(said)
    return found


def _ids(said: Any) -> set[int]:
    if isinstance(said, Outcome | Claimed | Placed):
        return {said.id}
    if isinstance(said, Turn):
        return _ids(said.claimed)
    if isinstance(said, list | tuple | dict):
        return {job for part in said for job in _ids(part)} | {part for part in said if type(part) is int}
    return set()


def in_words(fact: Fact, only: Collection[int] = ()) -> str:
    """One line for a fact; of a turn, what has to do with `only`."""
    if fact.what == "turn":
        worker, outcomes = fact.said[:2]
        answer = fact.answer if isinstance(fact.answer, Turn) else Turn()
        settled = [
            f"{_outcome(outcome)}{' REFUSED' if at in answer.refused else ''}"
            for at, outcome in enumerate(outcomes)
            if not only or outcome.id in only
        ]
        claimed = [_claimed(job) for job in answer.claimed if not only or job.id in only]
        what = f"turn of worker {worker}:"
        what += f" settles {', '.join(settled)};" if settled else ""
        return what + (f" claims {', '.join(claimed)}" if claimed else " claims nothing of it")
    if fact.what == "enqueue":
        placed = fact.answer[0] if fact.answer is not None else ()
        return f"enqueues {', '.join(f'{p.id}={_draft(d)}' for d, p in zip(fact.said[0], placed, strict=False))}"
    said = ", ".join(_short(part) for part in fact.said)
    return f"{fact.what}({said})" + (f" -> {_short(fact.answer)}" if fact.answer is not None else "")


def _outcome(outcome: Outcome) -> str:
    delay = f" in {outcome.delay:.2f} s" if outcome.event in (Event.RETRY, Event.SNOOZE) else ""
    return f"{outcome.id}/{outcome.token} {outcome.event.value}{delay}"


def _claimed(job: Claimed) -> str:
    return f"{job.id}/{job.token} attempt {job.attempt}, crashes {job.crashes}"


def _draft(draft: Draft) -> str:
    return f"{draft.args.decode()}:{draft.task}" + "".join(
        f" {name}={value}"
        for name in ("queue", "priority", "delay", "unique", "keep_unique", "key", "gates")
        if (value := getattr(draft, name)) not in ("default", 0, 0.0, None, ())
    )


def _short(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) <= 160 else text[:160] + "..."
