"""What a `Gate` is made of: rows of items, and the doors at which they wait.

A row holds the items that have the same keys, in order. A door is what one rule asks for one key. A row has a door for
each rule with a key, and passes when all are open; until then it waits at one that is shut.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Hashable
from typing import Any, Final

from plait.policy.limit import Limit
from plait.policy.rate import Gcra, Rate

__all__ = ["NEVER", "NOTHING", "Door", "Room", "Rooms", "Row", "Turnstile", "Turnstiles"]

NEVER: Final = float("inf")
#: What is first in an empty row.
NOTHING: Final[Any] = object()


class _Fifo:
    """First in, first out. A deque takes 600 bytes, and most keys have one item: the first lies outside."""

    __slots__ = ("_rest", "first")

    def __init__(self) -> None:
        self.first: Any = NOTHING
        self._rest: deque[Any] | None = None

    def append(self, entry: Any) -> None:
        """`entry` is last."""
        if self.first is NOTHING:
            self.first = entry
        elif self._rest is None:
            self._rest = deque((entry,))
        else:
            self._rest.append(entry)

    def appendleft(self, entry: Any) -> None:
        """`entry` is first."""
        before, self.first = self.first, entry
        if before is NOTHING:
            return
        if self._rest is None:
            self._rest = deque()
        self._rest.appendleft(before)

    def popleft(self) -> Any:
        """The first; `NOTHING` if there is none."""
        entry, rest = self.first, self._rest
        self.first = rest.popleft() if rest else NOTHING
        return entry

    def remove(self, entry: Any) -> None:
        """`entry`, which is among them, is no more. Costs a walk past those before it."""
        if self.first is entry:
            self.popleft()
        elif self._rest is not None:
            self._rest.remove(entry)

    def empty(self) -> None:
        """Forget all."""
        self.first, self._rest = NOTHING, None


class Row(_Fifo):
    """Items with the same keys, in order. It exists only while it holds any.

    Parameters:
        keys: what the key functions said of its items.
        turnstiles, rooms: what the rates and the limits with a key ask for them.
        whole: the limits without a key, which count them, too.

    Attributes:
        at: the door at which it waits.
        turned_away: how often its turn came in vain since it last passed.
        doors: turnstiles and rooms; `counts`: all limits.
    """

    __slots__ = ("at", "counts", "doors", "keys", "turned_away", "turnstiles")

    def __init__(
        self, keys: Any, turnstiles: tuple[Turnstile, ...], rooms: tuple[Room, ...], whole: tuple[Room, ...]
    ) -> None:
        super().__init__()
        self.keys, self.turnstiles, self.counts = keys, turnstiles, whole + rooms
        self.doors: tuple[Door, ...] = turnstiles + rooms
        for door in self.doors:
            door.users += 1
        self.at: Door | None = None
        self.turned_away = 0


class Door(_Fifo, abc.ABC):
    """What one rule asks for one key, and the rows that wait for it.

    Parameters:
        key: of the items that pass.
        home: where the doors of this rule are kept, by key.

    Attributes:
        users: how many rows and items in progress it concerns; it is dropped when there are none.
        listed: its turn will come: it is in the gate's round, or in its timetable.
        kept_for: the only row that may pass.
    """

    __slots__ = ("home", "kept_for", "key", "listed", "users")

    def __init__(self, key: Hashable, home: dict[Hashable, Any]) -> None:
        super().__init__()
        self.key, self.home = key, home
        self.users = 0
        self.listed = False
        self.kept_for: Row | None = None

    @abc.abstractmethod
    def opens(self, now: float) -> float:
        """When it is open: `now`, a later time, or `NEVER` (until somebody leaves)."""

    def left(self) -> None:
        """One user less."""
        self.users -= 1
        if not self.users:
            self.home.pop(self.key, None)  # a key that was changed meanwhile is not found


class Turnstile(Door):
    """A rate's door: shut for a while once somebody has passed."""

    __slots__ = ("pace",)

    def __init__(self, key: Hashable, home: dict[Hashable, Any], pace: Gcra) -> None:
        super().__init__(key, home)
        self.pace = pace

    def opens(self, now: float) -> float:
        """When the rate allows the next."""
        return self.pace.when(self.key, now)


class Room(Door):
    """A limit's door: shut while as many are inside as may be."""

    __slots__ = ("inside", "n")

    def __init__(self, key: Hashable, home: dict[Hashable, Any], n: int, users: int = 0) -> None:
        super().__init__(key, home)
        self.users = users
        self.n, self.inside = n, 0

    def opens(self, now: float) -> float:
        """`now` or `NEVER`."""
        return now if self.inside < self.n else NEVER


class Turnstiles(dict[Hashable, Turnstile]):
    """The doors of one rate, by key; made when asked for.

    Parameters:
        which: the place of its key function among those of the gate.
    """

    __slots__ = ("pace", "which")

    def __init__(self, rate: Rate, which: int) -> None:
        super().__init__()
        self.pace, self.which = Gcra(rate), which

    def __missing__(self, key: Hashable) -> Turnstile:
        door = self[key] = Turnstile(key, self, self.pace)
        return door


class Rooms(dict[Hashable, Room]):
    """The doors of one limit, by key; made when asked for. Parameters as those of `Turnstiles`."""

    __slots__ = ("n", "which")

    def __init__(self, limit: Limit, which: int) -> None:
        super().__init__()
        self.n, self.which = limit.n, which

    def __missing__(self, key: Hashable) -> Room:
        door = self[key] = Room(key, self, self.n)
        return door
