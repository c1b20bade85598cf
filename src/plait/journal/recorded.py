"""`Recorded`: which results are left to replay under a key, in 30 bytes each and without asking the file.

    key -> slot (open addressing) -> position of the first that is left -> position of the next with the same key ...

Slots, positions and keys lie in arrays: a dict would take 200 bytes for each.
"""

from __future__ import annotations

from array import array

__all__ = ["KEY", "Recorded"]

#: Bytes of a key.
KEY = 16

#: Stands for a key whose results are all taken.
SPENT = 0xFFFFFFFF


class Recorded:
    """The keys of recorded results by position, each to be taken once, equal ones in the order of recording.

    Parameters:
        keys: the keys, `KEY` bytes each, one after the other.

    **Cost**: about 0.5 s and 30 MB for each million, and a microsecond to take one. **Concurrency**: one thread at a
    time.
    """

    __slots__ = ("_first", "_keys", "_mask", "_next", "left")

    def __init__(self, keys: bytes) -> None:
        count = len(keys) // KEY
        slots = 8 << (count // 5).bit_length()  # a third to two thirds of them in use
        self._keys, self._mask = keys, slots - 1
        self._first = array("I", [0]) * slots  # position + 1; 0: free
        self._next = array("I", [0]) * count  # of position: the next position + 1; 0: it is the last; or SPENT
        self.left = count
        self._fill(count)

    def _fill(self, count: int) -> None:
        """From the last to the first, so that each finds those after it and stands before them."""
        keys, first, after, mask = self._keys, self._first, self._next, self._mask
        for place in range(count, 0, -1):
            key = keys[(place - 1) * KEY : place * KEY]
            slot = hash(key) & mask
            while head := first[slot]:
                if keys[(head - 1) * KEY : head * KEY] == key:
                    after[place - 1] = head
                    break
                slot = (slot + 1) & mask
            first[slot] = place

    def take(self, key: bytes) -> int | None:
        """The position of the first result under `key` that was not taken yet; `None` where there is none."""
        keys, first = self._keys, self._first
        slot = hash(key) & self._mask
        while head := first[slot]:
            if keys[(head - 1) * KEY : head * KEY] == key:
                return self._spend(slot, head)
            slot = (slot + 1) & self._mask
        return None

    def _spend(self, slot: int, head: int) -> int | None:
        following = self._next[head - 1]
        if following == SPENT:
            return None
        if following:
            self._first[slot] = following
        else:
            self._next[head - 1] = SPENT  # stays in its slot, or keys behind it would not be found
        self.left -= 1
        return head - 1
