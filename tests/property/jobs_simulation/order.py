"""Whether claims come in order: priorities, turns of keys, first come first served; and no limit or rate is passed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from plait.jobs.protocol import State
from plait.jobs.records import Claimed, Rule, Want
from tests.property.jobs_simulation.history import Broken
from tests.property.jobs_simulation.lives import Life

_Gate = tuple[str, str]


class Order:
    """What was claimed, when, and before whom.

    Parameters:
        rules: of each task.
    """

    def __init__(self, rules: Mapping[str, tuple[Rule, ...]]) -> None:
        self._rules = rules
        self._begun: dict[_Gate, list[float]] = defaultdict(list)

    def _gates(self, life: Life) -> list[tuple[Rule, _Gate]]:
        gates = life.draft.gates
        return [
            (rule, (rule.name, "" if rule.keyed is None else gates[rule.keyed]))
            for rule in self._rules[life.draft.task]
            if rule.keyed is None or rule.keyed < len(gates)
        ]

    def _plain(self, task: str) -> bool:
        """Whether nothing holds jobs of a task out of the way of the others."""
        return all(rule.keyed is None for rule in self._rules[task])

    def born(self, life: Life, lives: Iterable[Life]) -> None:
        """A job is new: those of its key that were never claimed are before it."""
        if life.draft.key is not None:
            life.ahead = sum(
                other.claims == 0 and other.lane == life.lane and other.draft.key == life.draft.key for other in lives
            )

    def claimed(
        self,
        lives: Mapping[int, Life],
        jobs: Sequence[Claimed],
        wants: Sequence[Want],
        paused: Collection[str],
        queues: Collection[str],
        most: int,
        now: float,
    ) -> None:
        """A worker was given `jobs`; as far as `lives` know, they wait still."""
        got = {job.id: at for at, job in enumerate(jobs)}
        if len(got) < len(jobs) or len(got) > most:
            raise Broken("claims", f"{sorted(job.id for job in jobs)} were claimed, of {most} at most", list(got))
        wanted = set()
        for want in wants:
            mine = [
                life
                for life in lives.values()
                if life.state is State.WAITING
                and life.draft.task == want.task
                and (life.crashes > 0) is want.alone
                and life.draft.queue not in paused
                and (not queues or life.draft.queue in queues)
            ]
            taken = [life for life in mine if life.id in got]
            wanted |= {life.id for life in taken}
            self._in_order(want, taken, [life for life in mine if life.id not in got], len(jobs) >= most)
            served: set[int] = set()
            for life in sorted(taken, key=lambda life: got[life.id]):
                self._passes(life, lives.values(), now, served)
                served.add(life.id)
        if wrong := got.keys() - wanted:
            said = [f"{lives[job].name} ({lives[job].state})" for job in sorted(wrong)]
            raise Broken("claims", f"{said} were claimed: not waiting, not wanted, or of a paused queue", wrong)

    def _in_order(self, want: Want, taken: Sequence[Life], left: Sequence[Life], full: bool) -> None:
        if len(taken) > want.count:
            raise Broken("claims", f"{len(taken)} of {want} were claimed", [life.id for life in taken])
        if not self._plain(want.task):
            return
        if not want.rules and not full and left and len(taken) < want.count:
            ids = [life.id for life in left]
            raise Broken("claims", f"{ids} wait for {want}, and {len(taken)} were claimed", ids)
        for life in taken:
            for other in left:
                if other.draft.priority > life.draft.priority:
                    what = f"{life.name} was claimed before {other.name}, which has a higher priority"
                    raise Broken("priority", what, [life.id, other.id])
                same = life.lane == other.lane and life.draft.key == other.draft.key
                plain = not want.alone and life.claims == other.claims == 0 and life.prompt and other.prompt
                if same and plain and other.id < life.id:
                    what = f"{life.name} was claimed before {other.name}, which came earlier"
                    raise Broken("first come", what, [life.id, other.id])

    def _passes(self, life: Life, lives: Iterable[Life], now: float, served: Collection[int]) -> None:
        for rule, gate in self._gates(life):
            if rule.interval:
                self._paced(rule, gate, life, now)
        if life.draft.key is None or life.claims or not life.prompt or life.crashes or not self._plain(life.draft.task):
            return
        for other in lives:
            waits = other.state is State.WAITING and other.id not in served and other.prompt and not other.claims
            if waits and other.lane == life.lane and other.draft.key not in (None, life.draft.key):
                passed = other.passed[life.draft.key] = other.passed.get(life.draft.key, 0) + 1
                if passed > other.ahead + 2:
                    what = f"{passed} jobs of {life.draft.key!r} came before {other.name}, with {other.ahead} ahead"
                    raise Broken("fairness", what, [life.id, other.id])

    def _paced(self, rule: Rule, gate: _Gate, life: Life, now: float) -> None:
        begun = self._begun[gate]
        begun.append(now)
        for at, since in enumerate(begun):
            if len(begun) - at > rule.burst + (now - since) / rule.interval + 1e-6:
                what = f"{len(begun) - at} jobs of {gate} began within {now - since:.3f} s: {rule}"
                raise Broken("rates", what, [life.id])

    def limits(self, lives: Iterable[Life]) -> None:
        """No more run than may."""
        running: dict[_Gate, list[int]] = defaultdict(list)
        for life in lives:
            if life.state is State.RUNNING:
                for rule, gate in self._gates(life):
                    if rule.cap:
                        running[gate].append(life.id)
                        if len(running[gate]) > rule.cap:
                            raise Broken("limits", f"{running[gate]} run at once: {rule}", running[gate])
