"""`Ending`: what a run has started, and how all of it is ended within two seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from plait.engine.lane import Lane
from plait.engine.loops import LoopThread
from plait.places.crew import Crew

__all__ = ["Ending", "in_thread", "side_by_side"]

log = logging.getLogger("plait")

#: Seconds to wait for workers at the end: of a run that is done (resources are closed), of one that is not wanted.
GENTLE, PROMPT = 10.0, 0.3
#: Seconds that threads get to finish the item in hand, since nothing can end them.
THREADS = 1.5


class Ending:
    """Everything of a run that outlives a call, to be ended once."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.lock = threading.Lock()
        self.closed = False
        self.crew: Crew | None = None
        self.left: list[Crew] = []  # those of placements that the lane has moved away from
        self.loop: LoopThread | None = None
        self.thread: threading.Thread | None = None
        self.reviewing: threading.Thread | None = None  # one that thinks about another placement
        self.probing: threading.Thread | None = None  # one that is still in an item
        self.feeding: Any = None
        self.offs: list[Callable[[], None]] = []  # what calls timers off
        self.cancelled = False
        self._checked = False
        self._until = 0.0

    def add(self, off: Callable[[], None]) -> None:
        """What calls a timer off: at the end, or at once if that has been."""
        with self.lock:
            closed = self.closed
            if not closed:
                self.offs.append(off)
        if closed:
            off()

    def close(self) -> None:
        """End it all, from a thread."""
        self._stop()
        stuck: list[str] = []
        try:
            stuck = self._end_crew()
        finally:
            self._check(stuck)

    async def close_async(self) -> None:
        """The same from an event loop, which goes on meanwhile; the items may run on that very loop."""
        self._stop()
        runner: Any = getattr(getattr(self.crew, "seat", None), "runner", None)
        stuck: list[str] = []
        try:
            if getattr(runner, "loop", None) is asyncio.get_running_loop():
                stuck = await runner.close(self._patience())
                stuck += await in_thread(self._end_left) if self.left else []
            else:
                stuck = await in_thread(self._end_crew)
        finally:
            self._check(stuck)

    def too_late(self) -> None:
        """What was set up after the end is ended as well."""
        for off in self.offs:
            off()
        if self.loop is not None and self._checked:  # else who ends the run will stop it
            self.loop.stop(0.0)

    def _stop(self) -> None:
        self._until = time.monotonic() + THREADS
        for off in self.offs:
            off()
        if self.feeding is not None:
            self.feeding.cancel()
        self.lane.sender.close()

    def _left(self) -> float:
        """Seconds until all of it should be over."""
        return max(0.1, self._until - time.monotonic())

    def _patience(self, crew: Crew | None = None) -> float:
        placement = getattr(crew, "placement", None) or self.lane.figures.placement
        if self.lane.hedging is not None and self.lane.hedging.losers:  # nobody waits for what is still running
            return 0.0 if placement is not None and placement.place == "here" else PROMPT
        if placement is not None and placement.place == "here":
            return THREADS
        return PROMPT if self.cancelled or not self.lane.settled else GENTLE

    def _end_left(self) -> list[str]:
        stuck = []
        for crew in self.left:
            wait = min(self._patience(crew), self._left())
            stuck += crew.close(wait, prompt=self.cancelled)
        return stuck

    def _end_crew(self) -> list[str]:
        crew = self.crew
        stuck = crew.close(self._patience(crew), prompt=self.cancelled) if crew is not None else []
        return stuck + self._end_left()

    def _check(self, stuck: list[str]) -> None:
        self._checked = True
        if self.loop is not None and not self.loop.stop(0.1 if stuck else self._left()) and not stuck:
            stuck.append("the event loop's thread plait-loop, blocked by an item")
        thread = self.thread
        # Without an ident it never began: Ctrl-C struck while it was being started.
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join(0.2)
            if thread.is_alive():
                stuck.append("thread plait-drive, which waits for the source's next item")
        if self.reviewing is not None and self.reviewing is not threading.current_thread():
            self.reviewing.join(self._left())
        probing = self.probing
        if probing is not None and probing is not threading.current_thread():
            probing.join(0.1 if stuck else self._left())
            if probing.is_alive():
                stuck.append("thread plait-drive, in an item")
        if stuck and not (self.lane.hedging is not None and self.lane.hedging.losers):
            log.warning("The run is over, but still running (nothing can stop it): %s.", "; ".join(stuck))


def side_by_side(calls: Sequence[Callable[[], object]], errors: list[BaseException]) -> None:
    """Make all of `calls`, each in a thread of its own, and wait for them; what they raise is added to `errors`."""

    def make(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=make, args=(call,), name="plait-close", daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def in_thread(call: Callable[[], Any]) -> Any:
    """Run a blocking `call` in a thread that is gone afterwards."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def finish(outcome: Any, error: BaseException | None) -> None:
        if not done.done():
            if error is None:
                done.set_result(outcome)
            else:
                done.set_exception(error)

    def run() -> None:
        outcome, failed = None, None
        try:
            outcome = call()
        except BaseException as error:
            failed = error
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, outcome, failed)

    threading.Thread(target=run, name="plait-close", daemon=True).start()
    return await done
