"""Place `here`: this process; one seat, of threads or of slots on an event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any

from plait import machine
from plait.placement import Placement
from plait.places.crew import Listener, Work
from plait.styles.batch import Batch, raised
from plait.styles.loop import LoopRunner
from plait.styles.threads import ThreadsRunner

__all__ = ["HereCrew"]

#: Threads whose waiting for a CPU is looked at: of more, it would cost too much and tell too little.
FEW = 16


class HereCrew:
    """One seat in this process; style `serial` is one thread."""

    def __init__(self, work: Work, placement: Placement, listener: Listener) -> None:
        self.work, self.placement, self.listener = work, placement, listener
        self.seat: _Threads | _Loop | None = None
        self.closed = self.opening = False
        self.lock = threading.Lock()

    def open(self, seats: int) -> None:
        """Open the seat; there is only one."""
        with self.lock:
            first, self.opening = not self.opening, True
        if first and not self.closed:
            width = self.placement.width or 1
            kind = _Loop if self.placement.style == "loop" else _Threads
            seat = kind(self, width)
            seat.open()
            self.seat = seat
            if self.closed:  # the run was left meanwhile
                seat.close(0.0)

    def retire(self, seat: Any, reason: str) -> None:
        """The lane has moved on: let its threads or slots end; nobody waits for them now."""
        self.closed = True
        seat.leave()

    def resize(self, width: int) -> None:
        """Have up to `width` items in progress; in style `serial`, one."""
        width = 1 if self.placement.style == "serial" else width
        self.placement = replace(self.placement, width=width)
        if self.seat is not None:
            self.seat.resize(width)

    def close(self, wait: float, *, prompt: bool) -> list[str]:
        """End the threads or slots; names those that are stuck in an item."""
        self.closed = True
        return self.seat.close(wait) if self.seat is not None else []


class _Here:
    can_kill = False
    runner: Any = None  # until it is open

    def __init__(self, crew: HereCrew, width: int) -> None:
        self.crew, self.work, self.width, self.listener = crew, crew.work, width, crew.listener
        self.pid = os.getpid()
        self.slots = [0] * width

    def emit(self, batch: Batch) -> None:
        self.listener.arrived(self, batch, 0, batch.cpu)  # type: ignore[arg-type]

    def broken(self, error: BaseException) -> None:
        self.listener.broken(error, raised(error, 0.0, below=0).traceback)

    def words(self) -> list[int]:
        return list(self.slots)

    def queued(self) -> float:
        return sum(machine.queued_seconds(self.pid, thread) or 0.0 for thread in self.threads())

    def threads(self) -> list[int]:
        return []

    def worn(self) -> str:
        return ""

    def kill(self, reason: str) -> None:
        """Nothing here can be killed alone."""

    def drop(self, seq: int) -> None:
        """A thread cannot be cancelled."""


class _Threads(_Here):
    style = "threads"

    def open(self) -> None:
        work = self.work
        self.runner = ThreadsRunner(
            work.function,
            work.resources,
            self.width,
            self.slots,
            self.emit,
            self.broken,
            work.context,
            f"plait-{work.name}",
        )
        self.listener.seated(self)

    def send(self, first: int, items: Sequence[Any], grain: int, budget: float, *, by_value: bool) -> int:
        self.runner.put(first, items, grain, budget)
        return 0

    def threads(self) -> list[int]:
        return self.runner.native_ids() if self.width <= FEW else []

    def resize(self, width: int) -> None:
        self.width = width
        self.runner.resize(width)

    def leave(self) -> None:
        self.runner.close(0.0)

    def close(self, wait: float) -> list[str]:
        frames = sys._current_frames()
        stuck = []
        for thread in self.runner.close(wait):
            frame = frames.get(thread.ident or 0)
            where = f" at {frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""
            stuck.append(f"thread {thread.name}{where}")
        return stuck


class _Loop(_Here):
    style = "loop"

    def open(self) -> None:
        assert self.work.loop is not None
        self.loop: asyncio.AbstractEventLoop = self.work.loop
        self.thread = self.native = 0
        self.loop.call_soon_threadsafe(self._open)

    def _open(self) -> None:
        work = self.work
        emit, broken = self.emit, self.broken
        try:
            self.runner = LoopRunner(
                work.function,
                work.resources,
                self.width,
                self.slots,
                emit,
                broken,
                work.context,
                work.timeout,
                work.option,
            )
            self.thread, self.native = threading.get_ident(), threading.get_native_id()
            self.listener.seated(self)
        except BaseException as error:  # a callback of the loop has nobody to raise to
            self.broken(error)

    def send(self, first: int, items: Sequence[Any], grain: int, budget: float, *, by_value: bool) -> int:
        if threading.get_ident() == self.thread:
            self.runner.put(first, items, budget)
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.runner.put, first, items, budget)
        return 0

    def threads(self) -> list[int]:
        return [self.native] if self.native else []

    def resize(self, width: int) -> None:
        self.width = width
        self._on_loop(lambda: self.runner.resize(width))

    def drop(self, seq: int) -> None:
        self._on_loop(lambda: self.runner.drop(seq))

    def leave(self) -> None:
        def close() -> None:
            self.closing = self.loop.create_task(self.runner.close(1.0))

        self._on_loop(close)

    def _on_loop(self, call: Callable[[], None]) -> None:
        if threading.get_ident() == self.thread:
            call()
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(call)

    closing: asyncio.Task[list[str]] | None = None

    def close(self, wait: float) -> list[str]:
        if self.runner is None or self.loop.is_closed():
            return []
        if threading.get_ident() == self.thread:
            task = self.loop.create_task(self.runner.close(wait))
            self.closing = (
                task  # kept, or it might be collected; on its own loop nobody can wait for it: `async with` does
            )
            return []
        try:
            return asyncio.run_coroutine_threadsafe(self.runner.close(wait), self.loop).result(wait + 0.3)
        except (TimeoutError, RuntimeError, CancelledError):
            return ["the event loop is blocked"]
