"""`Gate`: which of the items that wait may begin now, by all rates and limits at once.

    put -> row of its keys -> round: each has one turn -> all its doors are open -> taken
                                ^                     -> one is shut: the row waits at that door
                                |                                             |
                                +- a room has a place again (`done`) ---------+
                                +- its time has come <- timetable <- turnstile-+

A row waits at one door only, and a door has a turn like a row has: when it opens, the first row at it is tried. So a
door that a thousand rows share costs one trial when it opens, not a thousand.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from heapq import heappop, heappush
from typing import Any

from plait.policy.doors import NEVER, NOTHING, Door, Room, Rooms, Row, Turnstiles
from plait.policy.limit import Limit
from plait.policy.rate import Gcra, Rate

__all__ = ["PATIENCE", "Gate"]

#: A row whose turn came so often in vain gets the next place at each of its doors. Where rows share several doors in
#: different ways, one might otherwise never find all of them open at the same time.
PATIENCE = 16


class Gate:
    """Decides which items may begin.

    Fair: of the keys that may go, each gets a turn before any gets its second; items of the same keys go in order.
    No row waits for ever: see `PATIENCE`.

    Parameters:
        rates: attempts count, from each `take`.
        limits: items count, from `take` to `done`.

    An item's reference (`ref`) is anything hashable. It is put again (for a retry) once it is done, not before.

    Concurrency: none; call it under one lock. Times may be of any clock, and should not run backwards.

    Cost: O(log keys) an item: 3 to 4 us in all with one keyed rate, 6 us with a keyed limit beside it; 360 bytes a key.
    """

    def __init__(self, rates: Sequence[Rate], limits: Sequence[Limit]) -> None:
        self.waiting = 0
        self._paces = [Gcra(rate) for rate in rates if rate.key is None]
        self._whole = tuple([Room(None, {}, limit.n, users=1) for limit in limits if limit.key is None])
        self._keys: list[Callable[[Any], Hashable]] = []
        self._turnstiles = [Turnstiles(rate, self._which(rate.key)) for rate in rates if rate.key is not None]
        self._rooms = [Rooms(limit, self._which(limit.key)) for limit in limits if limit.key is not None]
        self._rows: dict[Any, Row] = {}
        self._round: deque[Row | Door] = deque()
        self._timetable: list[tuple[float, int, Door]] = []
        self._count = itertools.count()
        self._begun: dict[Any, tuple[Room, ...]] = {}
        self._starving: deque[Row] = deque()
        self._favoured: Row | None = None

    def _which(self, key: Callable[[Any], Hashable]) -> int:
        """The place of a key function: it is called once an item, however many rules have it."""
        if key not in self._keys:
            self._keys.append(key)
        return self._keys.index(key)

    def __len__(self) -> int:
        """How many items wait."""
        return self.waiting

    # --- what the caller does ---------------------------------------------------------------------------------------

    def keys(self, item: Any) -> Any:
        """The keys of `item`, for `line_up`. Needs no lock: the user's functions may take any time, and any lock.

        Raises:
            Exception: what a key function raises, and `TypeError` for a key that is not hashable.
        """
        functions = self._keys
        keys: Any = functions[0](item) if len(functions) == 1 else tuple([key(item) for key in functions])
        hash(keys)
        return keys

    def put(self, ref: Any, item: Any, *, first: bool = False) -> None:
        """`line_up` with the keys of `item`, and what `keys` raises: nothing is kept then."""
        self.line_up(ref, self.keys(item), first=first)

    def line_up(self, ref: Any, keys: Any, *, first: bool = False) -> None:
        """An item of these `keys` waits, known as `ref`; `first`: before all others with the same keys."""
        row = self._rows.get(keys)
        if row is None:
            parts = (keys,) if len(self._keys) == 1 else keys
            turnstiles = tuple([known[parts[known.which]] for known in self._turnstiles])
            rooms = tuple([known[parts[known.which]] for known in self._rooms])
            row = Row(keys, turnstiles, rooms, self._whole)
            row.first = ref
            self._rows[keys] = row
            self._round.append(row)
        elif first:
            row.appendleft(ref)
        else:
            row.append(ref)
        self.waiting += 1

    def take(self, now: float, room: int) -> list[Any]:
        """Up to `room` items that may begin now. All rules count them as begun."""
        taken: list[Any] = []
        if not self.waiting:
            return taken
        for limit in self._whole:
            room = min(room, limit.n - limit.inside)
        if room > 0:
            self._wake(now)
        while len(taken) < room:
            for pace in self._paces:
                if pace.when(None, now) > now:
                    return taken
            row = self._next(now)
            if row is None:
                break
            taken.append(self._begin(row, now))
        return taken

    def done(self, ref: Any) -> None:
        """The item is not in progress any more: it ended, or it waits for a retry. No effect if it was not taken."""
        for room in self._begun.pop(ref, ()):
            room.inside -= 1
            if room.first is not NOTHING and not room.listed and room.kept_for is None:
                room.listed = True
                self._round.append(room)
            room.left()

    def give_back(self, ref: Any) -> None:
        """The item was taken but did not begin. It is not in progress; the rates that it has used stay used."""
        self.done(ref)

    def next_time(self, now: float) -> float | None:
        """When `take` may give something if nothing else happens: `now`, a later time, or `None`: not by time alone.

        It is never too late. It may be too early where rows share doors in different ways: ask again then.
        """
        if not self.waiting or any(room.inside >= room.n for room in self._whole):
            return None
        self._wake(now)
        at = now if self._next(now) is not None else self._opens(now)
        return None if at == NEVER else max([at, *(pace.when(None, now) for pace in self._paces)])

    def clear(self) -> None:
        """Forget all that wait. Those in progress still count, and what the rates have used stays used."""
        for door in (*self._round, *(entry[2] for entry in self._timetable)):
            if isinstance(door, Door):
                door.listed = False
        for row in self._rows.values():
            row.turned_away = 0
            for door in row.doors:
                door.empty()
                door.kept_for = None
                door.left()
        for known in (self._rows, self._round, self._timetable, self._starving):
            known.clear()
        self._favoured = None
        self.waiting = 0

    # --- turns ------------------------------------------------------------------------------------------------------

    def _wake(self, now: float) -> None:
        """Doors whose time has come have a turn."""
        timetable = self._timetable
        while timetable and timetable[0][0] <= now:
            door = heappop(timetable)[2]
            door.listed = False
            if door.first is not NOTHING:
                self._list(door, now)

    def _list(self, door: Door, now: float) -> None:
        """See to it that `door`, at which rows wait, has its turn when it opens."""
        if door.kept_for is not None:
            return  # listed again when the favoured row has passed
        opens = door.opens(now)
        if opens <= now:
            door.listed = True
            self._round.append(door)
        elif opens < NEVER:  # a full room is listed when somebody leaves
            door.listed = True
            heappush(self._timetable, (opens, next(self._count), door))

    def _next(self, now: float) -> Row | None:
        """The row that may go now; all that have a turn before it and may not, wait elsewhere from now on."""
        if self._starving:
            self._favour()
        favoured, turns = self._favoured, self._round
        if favoured is not None and all(door.opens(now) <= now for door in favoured.doors):
            return favoured
        while turns:
            source = turns[0]
            if isinstance(source, Row):
                row, shut = source, self._obstacle(source, now, None)
                if shut is None:
                    return row
                turns.popleft()
            else:
                row = source.first
                if row is NOTHING or source.kept_for is not None or source.opens(now) > now:
                    turns.popleft()
                    source.listed = False
                    if row is not NOTHING:  # a row that came by another door was quicker
                        self._turned_away(row)
                        self._list(source, now)
                    continue
                shut = self._obstacle(row, now, source)
                if shut is None:
                    return row
                source.popleft()
                self._turned_away(row)
            row.at = shut
            shut.append(row)
            if not shut.listed:
                self._list(shut, now)
        return None

    @staticmethod
    def _obstacle(row: Row, now: float, via: Door | None) -> Door | None:
        """The door at which `row` has to wait: that which opens last.

        A row that does not come from a door (`via`) lines up behind those who wait at one that is open, too.
        """
        shut, latest = None, now
        for door in row.doors:
            if door is via:
                continue
            opens = NEVER if door.kept_for is not None else door.opens(now)
            if opens > latest:
                shut, latest = door, opens
            elif via is None and shut is None and door.first is not NOTHING:
                shut = door
        return shut

    def _begin(self, row: Row, now: float) -> Any:
        """The first item of `row`, the one that `_next` named, begins."""
        ref = row.popleft()
        self.waiting -= 1
        for turnstile in row.turnstiles:
            turnstile.pace.take(turnstile.key, now)
        for pace in self._paces:
            pace.take(None, now)
        if row.counts:
            for room in row.counts:
                room.inside += 1
                room.users += 1
            self._begun[ref] = row.counts
        row.turned_away = 0
        if row is self._favoured:
            self._favoured = None
            for door in row.doors:
                door.kept_for = None
                if door.first is not NOTHING and not door.listed:
                    self._list(door, now)
        else:
            source = self._round.popleft()
            if isinstance(source, Door):
                source.popleft()
                source.listed = False
                if source.first is not NOTHING:
                    self._list(source, now)
        if row.first is not NOTHING:
            self._round.append(row)
        else:
            self._rows.pop(row.keys, None)
            for door in row.doors:
                door.left()
        return ref

    # --- those who would never find all their doors open ------------------------------------------------------------

    def _turned_away(self, row: Row) -> None:
        row.turned_away += 1
        if row.turned_away == PATIENCE:
            self._starving.append(row)

    def _favour(self) -> None:
        """The row that starves for longest has its doors to itself until it passes: one row at a time."""
        while self._favoured is None and self._starving:
            row = self._starving.popleft()
            if row.turned_away >= PATIENCE and row.at is not None:
                row.at.remove(row)
                self._favoured = row
                for door in row.doors:
                    door.kept_for = row

    def _opens(self, now: float) -> float:
        """When the next door opens at which rows wait, there being nobody who may go now."""
        favoured, timetable = self._favoured, self._timetable
        soonest = NEVER if favoured is None else max(door.opens(now) for door in favoured.doors)
        while timetable and (timetable[0][2].first is NOTHING or timetable[0][2].kept_for is not None):
            heappop(timetable)[2].listed = False
        return min(soonest, timetable[0][0]) if timetable else soonest
