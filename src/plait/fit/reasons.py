"""What was measured and why that leads to a placement, in words."""

from __future__ import annotations

import math

from plait.fit.evidence import Evidence

__all__ = ["COMPUTES", "IS_ASYNC", "WAITS", "because_of", "gained", "measured_words", "percent", "rate_words", "span"]

#: Below the first CPU share an item counts as waiting, above the second as computing.
WAITS, COMPUTES = 0.3, 0.7

IS_ASYNC = "it is an async function: one event loop runs its items side by side"


def measured_words(evidence: Evidence) -> str:
    """What was measured, in one line."""
    if evidence.unfinished:  # nobody knows yet how long an item takes
        return f"an item still waited after {span(evidence.seconds)}"
    held = "" if evidence.gil_held is None else f", GIL held {percent(evidence.gil_held)} of the time"
    return f"{span(evidence.seconds)} an item, CPU share {evidence.cpu_share:.2f}{held}"


def because_of(
    model: str,
    seconds: dict[str, float],
    evidence: Evidence,
    cores: int,
    start_seconds: float,
    gil: float,
    worth: float,
    least: float = 0.0,
) -> list[str]:
    """Why this model, of those that were possible.

    Parameters:
        seconds: model -> what it was predicted to take.
        gil: share of an item's time for which it needs the GIL.
        worth: what leaving `serial` had to gain.
        least: seconds that the source, or the consumer, takes in any case.
    """
    fastest = min((taken for other, taken in seconds.items() if other != "serial"), default=0.0)
    best = max(fastest, least)
    gain = seconds["serial"] / best if "serial" in seconds and best > 0 else 0.0
    computes = evidence.cpu_share >= WAITS
    reasons = [note for note in evidence.notes if model != "serial"]
    if model == "serial":
        if computes and cores == 1:
            reasons.append("there is one core to compute on")
        elif gil > 0.5 and "processes" not in seconds:
            reasons.append("threads would queue for the GIL")
        elif seconds["serial"] <= start_seconds:
            reasons.append(f"what is left takes {span(seconds['serial'])}: starting anything would not pay")
        elif least > fastest:
            reasons.append("its source or its consumer sets the pace")
        elif gain <= 1:
            reasons.append("handing items out would gain nothing")
        else:
            reasons.append(f"handing items out would gain {gained(gain)} at most: {worth:g}x would be worth it")
        return reasons
    if model == "threads":
        if evidence.cpu_share >= COMPUTES:
            reasons.append("it computes without the GIL: threads use all cores")
        elif computes:
            reasons.append("it waits and computes in turn: threads do the one beside the other")
        else:
            reasons.append("it mostly waits: threads wait side by side")
    elif model == "processes":
        reasons.append("threads would queue for the GIL" if gil > 0.5 else "worker processes take the least time")
    elif model == "processes+threads":
        reasons.append("it waits, and computes with the GIL: processes for the one, threads in them for the other")
    elif model == "async":
        reasons.append(IS_ASYNC)
    else:
        reasons.append("one event loop's thread would be saturated")
    if gain and not evidence.unfinished:
        taken = max(seconds[model], least, 1e-9)
        reasons.append(f"{gained(seconds['serial'] / taken)} of serial is predicted")
    return reasons


def percent(share: float) -> str:
    """`"70 %"`."""
    return f"{share:.0%}".replace("%", " %")


def gained(times: float) -> str:
    """`"1.23x"`, `"5.1x"`, `"120x"`. Small ones are never said to be more than they are: a threshold is not far."""
    if times < 2:
        return f"{math.floor(times * 100 + 1e-6) / 100:.2f}x"
    return f"{times:,.1f}x" if times < 100 else f"{times:,.0f}x"


def rate_words(rate: float) -> str:
    """`"12,700/s"`; slow ones by the hour."""
    if rate <= 0 or rate >= 10:
        return f"{rate:,.0f}/s"
    return f"{rate:.2g}/s" if rate >= 0.01 else f"{rate * 3600:.2g}/h"


def span(seconds: float) -> str:
    """`"1.2 ms"`: three figures, and never an exponent."""
    if seconds < 1e-8:
        return "under 0.01 us"
    for unit, size, until in (("us", 1e-6, 999.5e-6), ("ms", 1e-3, 0.9995), ("s", 1.0, 999.5)):
        if seconds < until:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:,.0f} s"
