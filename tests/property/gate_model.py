"""What a `Gate` should do, told by looking at all that ever happened, each time."""

import math
from collections import Counter, defaultdict, deque

__all__ = ["Model", "key_a", "key_b", "key_c"]


def key_a(item):
    return item[0]


def key_b(item):
    return item[1]


def key_c(item):
    return item[2]


class Model:
    """What the rules allow, told from all that ever happened."""

    def __init__(self, rates, limits):
        self.rates, self.limits = rates, limits
        self.waiting: dict[object, deque] = defaultdict(deque)
        self.items: dict[int, tuple] = {}
        self.begun: dict[tuple, list[float]] = defaultdict(list)
        self.inside: dict[int, list[tuple]] = {}

    def combination(self, item):
        return tuple(rule.key(item) for rule in (*self.rates, *self.limits) if rule.key is not None)

    def put(self, ref, item, first):
        row = self.waiting[self.combination(item)]
        (row.appendleft if first else row.append)(ref)
        self.items[ref] = item

    def places(self, rules, item):
        """(rule's number, key) of all rules."""
        return [(at, rule.key(item) if rule.key else None) for at, rule in enumerate(rules)]

    def opens(self, item, now, counts=None):
        """When the item may begin if nothing else happens; inf: not by time alone."""
        counts, at = counts or self.counts(), now
        for place in self.places(self.limits, item):
            if counts[place] >= self.limits[place[0]].n:
                return math.inf
        for place in self.places(self.rates, item):
            rate, begun = self.rates[place[0]], self.begun[place]
            for number, start in enumerate(begun):  # with it, no window from `start` on may hold too many
                at = max(at, start + (len(begun) - number + 1 - rate.burst) * rate.interval)
        return at

    def counts(self):
        return Counter(place for held in self.inside.values() for place in held)

    def begin(self, ref, now):
        item = self.items[ref]
        row = self.waiting[self.combination(item)]
        assert row[0] == ref, "first in, first out"
        assert self.opens(item, now) <= now, "all rules allow it"
        row.popleft()
        for place in self.places(self.rates, item):
            self.begun[place].append(now)
        self.inside[ref] = self.places(self.limits, item)

    def heads(self, now):
        counts = self.counts()
        return [self.opens(self.items[row[0]], now, counts) for row in self.waiting.values() if row]

    def __len__(self):
        return sum(map(len, self.waiting.values()))
