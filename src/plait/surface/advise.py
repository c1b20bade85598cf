"""`plait.advise`: measures a sample, tries the plausible models on real items, and says which to use."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from plait import machine
from plait.engine.plan import situation_of
from plait.engine.rules import Rules
from plait.errors import OptionError
from plait.fit.choose import Situation, choose
from plait.placement import placement_for
from plait.places.processes.travel import why_not
from plait.styles.threads import inside
from plait.surface.advising.advice import Advice
from plait.surface.advising.candidates import NOT_ASYNC, candidates
from plait.surface.advising.sampling import Sampled, sampled
from plait.surface.advising.supply import Supply
from plait.surface.advising.tries import PACED, Tries
from plait.surface.advising.verdict import Limits, Row, holds_gil, judged
from plait.surface.advising.words import an, code, evidence_in_words, noise, plural, sentence
from plait.surface.calls import is_async, name_of, total_of
from plait.surface.options import rules_from

__all__ = ["Advice", "advise"]

#: Verdicts of models of which a larger input might tell more.
LACKS = ("ran out", "too few")
BEST_TRIED = "best of those tried"


def advise(
    fn: Callable[..., Any],
    items: Iterable[Any] | AsyncIterable[Any],
    /,
    *,
    sample: int | None = None,
    seconds: float = 10.0,
    **options: Any,
) -> Advice:
    """Try the models on real items for a moment each, and say which to use, what it gains and why.

        print(plait.advise(parse, lines))

    The first items are measured one at a time. Then each model that suits the function runs the items that follow,
    those with a width at widths that grow while that helps. Results are thrown away.

    Parameters:
        fn: the function, sync or async.
        items: any iterable or async iterable. Of an iterator, what is not needed stays in it.
        sample: use so many items at most; `None`: as many as the time is enough for.
        seconds: how long all the trying may take. Items that are in progress by then are finished.
        options: those of `plait.map`. `model=` names what to try: a model, a `Placement`, or a tuple of names.

    Returns:
        An `Advice`: print it, or take its `placement`, `sentence`, `code`, `rows`, `to_dict()`, `plot(path)`.

    Raises:
        UnknownOption, OptionError: as `plait.map`.
        BaseException: whatever the source of the items raises. What the function raises counts as a failure.

    **Guarantee**: each item is handed to the function once (with `retries=`, once an attempt).
    **Concurrency**: blocks; on an event loop, call it by `asyncio.to_thread`. An async function runs on a loop of
    Plait's own. **Caution**: what the function does is really done - mails are sent, rows are written. Give it items
    that may be used up.
    """
    options = {**getattr(fn, "__plait_options__", {}), **options}
    progress, name = options.pop("progress", None), options.pop("name", None)
    _check(fn, items, sample, seconds)
    function = getattr(fn, "__plait_function__", fn)
    rules = rules_from(name or name_of(function), options, is_async=is_async(fn))
    total, began = total_of(items), time.perf_counter()
    with Supply(items, sample) as supply, _told(progress) as tell:
        tell(f"{rules.name}: measuring the first items")
        seen = sampled(function, supply, rules, is_async=is_async(fn))
        situation = _situation(function, rules, seen, total)
        tries = Tries(function, supply, rules, options, seen.evidence, seconds, tell)
        found = candidates(seen.evidence, situation)
        if seen.lazy:
            found = [replace(one, predicted=None, barred=f"it gives {an(seen.lazy)}") for one in found]
        rows = tries.rows(found, choose(seen.evidence, situation).placement.model)
        advice = _advice(rows, seen, tries, situation, options, total)
        notes = (*_notes(advice, supply, tries), *advice.notes, *_counted(advice))
        return replace(advice, notes=notes, seconds=time.perf_counter() - began)


def _check(fn: Any, items: Any, sample: Any, seconds: Any) -> None:
    if not callable(fn):
        raise TypeError(f"plait.advise takes a function first, then the items; got {type(fn).__name__!r}.")
    if not hasattr(items, "__iter__") and not hasattr(items, "__aiter__") and not hasattr(items, "__getitem__"):
        raise TypeError(f"plait.advise takes an iterable of items; got {type(items).__name__!r}.")
    if sample is not None and (isinstance(sample, bool) or not isinstance(sample, int) or sample < 1):
        raise OptionError("sample", sample, "it takes a whole number from 1, or None for no bound but the time")
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not (number and 0 < seconds < math.inf):
        raise OptionError("seconds", seconds, "it takes seconds above 0")


@contextlib.contextmanager
def _told(progress: bool | None) -> Iterator[Callable[[str], object]]:
    """What is being tried, on standard error, if asked for."""
    if not progress:
        yield lambda _: None
        return
    from rich.console import Console  # only who watches needs it

    with Console(stderr=True).status("") as status:
        yield status.update


def _situation(function: Any, rules: Rules, seen: Sampled, total: int | None) -> Situation:
    found = situation_of(
        function,
        rules,
        is_async=seen.is_async,
        remaining=None if total is None else max(0, total - seen.items),
        warm=True,
        inside=inside.get(),
        travel=seen.travel or why_not(function),
    )
    if rules.model == "auto" or isinstance(rules.model, tuple):
        return found
    exact = placement_for(rules.model)
    workers, width = exact.workers or found.workers, exact.width or found.width
    return replace(found, allowed=(exact.model,), workers=workers, width=width)


def _advice(
    rows: Sequence[Row],
    seen: Sampled,
    tries: Tries,
    situation: Situation,
    options: dict[str, Any],
    total: int | None,
) -> Advice:
    limits = Limits(seen.evidence, machine.cores())
    told, best = judged(rows, limits)
    row, reason = _decided(best, told, seen, situation)
    if reason:
        told = tuple(
            replace(one, verdict=BEST_TRIED) if one.verdict == "best" and one is not row else one for one in told
        )
    told = tuple(row if one.model == row.model else one for one in told)
    lacking, beyond = _lacking(told, row, seen, tries), limits.exceeded(rows)
    loop = None if row.model in beyond else _loop(told, seen, tries)
    name = tries.rules.name
    return Advice(
        function=name,
        evidence=seen.evidence,
        rows=told,
        placement=row.placement,
        sentence=lacking or sentence(row, loop, total, seen.evidence, is_async=seen.is_async, reason=reason),
        code="" if lacking else code(name, row.placement, machine.cores(), options),
        widths=tuple(tries.points),
        about=evidence_in_words(seen.evidence, is_async=seen.is_async, lazy=seen.lazy),
        notes=(noise(beyond, machine.cores()),) if beyond else (),
        items=seen.items + tries.items,
        failures=seen.failures + tries.failures,
        chosen=not lacking,
    )


def _lacking(rows: Sequence[Row], row: Row, seen: Sampled, tries: Tries) -> str:
    """Why there is nothing to choose; empty: there is."""
    name, error = tries.rules.name, tries.error or seen.error
    ran, failures = seen.items + tries.items, seen.failures + tries.failures
    if seen.lazy:
        return f"{name} gives {an(seen.lazy)}: calling it runs none of its body. Return a list of what it yields."
    if all(one.verdict == f"not tried: {NOT_ASYNC}" for one in rows):
        return f"Nothing was tried: {NOT_ASYNC}, or choose another model."
    if not ran:
        return "There was no item to try."
    if failures == ran:
        return f"Every item failed, the last with {error}. Mend that first: no model can."
    if not (row.measured or row.predicted):
        return f"Nothing that was tried succeeded{f'; the last failure was {error}' if error else ''}."
    return ""


def _decided(best: Row | None, rows: Sequence[Row], seen: Sampled, situation: Situation) -> tuple[Row, str]:
    """The row to use, and what else speaks for it: where the items ran out, what the evidence says."""
    others = [row for row in rows if row.model != "serial"]
    tried = any(row.measured is not None and not row.brief for row in others)
    lacking = [row.model for row in others if row.brief or any(word in row.verdict for word in LACKS)]
    if best is not None and (not lacking or (seen.evidence is None and tried)):
        if tried:
            return best, ""
        why_not = [row.verdict.removeprefix("not tried: ") for row in others]
        if PACED in why_not:
            return best, PACED
        return best, f"nothing else could be tried: {why_not[0]}" if why_not else "nothing else was asked for"
    placement = choose(seen.evidence, situation).placement
    row = next((row for row in rows if row.model == placement.model), Row(placement.model, placement))
    if row.model == "serial":
        return row, "more would not pay, as far as can be predicted from so few items"
    if best is not None and row.model not in lacking:
        return best, ""
    if row.model in lacking and row.measured != 0:
        verdict = f"predicted to be best ({row.verdict.removeprefix('not tried: ')})"
        return replace(
            row, placement=placement, verdict=verdict
        ), "that is predicted: there were too few items to try it"
    return row, ""


def _loop(rows: Sequence[Row], seen: Sampled, tries: Tries) -> float | None:
    """Items a second one at a time, where that is known."""
    for row in rows:
        if row.model == "serial" and row.measured:
            return row.measured
    if seen.evidence is not None and seen.evidence.seconds_mean > 0:
        return 1 / seen.evidence.seconds_mean
    return next((rate for model, width, rate in tries.points if (model, width) == ("async", 1)), None)


def _notes(advice: Advice, supply: Supply, tries: Tries) -> Iterator[str]:
    """What a reader has to know besides."""
    if advice.failures and advice.failures < advice.items:
        last = f", the last with {tries.error}" if tries.error else ""
        yield f"{advice.failures:,} of the {advice.items:,} items failed{last}; only those that succeeded count."
    if supply.reading > 0.5 * tries.taken > 0:
        yield "Most of the time went into reading the items: the source sets the pace, not the model."
    if tries.died:
        yield f"In other processes {tries.died}."
    if any("were over" in row.verdict for row in advice.rows):
        yield f"There was no time for every model: seconds={3 * tries.seconds:g} would try more."
    best = max((row.measured or 0.0 for row in advice.rows), default=0.0)
    pace = {row.model: row.measured or 0.0 for row in advice.rows}
    for model, lack in tries.growing:
        if 2 * pace.get(model, 0.0) >= best and not holds_gil(advice.evidence):
            more = f"seconds={3 * tries.seconds:g}" if lack == "time" else "more items"
            yield f"{model}: wider may be faster still, but {lack} ran out; {more} would tell."


def _counted(advice: Advice) -> Iterator[str]:
    if advice.items:
        yield f"{plural(advice.items, 'item')} {'was' if advice.items == 1 else 'were'} run, each once."
