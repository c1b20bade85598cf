"""A worker's lane in style `loop`: its socket is read by the event loop that runs the items."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextvars import copy_context
from typing import Any

from plait.places.processes import travel
from plait.places.processes.wire import Frame, Kind, loads
from plait.styles.loop import LoopRunner
from plait.styles.new_loop import new_loop

__all__ = ["serve_loop"]


def serve_loop(worker: Any, task: int, what: Any, function: Any, resources: Any, emit: Any, broken: Any) -> None:
    """Run the lane until the parent closes it or hangs up."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        ended = runner.run(_serve(worker, task, what, function, resources, emit, broken))
    worker.sock.setblocking(True)  # a loop's reader leaves it otherwise
    worker.task = 0
    worker.encoder.trim()
    if ended:
        os._exit(0)
    worker.send(Kind.CLOSED, task)


async def _serve(worker: Any, task: int, what: Any, function: Any, resources: Any, emit: Any, broken: Any) -> bool:
    loop = asyncio.get_running_loop()
    words, context = worker.board.slots, copy_context()
    lane = LoopRunner(function, resources, what.width, words, emit, broken, context, what.timeout, what.option)
    over: asyncio.Future[bool] = loop.create_future()

    def finish(ended: bool) -> None:
        if not over.done():
            over.set_result(ended)

    def handle() -> None:
        closed = False
        for frame in worker.decoder.frames():
            if frame.kind == Kind.EXIT:
                finish(True)
            elif frame.kind == Kind.CLOSE:
                closed = True  # an EXIT may follow
            elif frame.task == task:
                _take(worker, lane, frame)
        if closed:
            finish(False)

    def readable() -> None:
        try:
            if not worker.decoder.receive(socket.MSG_DONTWAIT):
                finish(True)
                return
        except BlockingIOError:
            return
        except OSError:
            finish(True)
            return
        handle()

    loop.add_reader(worker.sock.fileno(), readable)
    worker.send(Kind.OPENED, task, x=time.process_time())
    handle()  # what had come with the frame that opened the lane
    try:
        ended = await over
    finally:
        loop.remove_reader(worker.sock.fileno())
    await lane.close(1.0)
    return ended


def _take(worker: Any, lane: LoopRunner, frame: Frame) -> None:
    """A chunk, another width, or an attempt that nobody waits for."""
    if frame.kind == Kind.WIDTH:
        lane.resize(frame.a)
    elif frame.kind == Kind.DROP:
        lane.drop(frame.a)
    elif frame.kind == Kind.CHUNK:
        try:
            items = loads(frame)
        except BaseException as error:
            worker.send(Kind.UNREADABLE, frame.task, frame.a, body=travel.text(error))
            return
        lane.put(frame.a, items, frame.x)
