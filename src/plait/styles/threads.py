"""Style `threads`: several items at once, each share of them in a thread."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context, ContextVar
from queue import SimpleQueue
from typing import Any

from plait.styles.batch import Emit
from plait.styles.resources import open_sync
from plait.styles.serial import Streaming, run_items

__all__ = ["ThreadsRunner", "inside"]

log = logging.getLogger("plait")

#: True in a thread or coroutine that runs items: a `map` called there stays serial unless told otherwise.
inside: ContextVar[bool] = ContextVar("plait_inside", default=False)

_Share = tuple[int, Sequence[Any], float]


class ThreadsRunner:
    """Runs shares of items on up to `width` threads, started as they are needed.

    Parameters:
        function: what to call with each item.
        resources: made once for each thread, since handles are rarely thread-safe.
        width: how many threads.
        words: where slot `i` says what thread `i` has in hand.
        emit: called from the threads with each `Batch`.
        broken: called, once, with the exception if a resource cannot be opened.
        context: the contextvars context of the caller; each share runs in a copy.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        resources: Mapping[str, Any],
        width: int,
        words: Any,
        emit: Emit,
        broken: Callable[[BaseException], None],
        context: Context,
        name: str,
    ) -> None:
        self._function, self._resources, self._width = function, resources, width
        self._words, self._emit, self._broken, self._context, self._name = words, emit, broken, context, name
        self._queue: SimpleQueue[_Share | None] = SimpleQueue()
        self._unfinished = 0  # shares that were put and are not done
        self._threads: dict[int, threading.Thread] = {}  # by slot
        self._opened = 0  # threads that have their resources
        self._lock = threading.Lock()
        self._closing = False
        self._streaming = Streaming()

    def put(self, first: int, items: Sequence[Any], grain: int, budget: float) -> None:
        """Take over `items`, `grain` of them to a thread at a time."""
        shares = 0
        for start in range(0, len(items), grain):
            share = items if grain >= len(items) else items[start : start + grain]
            self._queue.put((first + start, share, budget))
            shares += 1
        with self._lock:
            self._unfinished += shares
            self._fill()

    def resize(self, width: int) -> None:
        """Have up to `width` threads from now on; those beyond it finish the share that they have."""
        with self._lock:
            if self._closing:
                return
            if isinstance(self._words, list):  # a worker's board has room for all
                self._words.extend([0] * (width - len(self._words)))
            self._width = width
            self._fill()

    def _fill(self) -> None:
        """Start the threads that are missing; one beyond the width leaves when it next gets something to do."""
        missing = min(self._width, self._unfinished) - len(self._threads)
        if missing <= 0 or self._closing:
            return
        free = (slot for slot in range(self._width) if slot not in self._threads)
        for slot in list(itertools.islice(free, missing)):
            thread = threading.Thread(target=self._serve, args=(slot,), name=f"{self._name}-{slot}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no more threads: those that there are will do
                if not self._threads:
                    raise
                self._width = max(self._threads) + 1
                log.warning("The system gives no more threads: %s goes on with %d.", self._name, len(self._threads))
                return
            self._threads[slot] = thread

    def _serve(self, slot: int) -> None:
        try:
            call, finish = open_sync(self._function, self._resources)
        except BaseException as error:
            if not self._give_way(slot, error):
                self._broken(error)
            return
        with self._lock:
            self._opened += 1
        context = self._context.copy()
        context.run(inside.set, True)
        left = False
        try:
            left = context.run(self._work, slot, call)
        except BaseException as error:  # not the function's: that is in its batch
            self._broken(error)
        finally:
            try:
                finish()
            except Exception:
                log.exception("A resource of %s could not be closed.", self._name)
            if left:
                with self._lock:
                    self._opened -= 1
                    self._threads.pop(slot, None)
                    self._fill()

    def _give_way(self, slot: int, error: BaseException) -> bool:
        """A resource cannot be opened once more: go on with the threads that have theirs, if there are any."""
        with self._lock:
            self._threads.pop(slot, None)
            others = self._opened
            if others:
                self._width = min(self._width, others)
        if others:
            log.warning(
                "%s goes on with %d threads: a resource cannot be opened again (%r).", self._name, others, error
            )
        return others > 0

    def _work(self, slot: int, call: Callable[[Any], Any]) -> bool:
        """Run shares until there are no more; true when fewer threads are wanted."""
        words, queue = self._words, self._queue
        while (share := queue.get()) is not None and not self._closing:
            if slot >= self._width:  # the width has shrunk: others see to it
                queue.put(share)
                return True
            first, items, budget = share
            run_items(call, items, first, words, slot, self._emit, budget, streaming=self._streaming)
            words[slot] = 0
            with self._lock:
                self._unfinished -= 1
            del share, items
        return False

    def native_ids(self) -> list[int]:
        """What the system calls its threads."""
        return [thread.native_id for thread in list(self._threads.values()) if thread.native_id is not None]

    def close(self, wait: float) -> list[threading.Thread]:
        """Begin nothing more; wait up to `wait` seconds. Returns the threads that are stuck in an item."""
        with self._lock:
            self._closing = True
            threads = list(self._threads.values())
        self._streaming.close()
        for _ in threads:
            self._queue.put(None)
        until = time.monotonic() + wait
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))
        return [t for t in threads if t.is_alive() and t is not threading.current_thread()]
