"""The two steps: the grid finds the oracle, then the oracle and auto take turns; and what else is measured of auto."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.fit.grid import AUTO, Spec, label
from benchmarks.fit.processes import run_cell
from benchmarks.fit.results import Results, code_version
from benchmarks.fit.workload import Workload
from benchmarks.fit.workloads import find

__all__ = ["Plan", "measure"]

#: Seconds that a cell may take where nothing is known yet; below `SHORT` a cell of the grid is run twice.
UNKNOWN, SHORT = 120.0, 1.0
#: A cell of the grid, or a peer, may take this many times the best, and some seconds: it is too slow then.
SLOWER, MORE = 4.0, 5.0
#: Auto gets more time in the pairs: its figure is wanted however bad it is.
AUTO_SLOWER, AUTO_MORE = 20.0, 30.0


@dataclass(frozen=True)
class Plan:
    """What a session measures.

    Parameters:
        pairs: rounds in which the oracle and auto take turns. peers: they take turns with both.
        stability: how often auto is run to see what it chooses (the pairs count).
        chunks: cells with a chunk size, which only peers have, may be the oracle.
        regrid: measure the grid anew, too. again: and the pairs, though they are of the same code.
        condition: `quiet` or `load`.
    """

    pairs: int
    peers: bool
    stability: int
    chunks: bool
    quick: bool
    regrid: bool
    again: bool
    condition: str


@dataclass
class Session:
    """One workload under one plan."""

    kind: type[Workload]
    plan: Plan
    results: Results
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        items = self.kind.quick if self.plan.quick else self.kind.full
        self.known = self.results.condition(self.kind.name, items, self.plan.condition)

    def run(self, spec: Spec, limit: float, about: str) -> dict[str, Any]:
        """One cell."""
        self.say(f"{self.kind.name}: {label(spec)} ({about})")
        return run_cell(self.kind.name, spec, self.plan.quick, limit)

    # --- step 1 -----------------------------------------------------------------------------------------------------

    def grid(self) -> str | None:
        """Measure what is missing of the grid. Returns why the workload cannot be measured, or `None`."""
        if self.plan.regrid:
            self.known.pop("grid", None)
        grid = self.known.setdefault("grid", {})
        for place, spec in enumerate(self.kind.grid, 1):
            if _known(grid.get(label(spec))):
                continue
            best = min((min(cell["seconds"]) for cell in grid.values() if cell["seconds"]), default=math.inf)
            limit = min(UNKNOWN, SLOWER * best + MORE)
            cell: dict[str, Any] = {"spec": spec, "seconds": [], "code": code_version()}
            for _ in range(2):
                outcome = self.run(spec, limit, f"grid {place} of {len(self.kind.grid)}")
                if "skipped" in outcome:
                    self.known["skipped"] = outcome["skipped"]
                    return str(outcome["skipped"])
                if (note := fault(outcome)) is not None:
                    cell |= {"note": note, "seconds": [], "slow": "slow" in outcome}
                    break
                cell["seconds"].append(outcome["seconds"])
                cell["cpu"] = outcome["cpu"]
                if outcome["seconds"] >= SHORT:
                    break
            grid[label(spec)] = cell
            self.results.save()
        self.known.pop("skipped", None)
        self.known["oracle"] = self._oracle()
        return None if self.known["oracle"] else "no cell of the grid gave a right answer"

    def _oracle(self) -> str | None:
        """The best cell of the grid as it is defined now."""
        grid, now = self.known["grid"], {label(spec) for spec in self.kind.grid}
        fit = {
            name: min(cell["seconds"])
            for name, cell in grid.items()
            if cell["seconds"] and name in now and (self.plan.chunks or "chunk" not in cell["spec"])
        }
        return min(fit, key=fit.__getitem__, default=None)

    # --- step 2 -----------------------------------------------------------------------------------------------------

    def pairs(self) -> None:
        """Rounds of the oracle, auto and, where wanted, the peers, taking turns: forwards, then backwards."""
        oracle = self.known["oracle"]
        pairs, same = self.known.get("pairs", {}), {"code": code_version(), "oracle": oracle}
        stale = any(pairs.get(key) != value for key, value in same.items())
        if stale or self.plan.again or (self.plan.peers and not pairs["peers"]):
            pairs = self.known["pairs"] = {**same, "peers": self.plan.peers, "rounds": [], "dropped": {}}
        cell = self.known["grid"][oracle]
        lineup: dict[str, Spec] = {"oracle": cell["spec"], AUTO: AUTO}
        lineup |= {name: {"peer": name} for name in self.kind.peers if pairs["peers"]}
        for number in range(len(pairs["rounds"]), self.plan.pairs):
            order = [name for name in lineup if name not in pairs["dropped"]]
            outcomes = {}
            for name in order if number % 2 == 0 else reversed(order):
                slower, more = (AUTO_SLOWER, AUTO_MORE) if name in ("oracle", AUTO) else (SLOWER, MORE)
                limit = slower * min(cell["seconds"]) + more
                outcome = outcomes[name] = self.run(lineup[name], limit, f"round {number + 1} of {self.plan.pairs}")
                if name not in ("oracle", AUTO) and (note := fault(outcome)) is not None:
                    pairs["dropped"][name] = note
            pairs["rounds"].append(outcomes)
            self.results.save()

    def stability(self) -> None:
        """The models that auto chose in its first runs."""
        pairs, wanted, code = self.known.get("pairs", {}), self.plan.stability, code_version()
        known = self.known.get("stability", {})
        if known.get("code") != code or self.plan.again:
            known = self.known["stability"] = {"code": code, "models": []}
            if pairs.get("code") == code:
                known["models"] = [turn[AUTO].get("model") for turn in pairs["rounds"]]
        limit = AUTO_SLOWER * min(self.known["grid"][self.known["oracle"]]["seconds"]) + AUTO_MORE
        while len(known["models"]) < wanted:
            about = f"choice {len(known['models']) + 1} of {wanted}"
            known["models"].append(self.run(AUTO, limit, about).get("model"))
            self.results.save()
        self.results.save()


def _known(cell: dict[str, Any] | None) -> bool:
    """Whether a cell of the grid needs no measuring: an error may be gone in another version of the code."""
    return cell is not None and bool(cell["seconds"] or cell.get("slow") or cell["code"] == code_version())


def fault(outcome: dict[str, Any]) -> str | None:
    """Why a cell has no figure that counts, in words, or `None`."""
    if "slow" in outcome:
        return f"too slow (over {outcome['slow']:.3g} s)"
    if outcome.get("wrong"):
        return f"wrong: {outcome['wrong']}"
    return outcome.get("error")


def measure(name: str, plan: Plan, results: Results, say: Callable[[str], None]) -> str | None:
    """Measure what the plan asks of one workload. Returns why that was not possible, or `None`."""
    session = Session(find(name), plan, results, say)
    why_not = session.grid()
    if why_not is None:
        if plan.pairs:
            session.pairs()
        if plan.stability:
            session.stability()
    results.save()
    return why_not
