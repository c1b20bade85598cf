"""Another module of the program, whose functions do things to its globals."""

import collections

COUNT = 0
SEEN = []
KNOWN = {}
LATEST = collections.OrderedDict()
_tool = None
best = None


class Settings:
    total = 0
    depth = 3


def bump():
    global COUNT
    COUNT += 1


def note(x):
    SEEN.append(x)


def add(into, x):
    into.append(x)


def squared(x):
    """Only caches."""
    if x not in KNOWN:
        KNOWN[x] = x * x
    return KNOWN[x]


def squared_too(x):
    """Only caches."""
    found = KNOWN.get(x)
    if found is None:
        found = KNOWN[x] = x * x
    return found


def squared_by_trying(x):
    """Only caches."""
    try:
        return KNOWN[x]
    except KeyError:
        value = KNOWN[x] = x * x
        return value


def tool():
    """Makes one when it is first asked for."""
    global _tool
    if _tool is None:
        _tool = {"a": 1}
    return _tool


def counted(x):
    KNOWN[x] = KNOWN.get(x, 0) + 1
    return KNOWN[x]


def largest(x):
    global best
    if best is None or x > best:
        best = x
    return best


def remembered(x):
    global _tool
    if _tool is None:
        _tool = x


class Lazy:
    def __init__(self):
        self._made = None

    def made(self):
        if self._made is None:
            self._made = {"a": 1}
        return self._made

    def use(self, x):
        return self.made().get(x)
