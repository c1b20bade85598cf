"""Which event loop a call comes from: a store, called in a thread, may have to use a connection that belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["in_thread", "loop_of_call"]

T = TypeVar("T")
_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("plait_jobs_loop", default=None)


def loop_of_call() -> asyncio.AbstractEventLoop | None:
    """The loop in which the coroutine waits that this call, in a thread, is for; `None`: there is none."""
    return _loop.get()


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Call `function` in a thread, without blocking the loop; cancelled, it ends only when the call has ended.

    What the call uses is the caller's again when this returns or raises.
    """
    token = _loop.set(asyncio.get_running_loop())
    try:
        call = asyncio.ensure_future(asyncio.to_thread(function, *args))
    finally:
        _loop.reset(token)
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        while not call.done():
            try:
                await asyncio.wait([call])
            except asyncio.CancelledError:
                continue
        if not call.cancelled():
            call.exception()  # it is looked at
        raise
