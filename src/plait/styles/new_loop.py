"""Makes event loops: uvloop's when it is installed, else asyncio's."""

from __future__ import annotations

import asyncio
import os

__all__ = ["new_loop"]


def new_loop() -> asyncio.AbstractEventLoop:
    """A new event loop."""
    try:
        for fd in (0, 1, 2):
            os.fstat(fd)  # with one of them closed, libuv would take its number and abort the process
        import uvloop
    except Exception:  # not installed, or the interpreter is about to end
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
