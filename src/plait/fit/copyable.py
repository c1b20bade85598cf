"""What cannot be copied to another process with the same meaning, told by its type: nothing is imported for it."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = [
    "SHAREABLE",
    "attribute_that_stays",
    "is_container",
    "is_thread_bound",
    "is_thread_local",
    "stays_per_process",
    "what_stays",
]

#: (module, class) -> the word for it. Looked up for a value's class and every class above it.
_KINDS = {
    ("_thread", "lock"): "a lock",
    ("_thread", "RLock"): "a lock",
    ("threading", "_RLock"): "a lock",
    ("threading", "Condition"): "a condition",
    ("threading", "Semaphore"): "a semaphore",
    ("threading", "Event"): "an event",
    ("threading", "Barrier"): "a barrier",
    ("threading", "Thread"): "a thread",
    ("_io", "_IOBase"): "an open file",
    ("tempfile", "_TemporaryFileWrapper"): "an open file",
    ("_socket", "socket"): "a socket",
    ("queue", "Queue"): "a queue",
    ("_queue", "SimpleQueue"): "a queue",
    ("builtins", "generator"): "a generator",
    ("builtins", "async_generator"): "a generator",
    ("builtins", "coroutine"): "a coroutine",
    ("sqlite3", "Connection"): "a database connection",
    ("sqlite3", "Cursor"): "a database cursor",
    ("psycopg", "BaseConnection"): "a database connection",
    ("psycopg2.extensions", "connection"): "a database connection",
    ("subprocess", "Popen"): "a process",
    ("concurrent.futures._base", "Executor"): "an executor",
    ("concurrent.futures._base", "Future"): "a future",
    ("_asyncio", "Future"): "a future",
    ("asyncio.locks", "Lock"): "an asyncio lock",
    ("asyncio.mixins", "_LoopBoundMixin"): "an asyncio object",
    ("asyncio.events", "AbstractEventLoop"): "an event loop",
    ("aiohttp.client", "ClientSession"): "a client session",
    ("httpx", "BaseClient"): "a client",
    ("httpx._client", "BaseClient"): "a client",
    ("multiprocessing.queues", "Queue"): "a queue",
    ("multiprocessing.synchronize", "SemLock"): "a lock",
    ("mmap", "mmap"): "a mapped file",
    ("random", "Random"): "a random number generator",
    ("numpy.random._generator", "Generator"): "a random number generator",
    ("numpy.random.mtrand", "RandomState"): "a random number generator",
    ("numpy.random.bit_generator", "BitGenerator"): "a random number generator",
    ("torch._C", "Generator"): "a random number generator",
}
#: An iterator that is reached from several calls is there to be advanced.
_ITERATORS = ("itertools", "an iterator")
#: Threads of one process may share these; all else that stays must not even overlap.
SHAREABLE = frozenset(
    {"a lock", "a condition", "a semaphore", "an event", "a barrier", "a thread", "a queue", "an executor", "a future"}
    | {"a client", "an asyncio lock", "an asyncio object", "an event loop", "a client session"}
)
#: What works in the thread only that made it, unless that was told otherwise; it cannot be seen which.
_THREAD_BOUND = frozenset({("sqlite3", "Connection"), ("sqlite3", "Cursor")})
#: Modules whose attributes functions set for their own process, not to hand on results.
_PER_PROCESS = frozenset({"os", "sys", "warnings", "random", "locale", "signal", "gc", "time"})
#: Generators that a module keeps for all: each process has its own, seeded by itself.
_SHARED = (("random", "_inst"), ("numpy.random.mtrand", "_rand"))


def what_stays(value: Any) -> str | None:
    """`"a lock"`, `"an open file"`, ... when `value` means something in this process only; else `None`."""
    kind = type(value)
    if kind is BuiltinFunctionType or kind is MethodType:
        return _what_of_its_owner(value.__self__)
    if kind.__module__ in ("io", "_io") and kind.__name__ in ("StringIO", "BytesIO"):
        return None
    if value is sys.stdout or value is sys.stderr or value is sys.stdin or kind is type:
        return None
    if kind.__module__ == _ITERATORS[0] or (kind.__module__ == "builtins" and kind.__name__.endswith("_iterator")):
        return _ITERATORS[1]
    if (kind.__module__, kind.__name__) == ("random", "SystemRandom"):  # it has no state
        return None
    for above in kind.__mro__:
        found = _KINDS.get((above.__module__, above.__qualname__))
        if found:
            return found
    return None


def _what_of_its_owner(owner: Any) -> str | None:
    """What a bound method brings with it."""
    if owner is None or isinstance(owner, (ModuleType, type, BuiltinFunctionType, MethodType)):
        return None
    for module, name in _SHARED:
        if owner is getattr(sys.modules.get(module), name, None):
            return None
    return what_stays(owner)


def is_thread_bound(value: Any) -> bool:
    """Whether only the thread that made it may use it."""
    if type(value) in (BuiltinFunctionType, MethodType):
        value = value.__self__
    return any((above.__module__, above.__qualname__) in _THREAD_BOUND for above in type(value).__mro__)


def is_thread_local(value: Any) -> bool:
    """Whether each thread sees attributes of its own, which nothing sets for a new one."""
    kind = type(value)
    if not any((above.__module__, above.__qualname__) == ("_thread", "_local") for above in kind.__mro__):
        return False
    return all("__init__" not in vars(above) for above in kind.__mro__[:-2])


def stays_per_process(value: Any) -> bool:
    """Whether setting an attribute of it is meant for this process (or thread) alone."""
    if isinstance(value, ModuleType):
        return value.__name__.partition(".")[0] in _PER_PROCESS
    return is_thread_local(value) or (type(value).__module__, type(value).__name__) == ("os", "_Environ")


def attribute_that_stays(value: Any) -> tuple[str, str] | None:
    """The first attribute of an instance that stays, as (its name, what it is)."""
    if type(value).__module__ == "logging" or isinstance(value, type):
        return None
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is dict and not _says_how_it_is_copied(type(value)):
        for name, held in list(attributes.items()):
            found = what_stays(held)
            if found:
                return name, found
    return None


def _says_how_it_is_copied(kind: type) -> bool:
    """Whether its class leaves out by itself what cannot be copied."""
    return any(
        isinstance(vars(above).get(name), FunctionType)
        for above in kind.__mro__
        for name in ("__reduce__", "__reduce_ex__", "__getstate__")
    )


def is_container(value: Any) -> bool:
    """Whether values can be put into `value` for later calls to see."""
    if isinstance(value, (list, dict, set, bytearray)):
        return True
    kind = type(value)
    return (kind.__module__, kind.__name__) in {
        ("collections", "deque"),
        ("array", "array"),
        ("_io", "StringIO"),
        ("_io", "BytesIO"),
    }
