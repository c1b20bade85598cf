"""`Width`: how many items one seat should have in progress, found while they run. Pure: the clock is handed in.

    growing   twice as many while goodput pays for it ──does not pay──> the width that would have been enough
    holding   stay; now and then try more, or less: each time after twice the wait, unless the service has changed
    trying    a trial: what gains (more) or loses nothing (less) is kept, and goes on
    easing    failures rose: a quarter, until they cease or turn out to have nothing to do with the width; then grow

Goodput is that of a level in balance, by Little's law: width x successes / seconds that the items were in progress,
together, and no more than what has really ended. So neither bursts of equal items nor the moment when a window happens
to end distort it. The window opens when the items of the level before have come home.

Source: slow start and multiplicative decrease as in TCP (Jacobson, 1988), on goodput instead of losses: a batch client
wants throughput and can queue. Additive growth needs 10,000 round trips to reach 10,000, gradients of latency reach 3 %
of a service with 2,000 slots in a minute.
"""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass, field

from plait.fit.failures import CEASED, EASE, GO_ON, OWN, Failures
from plait.fit.level import Level, Window
from plait.fit.worth import BLURRED, GAINS, SURE, clear, must, ratio, saves

__all__ = ["Width"]

#: Goodput that grew as the width did, nearly: items there take as long as alone.
FREE = 1.8
#: Items that take no longer than this, alone being 1, do not queue: so many of them are enough to double at once.
QUICK, FEW_QUICK = 1.15, 8
#: Items that take so many times as long as alone: too wide to begin with, whatever else. Alone may be wrong by 3.
CROWDED = 4.0
#: Seconds after which that may be said at the earliest, and the part of them which items that are no crowd compute.
EARLIEST, WORK = 0.06, 0.6
#: Completions of a window: never fewer; while the answer is not clear, so many times as many.
LEAST, LONGEST = 16, 6
#: Seconds by which a window may be off: a turn of the CPU, or of the GIL, that others have meanwhile.
HICCUP = 0.004
#: Of what this process can compute, the part from which on it is what holds items up, and more of them gain nothing.
FULL = 0.9
#: Nothing has ended: after so many seconds others are begun beside those that wait, up to so many.
STEP, UNHEARD = 0.015, 512
#: Seconds of work that must be left for trying more, and for trying less.
TRY_MORE, TRY_LESS = 0.5, 5.0
#: Seconds to hold a level before a trial, and items' latencies; it doubles with each trial, to at most the last.
HOLD, HOLD_ITEMS, HOLD_MOST, HOLD_MOST_ITEMS = 0.2, 5, 60.0, 100
#: What is tried from a held level.
MORE, LESS = 1.25, 0.7
#: Goodput that differs from that of the level by this factor, and by so many standard errors, twice in a row: the
#: service, or the items, have changed.
DRIFT, CHANCE = 1.3, 8.0


@dataclass(slots=True)
class Width:
    """Finds the width of a seat whose items wait.

    Parameters:
        width: to begin with. most: never more.
        alone: seconds of an item that ran alone; `None`: not known. It may be wrong: it is corrected.
        usual: share of items that fail whatever the width.
        now: the clock, in seconds.
        least: a width below which nothing is to be gained: only failures lead there.
        computed: seconds that the items have computed by then (see `finished`).
    """

    width: int
    most: int
    alone: float | None = None
    usual: InitVar[float] = 0.0
    now: float = 0.0
    least: int = 1
    computed: InitVar[float] = 0.0
    mode: str = field(default="growing", init=False)
    best: Level | None = field(default=None, init=False)
    why: str = field(default="", init=False)
    left: int | None = field(default=None, init=False)  # items without an outcome, those in progress included
    failures: Failures = field(init=False)
    _before: Level | None = field(default=None, init=False)  # what this level is compared with
    _changed: float = field(default=0.0, init=False)
    _ended: int = field(default=0, init=False)  # items since the last change
    _far: bool = field(default=False, init=False)  # it came from a far wider one, whose last items are no measure
    _settles: float = field(default=0.0, init=False)  # until then failures are the level's before
    _drain: int = field(default=0, init=False)  # items of a wider level that are still in progress
    _window: Window = field(default_factory=Window, init=False)
    _quick: Window = field(default_factory=Window, init=False)  # only items that began after the last change
    _opened: float = field(default=0.0, init=False)  # when the window's first item ended
    _computed: float = field(default=0.0, init=False)  # what had been computed by then
    heard: bool = field(default=False, init=False)  # an item has ended
    _clock: float = field(default=0.0, init=False)  # what has been computed so far
    _since: float = field(default=0.0, init=False)  # what had been at the last change
    _full: bool = field(default=False, init=False)  # this process can compute no more
    _steps: int = field(default=0, init=False)  # the width before the last step that was taken unheard
    _spread: float = field(default=0.0, init=False)
    _each: float = field(default=0.0, init=False)
    _ceiling: int | None = field(default=None, init=False)  # a width that failed
    _hold: float = field(default=0.0, init=False)
    _until: float = field(default=0.0, init=False)
    _held: int = field(default=0, init=False)  # windows at this level
    _less: bool = field(default=False, init=False)  # what the next trial is
    _odd: int = field(default=0, init=False)

    def __post_init__(self, usual: float, computed: float) -> None:
        self._clock = self._since = computed
        self.failures = Failures(usual)
        self.width = max(1, min(self.width, self.most))
        self._changed = self.now

    def finished(
        self, now: float, items: int, failed: int, seconds: float, *, busy: bool = True, computed: float = 0.0
    ) -> bool:
        """`items` ended, `failed` of them as failures, after `seconds` together; true when `width` has changed.

        Parameters:
            busy: all slots had something to do. What a starved seat achieves says nothing about its width.
            computed: seconds that the process has computed so far, 1 a second being all that it can.
        """
        if items <= 0:
            return False
        before, self.heard, self._clock = self.width, True, computed
        if self._drain > 0:
            self._drain -= items
            return False
        self._ended += items
        fresh = now - 0.999 * seconds / items >= self._changed  # a burst begins at the very instant of the change
        # A service that was too full is so until those before have left: failures until then say nothing of this level.
        if fresh and not (failed and now < self._settles):
            self._quick.add(items, failed, seconds)
            if self.failures.alarming(items, failed, seconds, easing=self.mode == "easing"):
                self._brake(now)
                return self.width != before
        if not busy:
            self._window, self._quick = Window(), Window()
            self._ended, self._changed, self._since = 0, now, computed
            return False
        if self._home(now) and (fresh or not self._far):
            if not self._window.items:
                self._opened, self._computed = now, computed
            self._window.add(items, failed, seconds)
        self._decide(now)
        return self.width != before

    def unheard(self, now: float) -> bool:
        """Items wait, and none has ended yet: begin others beside them; true when `width` has changed.

        To be called only while that burdens nobody: neither this process nor a service.
        """
        if self.heard or self.mode != "growing" or now - self._changed < STEP or self.width >= UNHEARD:
            return False
        before = self.width
        self._more(now, min(2 * self.width, UNHEARD), "growing", "items wait, and burden nobody")
        self._steps = before
        return self.width != before

    def limit(self, most: int, why: str, now: float) -> bool:
        """Never more than `most` from now on (memory, a saturated core); true when that changed `width`."""
        self.most = max(1, most)
        if self.width <= self.most:
            return False
        self._go(now, self.most, "holding", why)
        return True

    @property
    def settled(self) -> bool:
        """Whether it has found its level, for the time being."""
        return self.mode == "holding"

    # --- when to decide ---------------------------------------------------------------------------------------------

    def _home(self, now: float) -> bool:
        """Whether what the level before left behind has come home, but for rare stragglers."""
        if self._ended <= self.width:
            return False
        # An item in progress takes longer than others, on average: long ones are in progress for longer.
        lasts = self._each * (1 + self._spread) if self.mode != "growing" else 0.0
        return now - self._changed >= lasts

    def _decide(self, now: float) -> None:
        if self.mode == "easing":
            if self._quick.items >= LEAST:
                self._eased(now, self._quick)
            return
        growing = self.mode == "growing"
        if growing and self._unhindered(now):
            quick = self._quick
            goodput = self.width / max(self.alone or 0.0, quick.each) * self.failures.worth(quick)
            level = Level(self.width, goodput, BLURRED)
            self._grown(now, level, quick.each, 2.0)
            return
        if growing and self._before is None and self.best is None and self._crowded(now):
            rate = self._ended / (now - self._changed)
            worth = self.failures.worth(self._quick) if self._quick.items else 1.0
            self._before = Level(self.width, rate * worth, BLURRED)
            self._try_less(now, self.width / rate)
            return
        window = self._window
        if window.items < max(LEAST, self.width):
            return
        spread = max(window.spread, 0.9 * self._spread)
        took = max(now - self._opened, 1e-9)
        scatter = math.sqrt(spread / window.items)
        blur = math.hypot(scatter, HICCUP / (took + window.each))
        # Slots that stand idle between two items (who hands them out cannot keep up) do not show in the items' seconds.
        rate = min(self.width / window.each, window.items / took)
        level = Level(self.width, rate * self.failures.worth(window), blur)
        least = LEAST if growing else 4 * LEAST  # a trial is rare and may take long
        if window.items < LONGEST * max(least, self.width):
            needed = self._must(level, window.each)
            if not clear(level, self._before, needed, holding=self.mode == "holding"):
                return
        self._window, self._spread, self._each = Window(), spread, window.each
        self.alone = min(self.alone or math.inf, window.each * (1 + SURE * scatter))
        self.failures.learn(window, now)
        self._full = took > 4 * HICCUP and self._clock - self._computed > FULL * took
        if growing:
            self._grown(now, level, window.each, ratio(level, self._before))
        elif self.mode == "trying":
            self._tried(now, level, window.each, ratio(level, self._before))
        else:
            self._stayed(now, level, window.each)

    def _must(self, level: Level, each: float) -> float:
        slowed = each / self.alone if self.alone else 1.0
        return must(level, self._before, slowed, trying=self.mode == "trying")

    def _unhindered(self, now: float) -> bool:
        """Whether items still take about as long as alone, and as many of them end as should."""
        quick, alone, took = self._quick, self.alone, now - self._changed
        if not alone or quick.items < min(FEW_QUICK, 2 * self.width) or took < 0.999 * alone:
            return False
        return quick.each <= QUICK * alone and self._ended * alone >= 0.75 * self.width * took

    def _crowded(self, now: float) -> bool:
        """Whether far fewer items end than would if each took as long as alone."""
        alone, took = self.alone, now - self._changed
        if not alone or self.width <= self.least or self._ended < FEW_QUICK or took < max(2 * alone, EARLIEST):
            return False
        if self._clock - self._since > WORK * took:
            return False  # they compute: fewer would do no better
        return CROWDED * self._ended * alone < self.width * took

    # --- decisions --------------------------------------------------------------------------------------------------

    def _grown(self, now: float, level: Level, each: float, gain: float) -> None:
        before = self._before
        if before is not None and before.width < level.width:
            if gain >= FREE * level.width / before.width / 2:
                self.alone = max(self.alone or 0.0, each)
            if gain < self._must(level, each):
                enough = min(level.width, max(before.width, int(before.width * gain * 1.05)))
                self.best = Level(enough, max(before.goodput, level.goodput), max(before.blur, level.blur))
                self._rest(now, "twice the width did not pay")
                return
        self.best = self._before = level
        if not level.goodput:
            self._rest(now, "nothing succeeds")
        elif self._full:
            self._rest(now, "this process can compute no more")
        else:
            self._more(now, 2 * self.width, "growing", "goodput grew")

    def _stayed(self, now: float, level: Level, each: float) -> None:
        known = self.best is not None and self.best.width == self.width and self.best.goodput > 0
        best = self.best if known and self.best is not None else level
        gain = level.goodput / best.goodput if best.goodput else 2.0 if level.goodput else 1.0
        odd = abs(math.log(gain or 1e-9)) > max(math.log(DRIFT), CHANCE * math.hypot(level.blur, best.blur))
        self._odd = self._odd + 1 if odd else 0
        if self._odd >= 2:
            self._odd, self._held, self._hold, self._until = 0, 0, self._hold / 4, 0.0
            best, self._ceiling = level, None
            self._less = bool(self.alone and each > 1.5 * self.alone)
        weight = max(0.1, 1 / (1 + self._held)) if not odd else 0.0
        self._held += 1
        self.best = Level(
            self.width,
            best.goodput + weight * (level.goodput - best.goodput),
            max(best.blur * (1 - weight), level.blur * math.sqrt(weight)),
        )
        if now < self._until or odd:
            return
        less = self._less and self.width > self.least
        self._less = not self._less
        if self.left is not None and self.left < (TRY_LESS if less else TRY_MORE) * self.best.goodput:
            return  # not worth a trial any more
        if self._full:
            return  # more would only queue, and fewer leave a core idle now and then
        self._before = self.best
        self._wait_longer()
        if less:
            self._try_less(now, each * (1 - 2 * level.blur))
        else:
            self._more(now, math.ceil(self.width * MORE), "trying", "would more pay?")

    def _tried(self, now: float, level: Level, each: float, gain: float) -> None:
        before = self._before or level
        crowded = self._crowding(each * (1 - 2 * level.blur))
        if gain >= self._must(level, each):
            self.best = level
            if level.width > before.width:
                self._before = level
                self._more(now, 2 * self.width, "growing", "more paid")
            elif gain >= GAINS and not crowded:
                self._before = level  # a long way down: the best may be between
                self._more(now, 2 * self.width, "growing", "less was more")
            elif self.width > self.least:
                self._before = Level(level.width, max(level.goodput, before.goodput), max(level.blur, before.blur))
                self._try_less(now, each * (1 - 2 * level.blur))
            else:
                self._rest(now, "less does as well")
            return
        if level.width < before.width:
            if not crowded:
                self.alone = max(self.alone or 0.0, each)
            enough = math.ceil(1.05 * level.width / max(gain, 1e-3))
            self.best = Level(max(level.width, min(before.width, enough)), before.goodput, before.blur)
        else:
            self.best = before
        self._rest(now, "nothing was gained")

    def _crowding(self, each: float) -> bool:
        """Whether items take so long that far fewer would do, even if `alone` is wrong."""
        return bool(self.alone and each > CROWDED * self.alone)

    def _more(self, now: float, width: int, mode: str, why: str) -> None:
        """Towards `width`: up to halfway to what failed; holds where there is nowhere to go."""
        ceiling = self._ceiling
        if ceiling is not None and self.width < ceiling <= width:
            halfway = (self.width + ceiling) // 2
            width = halfway if halfway > self.width * 1.08 else ceiling
            mode = "trying"
        if self.left is not None:
            width = min(width, self.left)
            if not saves(self.width, self.left - self.width, self.best):
                width, why = self.width, "what is left is soon over"
        if min(width, self.most) <= self.width:
            self.best = self.best or Level(self.width, 0.0)
            self._rest(now, why)
        else:
            self._go(now, width, mode, why)

    def _try_less(self, now: float, each: float) -> None:
        """Fewer: at once about as many as are needed where items take far longer than alone."""
        width = int(self.width * LESS)
        if self.alone and each > CROWDED * self.alone:
            width = max(self.width // 8, math.ceil(self.width * 1.5 * self.alone / each))
        self._go(now, max(self.least, min(width, self.width - 1)), "trying", "would less do?")

    # --- failures ---------------------------------------------------------------------------------------------------

    def _brake(self, now: float) -> None:
        before = Level(self._steps, 0.0) if self._steps else self._before
        if self.mode in ("growing", "trying") and before is not None and before.width < self.width:
            self._ceiling = self.width
            self.best = before
            self._rest(now, "failures rose with the width")
            return
        width = self.failures.ease(self.width, gently=self._ceiling is not None)  # a ceiling: a little less will do
        self._go(now, width, "easing", "failures rose")

    def _eased(self, now: float, seen: Window) -> None:
        """After 16 items at less of the width."""
        failures = self.failures
        gently, found = failures.gently, failures.eased(self.width, seen, now, now - self._changed)
        failures.gently = False
        self._before = None
        if found == CEASED:
            self._ceiling = failures.first
            if gently:
                self.best = Level(self.width, 0.0)
                self._wait_longer()
                self._rest(now, CEASED)
            else:
                self._go(now, self.width, "growing", CEASED)
        elif found == OWN:
            self._go(now, failures.back(seen), "growing", OWN)
        else:
            self._go(now, max(1, self.width // EASE), "easing", GO_ON)

    # --- changes ----------------------------------------------------------------------------------------------------

    def _wait_longer(self) -> None:
        self._hold = min(2 * self._hold, max(HOLD_MOST, HOLD_MOST_ITEMS * self._each))

    def _rest(self, now: float, why: str) -> None:
        """Holds the best level."""
        self._hold = max(self._hold, HOLD, HOLD_ITEMS * self._each)
        self._until = now + self._hold
        self._held = self._odd = 0
        self._go(now, self.best.width if self.best is not None else self.width, "holding", why)

    def _go(self, now: float, width: int, mode: str, why: str) -> None:
        width = max(1, min(width, self.most))
        self._drain = max(0, self.width - width)
        if width < self.width:
            self._settles = now + max(self._each, self.alone or 0.0)
        self._window, self._quick = Window(), Window()
        self.failures.forget()
        if width != self.width or mode == "easing":
            self._changed, self._ended, self._since = now, 0, self._clock
            self._far = 2 * width < self.width
        self.width, self.mode, self.why, self._steps = width, mode, why, 0
