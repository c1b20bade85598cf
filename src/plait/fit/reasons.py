"""What was measured and why that leads to a placement, in words."""

from __future__ import annotations

from plait.fit.evidence import Evidence

__all__ = ["IS_ASYNC", "WAITS", "because_of", "measured_words"]

#: Below this CPU share an item counts as waiting.
WAITS = 0.3

IS_ASYNC = "it is an async function: one event loop runs its items side by side"


def measured_words(evidence: Evidence) -> str:
    """What was measured, in one line."""
    held = "" if evidence.gil_held is None else f", GIL held {evidence.gil_held:.0%} of the time"
    return f"{_time(evidence.seconds)} an item, CPU share {evidence.cpu_share:.2f}{held}".replace("%", " %")


def because_of(
    model: str, seconds: dict[str, float], evidence: Evidence, cores: int, start_seconds: float, gil: float
) -> list[str]:
    """Why this model, of those that were possible.

    Parameters:
        seconds: model -> what it was predicted to take.
        gil: share of an item's time for which it needs the GIL.
    """
    best = min(taken for other, taken in seconds.items() if other != "serial")
    gain = seconds["serial"] / best if "serial" in seconds and best > 0 else 0.0
    computes = evidence.cpu_share >= WAITS
    reasons = [note for note in evidence.notes if model != "serial"]
    if model == "serial":
        if computes and cores == 1:
            reasons.append("there is one core to compute on")
        elif gil > 0.5 and "processes" not in seconds:
            reasons.append("threads would queue for the GIL")
        elif seconds["serial"] <= start_seconds:
            reasons.append(f"what is left takes {_time(seconds['serial'])}: starting anything would not pay")
        else:
            reasons.append(f"handing items out would gain {gain:.1f}x at most: not worth it")
        return reasons
    if model == "threads":
        released, waits = (
            "it computes without the GIL: threads use all cores",
            "it mostly waits: threads wait side by side",
        )
        reasons.append(released if computes else waits)
    elif model == "processes":
        reasons.append("threads would queue for the GIL" if gil > 0.5 else "worker processes take the least time")
    elif model == "processes+threads":
        reasons.append("it waits, and computes with the GIL: processes for the one, threads in them for the other")
    elif model == "async":
        reasons.append(IS_ASYNC)
    else:
        reasons.append("one event loop's thread would be saturated")
    if gain:
        reasons.append(f"{seconds['serial'] / max(seconds[model], 1e-9):.1f}x of serial is predicted")
    return reasons


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us" if seconds >= 1e-8 else "under 0.01 us"
