"""`Keeping`: what `auto` does when worker processes refuse: the whole function, or single items and results.

function: a worker cannot load it    --> the lane moves to a placement of this process; nothing was run yet
item, result: cannot be pickled      --> one thread of this process runs that item, beside the workers
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from plait.engine.mishaps import GuardedLane
from plait.errors import CannotTravel
from plait.placement import Placement
from plait.places.crew import Crew

__all__ = ["Keeping", "Opening"]

#: One thread here.
HERE = Placement("here", "serial", width=1)


class Opening:
    """Hears from a lane's first crew of workers: a function that they cannot load is told to `refused`, once."""

    def __init__(self, lane: GuardedLane, refused: Callable[[CannotTravel], None]) -> None:
        self._lane, self._tell, self._over = lane, refused, False
        self._there = False
        self.arrived, self.unreadable, self.scrambled = lane.arrived, lane.unreadable, lane.scrambled
        self.lost = lane.lost

    def seated(self, seat: Any) -> None:
        """A worker has it."""
        self._there = self._there or not self._over
        self._lane.seated(seat)

    def broken(self, error: BaseException, traceback: str) -> None:
        """A worker cannot run it."""
        if self._there or not isinstance(error, CannotTravel):
            self._lane.broken(error, traceback)
        elif not self._over:
            self._over = True
            self._tell(error)


class Keeping:
    """The seat of this process that runs what cannot travel, opened when there is something of that.

    Parameters:
        crew: makes a crew of a placement for the lane's function, as that is now.
        enter: has the crew ended with the run; false if that is over.
    """

    def __init__(
        self, lane: GuardedLane, crew: Callable[[Placement], Crew], enter: Callable[[Crew], bool], function: Any
    ) -> None:
        self._lane, self._crew, self._enter, self._function = lane, crew, enter, function
        self._opened_for: Any = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Have a seat for it, that runs the function of now."""
        function = self._function()
        with self._lock:
            if self._opened_for is function:
                return
            before, self._opened_for = self._lane.spare, function
            crew = self._crew(HERE)
            if not self._enter(crew):
                return
            self._lane.spare = crew
        if before is not None:
            self._lane.leave(before)
        crew.open(1)
