"""What of the standard library and of NumPy changes its arguments, or belongs to one thread, by its name."""

from __future__ import annotations

from collections import defaultdict
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType
from typing import Any

from plait.fit.copyable import is_container
from plait.fit.things import is_array

__all__ = ["ADVANCES", "METHODS", "changed_argument", "fills_itself", "is_mutator", "named", "of_main_thread"]

# fmt: off
#: Methods by which containers are changed.
METHODS = frozenset({
    "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert",
    "intersection_update", "move_to_end", "pop", "popitem", "popleft", "remove", "reverse", "rotate", "setdefault",
    "sort", "subtract", "symmetric_difference_update", "update", "write", "writelines",
    "__setitem__", "__delitem__", "__iadd__", "__ior__",
})
#: The same of arrays.
_OF_ARRAYS = frozenset({"fill", "itemset", "partition", "put", "resize", "setfield", "setflags", "sort"})
#: Functions -> the position of the argument that they change.
_CHANGES = {
    **{(module, name): 0 for module in ("_heapq", "heapq") for name in (
        "heappush", "heappop", "heapify", "heapreplace", "heappushpop", "_heappop_max", "_heapify_max")},
    **{(module, name): 0 for module in ("_bisect", "bisect") for name in ("insort", "insort_left", "insort_right")},
    **{(module, name): 0 for module in ("_operator", "operator") for name in (
        "setitem", "delitem", "iadd", "iand", "iconcat", "ior", "isub", "ixor", "imul")},
    ("builtins", "setattr"): 0, ("builtins", "delattr"): 0,
    ("random", "Random.shuffle"): 0,
    ("json", "dump"): 1, ("_pickle", "dump"): 1,
    **{("numpy", name): 0 for name in (
        "copyto", "put", "place", "putmask", "fill_diagonal", "put_along_axis", "ufunc.at")},
}
#: What takes the next value of an iterator.
ADVANCES = frozenset({("builtins", "next"), ("builtins", "anext")})
#: What works in the main thread only, or acts upon it.
_OF_MAIN_THREAD = frozenset({
    "signal", "alarm", "setitimer", "siginterrupt", "set_wakeup_fd", "pthread_sigmask", "sigwait", "sigtimedwait",
    "sigwaitinfo", "pause", "default_int_handler",
})
# fmt: on


def named(value: Any) -> tuple[str, str]:
    """Module and qualified name of a function."""
    if isinstance(value, MethodType):
        value = value.__func__
    if isinstance(value, MethodDescriptorType):
        return value.__objclass__.__module__, value.__qualname__
    if isinstance(value, (FunctionType, BuiltinFunctionType)) or type(value).__module__ == "numpy":
        module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", getattr(value, "__name__", ""))
        return str(module), str(name)
    return "", ""


def changed_argument(value: Any) -> int | None:
    """Which of its arguments a function changes, as far as is known."""
    if isinstance(value, MethodDescriptorType) and value.__name__ in METHODS and _makes_containers(value.__objclass__):
        return 0  # list.append(found, x)
    return _CHANGES.get(named(value))


def _makes_containers(kind: type) -> bool:
    return kind in (list, dict, set, bytearray) or (kind.__module__, kind.__name__) == ("collections", "deque")


def is_mutator(value: Any, method: str) -> bool:
    """Whether calling the method of this object changes it."""
    return (method in METHODS and is_container(value)) or (method in _OF_ARRAYS and is_array(value))


def fills_itself(value: Any) -> bool:
    """Whether asking a mapping for a key that it lacks adds one that depends on more than the key.

    A factory that has nothing of its own (`int`, `list`, `lambda: 0`) gives the same everywhere.
    """
    if isinstance(value, defaultdict):
        factory = value.default_factory
        code = getattr(factory, "__code__", None)
        plain = factory is None or isinstance(factory, type)
        return not (plain or (code is not None and not code.co_names and not code.co_freevars))
    return isinstance(value, dict) and isinstance(getattr(type(value), "__missing__", None), FunctionType)


def of_main_thread(value: Any) -> bool:
    """Whether it is a function of `signal` that has to be called in, or acts upon, the main thread."""
    module, name = named(value)
    return module in ("signal", "_signal") and name in _OF_MAIN_THREAD
