"""What cannot be copied to another process with the same meaning, told by its type: nothing is imported for it."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["attribute_that_stays", "is_container", "what_stays"]

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
}
#: An iterator that is reached from several calls is there to be advanced.
_ITERATORS = ("itertools", "an iterator")
#: Threads of one process may share these; all else that stays must not even overlap.
SHAREABLE = frozenset(
    {"a lock", "a condition", "a semaphore", "an event", "a barrier", "a thread", "a queue", "an executor", "a future"}
    | {"a client", "an asyncio lock", "an asyncio object", "an event loop", "a client session"}
)


def what_stays(value: Any) -> str | None:
    """`"a lock"`, `"an open file"`, ... when `value` means something in this process only; else `None`."""
    kind = type(value)
    if kind.__module__ in ("io", "_io") and kind.__name__ in ("StringIO", "BytesIO"):
        return None
    if value is sys.stdout or value is sys.stderr or value is sys.stdin or kind is type:
        return None
    if kind.__module__ == _ITERATORS[0] or (kind.__module__ == "builtins" and kind.__name__.endswith("_iterator")):
        return _ITERATORS[1]
    for above in kind.__mro__:
        found = _KINDS.get((above.__module__, above.__qualname__))
        if found:
            return found
    return None


def attribute_that_stays(value: Any) -> tuple[str, str] | None:
    """The first attribute of an instance that stays, as (its name, what it is)."""
    if type(value).__module__ == "logging" or isinstance(value, type):
        return None
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is dict:
        for name, held in list(attributes.items()):
            found = what_stays(held)
            if found:
                return name, found
    return None


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
