"""What the results come to: ratios, the fastest peer, stability, the time to decide; and the targets, met or missed."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.fit.grid import AUTO
from benchmarks.fit.workloads import NAMES, find

__all__ = ["Line", "Target", "lines", "targets"]

GEOMEAN, WORST, AGAINST_PEERS, GEOMEAN_LOADED = 0.95, 0.80, 0.95, 0.90
STABLE, STABLE_WORKLOADS = 0.9, 22 / 24
DECIDED = 0.150
#: Decision time is judged where items take less than this many seconds.
SHORT_ITEM = 0.010


@dataclass(frozen=True)
class Line:
    """One workload under one condition. Figures are `None` where nothing was measured.

    Parameters:
        ratio: median over the rounds of the oracle's time over auto's: above 1, auto is better.
        wrong: what was wrong with results of auto, or why it had none.
        peer, against_peer: the fastest of the peers, and the median of its time over auto's.
        decided: median seconds until auto had changed its model for the last time, where that is judged.
        stable: share of the runs in which auto chose its most frequent model. chosen: models and how often.
    """

    name: str
    what: str
    items: int
    grid: Mapping[str, dict[str, Any]]
    skipped: str | None = None
    oracle: str | None = None
    oracle_seconds: float | None = None
    auto_seconds: float | None = None
    ratio: float | None = None
    wrong: str | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    peer: str | None = None
    against_peer: float | None = None
    decided: float | None = None
    stable: float | None = None
    chosen: Mapping[str, int] = field(default_factory=dict)
    placements: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    explained: str = ""
    rounds: int = 0
    code: str | None = None


@dataclass(frozen=True)
class Target:
    """One target: what is asked, the figure, and whether it is met (`None`: not measured)."""

    what: str
    asked: str
    figure: str
    met: bool | None


def lines(workloads: Mapping[str, dict[str, Any]], condition: str) -> list[Line]:
    """A line for each workload that was measured under the condition, in the order of the families."""
    return [_line(name, workloads[name], condition) for name in NAMES if condition in workloads.get(name, {})]


def _line(name: str, entry: dict[str, Any], condition: str) -> Line:
    kind, known = find(name), entry[condition]
    parts: dict[str, Any] = {"skipped": known.get("skipped"), "oracle": known.get("oracle")}
    pairs = known.get("pairs", {})
    rounds = pairs.get("rounds", [])
    if rounds:
        parts |= _compared(rounds) | _peers(rounds) | _told(rounds)
        parts |= {"dropped": pairs["dropped"], "rounds": len(rounds), "code": pairs["code"]}
        decided = [turn[AUTO]["decided"] for turn in rounds if turn[AUTO].get("decided") is not None]
        if decided and kind.each < SHORT_ITEM and not kind.drifts:
            parts["decided"] = statistics.median(decided)
    models = [model or "no answer" for model in known.get("stability", {}).get("models", [])]
    if models:
        chosen = Counter(models)
        parts |= {"chosen": dict(chosen.most_common()), "stable": chosen.most_common(1)[0][1] / len(models)}
    return Line(name, kind.what, entry["items"], known.get("grid", {}), **parts)


def _compared(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Oracle and auto. An answer that is wrong is worth nothing; one that took too long, what it took so far."""
    ratios, wrong = [], None
    for turn in rounds:
        oracle, auto = turn["oracle"], turn[AUTO]
        wrong = wrong or auto.get("wrong") or auto.get("error") or ("slow" in auto and "too slow") or None
        if "seconds" not in oracle:
            continue
        bad = auto.get("wrong") or "error" in auto
        ratios.append(0.0 if bad else oracle["seconds"] / auto.get("seconds", auto.get("slow", math.inf)))
    return {
        "ratio": statistics.median(ratios) if ratios else None,
        "oracle_seconds": _median(rounds, "oracle"),
        "auto_seconds": _median(rounds, AUTO),
        "wrong": wrong,
    }


def _median(rounds: list[dict[str, Any]], who: str) -> float | None:
    seconds = [turn[who]["seconds"] for turn in rounds if "seconds" in turn.get(who, {})]
    return statistics.median(seconds) if seconds else None


def _peers(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The peers that were right and quick enough in every round, and auto against the fastest of them."""
    names = [name for name in rounds[0] if name not in ("oracle", AUTO)]
    full = [name for name in names if all(_counts(turn.get(name, {})) for turn in rounds)]
    peers = {name: seconds for name in full if (seconds := _median(rounds, name)) is not None}
    if not peers:
        return {}
    fastest = min(peers, key=peers.__getitem__)
    ratios = [turn[fastest]["seconds"] / turn[AUTO]["seconds"] for turn in rounds if _counts(turn[AUTO])]
    against = statistics.median(ratios) if ratios else 0.0
    return {"peers": peers, "peer": fastest, "against_peer": against}


def _counts(outcome: dict[str, Any]) -> bool:
    return "seconds" in outcome and not outcome.get("wrong")


def _told(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """What auto said in the round whose time is nearest to its median."""
    told = [turn[AUTO] for turn in rounds if "reasons" in turn[AUTO]]
    if not told:
        return {}
    middle = sorted(told, key=lambda outcome: outcome["seconds"])[len(told) // 2]
    return {
        "placements": tuple(described(outcome["placement"]) for outcome in told),
        "reasons": tuple(middle["reasons"]),
        "changes": tuple(middle["changes"]),
        "explained": middle["explained"],
    }


def described(placement: dict[str, Any] | None) -> str:
    """A placement of a report as the grid's labels spell it."""
    from benchmarks.fit.grid import label

    return "none" if placement is None else label(placement)


def geometric_mean(ratios: list[float]) -> float:
    """0 where one of them is."""
    return math.exp(statistics.fmean(map(math.log, ratios))) if ratios and min(ratios) > 0 else 0.0


def targets(quiet: list[Line], load: list[Line]) -> Iterator[Target]:
    """Each target with what was measured."""
    ratios = {line.name: line.ratio for line in quiet if line.ratio is not None}
    yield _geomean("the oracle's time over auto's, geometric mean", ratios, GEOMEAN)
    yield _least("the same, the worst workload", ratios, WORST)
    against = {line.name: line.against_peer for line in quiet if line.against_peer is not None}
    yield _least("the fastest peer's time over auto's, the worst workload", against, AGAINST_PEERS)
    under = {line.name: line.ratio for line in load if line.ratio is not None}
    yield _geomean("the oracle's time over auto's with one core taken, geometric mean", under, GEOMEAN_LOADED)
    stable = {line.name: line.stable for line in quiet if line.stable is not None}
    count = sum(share >= STABLE for share in stable.values())
    yield Target(
        f"workloads for which auto chooses the same model in {STABLE:.0%} of its runs",
        "22 of 24",
        f"{count} of {len(stable)}" if stable else "not measured",
        count >= STABLE_WORKLOADS * len(stable) if stable else None,
    )
    decided = {line.name: line.decided for line in quiet if line.decided is not None}
    slowest = max(decided, key=decided.__getitem__, default=None)
    yield Target(
        "time to decide, items under 10 ms, the slowest workload",
        f"under {DECIDED * 1000:.0f} ms",
        f"{decided[slowest] * 1000:.0f} ms ({slowest})" if slowest else "not measured",
        decided[slowest] < DECIDED if slowest else None,
    )


def _geomean(what: str, ratios: dict[str, float], least: float) -> Target:
    mean = geometric_mean(list(ratios.values()))
    figure = f"{mean:.3f} over {len(ratios)} workloads" if ratios else "not measured"
    return Target(what, f"at least {least:.2f}", figure, mean >= least if ratios else None)


def _least(what: str, ratios: dict[str, float], least: float) -> Target:
    worst = min(ratios, key=ratios.__getitem__, default=None)
    if worst is None:
        return Target(what, f"at least {least:.2f}", "not measured", None)
    below = sum(ratio < least for ratio in ratios.values())
    figure = f"{ratios[worst]:.2f} ({worst}); {below} of {len(ratios)} are below"
    return Target(what, f"at least {least:.2f}", figure, ratios[worst] >= least)
