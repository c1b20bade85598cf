"""Style `loop`: several items at once on an asyncio event loop.

Items are run by slots: coroutines that take one item after the other. That costs a fifth of a task for each item, and
bounds what is in progress by itself. Timeouts are swept for all slots together: `asyncio.timeout` costs 5.7 us an item.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from contextvars import Context, copy_context
from itertools import pairwise
from time import perf_counter, thread_time
from typing import Any

from plait.errors import ItemTimeout, RunCancelled
from plait.policy.overdue import tick_for
from plait.styles.batch import Batch, Emit, Raised, raised
from plait.styles.resources import open_async
from plait.styles.serial import changed
from plait.styles.threads import inside

__all__ = ["LoopRunner"]

log = logging.getLogger("plait")

#: Seconds that items which never wait may keep the loop from everything else on it.
TURN = 0.002
#: Seconds after which results are told of at once: behind items that all compute, their own turn comes late.
SOON = 0.01


class LoopRunner:
    """Runs items in up to `width` slots on the running loop.

    Parameters:
        words: where slot `i` says what it has in hand.
        emit: called on the loop with each `Batch`.
        broken: called, once, with the exception if a resource cannot be opened.
        timeout: seconds for an attempt, which is then cancelled; `None`: any time. option: what the user calls them.
        context: the contextvars context of the caller; each item runs in a copy of it.

    Concurrency: every method belongs to the loop's thread.
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
        timeout: float | None = None,
        option: str = "timeout",
    ) -> None:
        self._function, self._resources, self._words = function, resources, words
        self._emit, self._broken, self._timeout = emit, broken, timeout
        self._option = option
        self._context = context.copy()
        self._context.run(inside.set, True)
        self.loop = asyncio.get_running_loop()
        self._todo: deque[tuple[int, Any]] = deque()
        self._width = width
        self._free = list(range(width - 1, -1, -1))
        self._slots: dict[int, asyncio.Task[None]] = {}
        self._began = [0.0] * width
        self._late: set[int] = set()
        self._shorter: dict[int, float] = {}  # sequence number -> seconds: what is left of an item's deadline
        self._done: list[tuple[int, Any, Raised | None]] = []
        self._seconds = 0.0
        self._turn = self._first = perf_counter()
        self._call: Callable[[Any], Any] | None = None
        self._stack: AsyncExitStack | None = None
        self._opening: asyncio.Task[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False
        self._cpu = thread_time()

    def put(self, first: int, items: Sequence[Any], patience: float = float("inf")) -> None:
        """Take over `items`, with less than the usual timeout for each where `patience` is shorter."""
        if self._closed:
            return
        if self._timeout is not None and patience < self._timeout:
            self._shorter.update(dict.fromkeys(range(first, first + len(items)), max(patience, 0.0)))
        self._todo.extend(enumerate(items, first))
        if self._call is None:
            if self._opening is None:
                self._opening = self.loop.create_task(self._open())
            return
        self._wake()

    def resize(self, width: int) -> None:
        """Have up to `width` items in progress from now on; slots beyond it finish the one that they have."""
        if len(self._words) < width:  # a plain list; a worker's board has room for all
            self._words.extend([0] * (width - len(self._words)))
        self._began.extend([0.0] * (width - len(self._began)))
        self._width = width
        self._free = [slot for slot in range(width - 1, -1, -1) if slot not in self._slots]
        if self._call is not None:
            self._wake()

    async def _open(self) -> None:
        try:
            self._call, self._stack = await open_async(self._function, self._resources)
        except BaseException as error:
            self._broken(error)
            return
        if self._timeout is not None:
            self._sweep()
        self._wake()

    def _wake(self) -> None:
        for _ in range(min(len(self._free), len(self._todo))):
            self._start(self._free.pop())

    def _start(self, slot: int) -> None:
        context = self._context.copy()
        task = self.loop.create_task(self._serve(slot), context=context)
        task.add_done_callback(self._ended)
        self._slots[slot] = task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A slot ends by itself or is cancelled; anything else is a fault of ours, and must not hang the run."""
        error = RunCancelled("its tasks were cancelled") if task.cancelled() else task.exception()
        if error is not None and not self._closed:
            self._broken(error)

    async def _serve(self, slot: int) -> None:
        todo, call, words, began = self._todo, self._call, self._words, self._began
        assert call is not None
        clean = copy_context()
        now = perf_counter()
        while todo and slot < self._width:
            seq, item = todo.popleft()
            words[slot] = seq + 1
            began[slot] = now
            failed = None
            value = None
            try:
                value = call(item)
                if inspect.isawaitable(value):
                    value = await value
                else:
                    raise TypeError(
                        f"the function returned {type(value).__name__!r}, not an awaitable: make it `async def`"
                    )
            except BaseException as error:
                if self._ending(slot, error):
                    self._leave(slot)
                    raise
                failed = raised(error, perf_counter() - began[slot])
            then, now = now, perf_counter()
            began[slot] = 0.0  # the sweep leaves a slot between two items alone
            if slot in self._late or (self._timeout is not None and now - then > self._timeout):
                failed = self._overdue(slot, failed, now - then)
            self._shorter.pop(seq, None)
            self._seconds += now - then
            self._finished(seq, None if failed else value, failed, now)
            del value, item
            if now - self._turn > TURN:
                await asyncio.sleep(0)
                now = perf_counter()
            if changed(clean):  # the item set a contextvar, which must not reach the next one
                words[slot] = 0
                if todo and slot < self._width:
                    self._start(slot)
                else:
                    self._leave(slot)
                return
        self._leave(slot)

    def _leave(self, slot: int) -> None:
        self._words[slot] = 0
        self._began[slot] = 0.0
        self._slots.pop(slot, None)
        if slot < self._width:
            self._free.append(slot)

    def _ending(self, slot: int, error: BaseException) -> bool:
        """Whether `error` ends the slot itself: the runner closes, or the loop's owner cancels all its tasks."""
        if self._closed or not self.loop.is_running():
            return isinstance(error, GeneratorExit | asyncio.CancelledError)
        task = asyncio.current_task()
        if not isinstance(error, asyncio.CancelledError) or slot in self._late or not task or not task.cancelling():
            return False
        self._broken(RunCancelled("the tasks of its event loop were cancelled"))
        return True

    def _overdue(self, slot: int, failed: Raised | None, seconds: float) -> Raised:
        """The attempt took too long: cancelled or not, and whatever it made of that, its outcome is refused."""
        fate = "it blocked its event loop, and its result is refused"
        task = asyncio.current_task()
        if slot in self._late and task is not None:
            self._late.discard(slot)
            task.uncancel()
            fate = "its coroutine was cancelled"
        error = ItemTimeout(self._timeout or 0.0, self._option, fate)
        return Raised(error, failed.traceback if failed else f"{type(error).__name__}: {error}\n", seconds)

    def _finished(self, seq: int, value: Any, failed: Raised | None, now: float) -> None:
        if not self._done:
            self.loop.call_soon(self._flush)
            self._first = now
        self._done.append((seq, value, failed))
        if now - self._first > SOON:
            self._flush()

    def _flush(self) -> None:
        self._turn = perf_counter()
        done, self._done = self._done, []
        if not done or self._closed:
            return
        seconds, self._seconds = self._seconds, 0.0
        seqs = [seq for seq, _, _ in done]
        values = [value for _, value, _ in done]
        errors = [(at, failed) for at, (_, _, failed) in enumerate(done) if failed is not None]
        straight = seqs[-1] - seqs[0] == len(seqs) - 1 and all(a < b for a, b in pairwise(seqs))
        cpu = thread_time()
        cpu, self._cpu = cpu - self._cpu, cpu
        self._emit(Batch(seqs[0], values, errors, None if straight else seqs, seconds, None, cpu))

    def _sweep(self) -> None:
        assert self._timeout is not None
        now = perf_counter()
        for slot, task in list(self._slots.items()):
            allowed = self._shorter.get(self._words[slot] - 1, self._timeout) if self._shorter else self._timeout
            if self._began[slot] and now - self._began[slot] > allowed and slot not in self._late:
                self._late.add(slot)
                task.cancel()
        self._sweeping = self.loop.call_later(tick_for(self._timeout), self._sweep)

    def drop(self, seq: int) -> None:
        """Cancel the attempt `seq`, begun or not; its outcome will be refused."""
        for entry in self._todo:
            if entry[0] == seq:
                self._todo.remove(entry)
                self._finished(seq, None, raised(RunCancelled("nobody waits for it"), 0.0, below=0), perf_counter())
                return
        for slot, task in list(self._slots.items()):
            if self._words[slot] == seq + 1 and slot not in self._late:
                self._late.add(slot)
                task.cancel()

    async def close(self, wait: float) -> list[str]:
        """Cancel what runs, close the resources; at most `wait` seconds. Returns what would not end."""
        self._flush()
        self._closed = True
        self._todo.clear()
        if self._sweeping is not None:
            self._sweeping.cancel()
        tasks: list[asyncio.Task[None]] = [task for task in self._slots.values() if not task.done()]
        if self._opening is not None and not self._opening.done():
            tasks.append(self._opening)
        for task in tasks:
            task.cancel()
        stuck: list[str] = []
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=wait)
            stuck = [repr(task) for task in pending]
        if self._stack is not None:
            try:
                await asyncio.wait_for(self._stack.aclose(), max(wait, 1.0))
            except TimeoutError:
                stuck.append("the closing of its resources")
            except Exception:
                log.exception("A resource could not be closed.")
        return stuck
