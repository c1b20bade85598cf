"""Local servers in processes of their own: a protocol that answers, served until whoever started it is gone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["serve", "serving"]

ROOT = Path(__file__).resolve().parent.parent


async def serve(answering: Callable[[], asyncio.Protocol]) -> None:
    """Serve on a free port, which is printed, until standard input is closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(answering, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    gone = asyncio.Event()
    loop.add_reader(sys.stdin, gone.set)
    await gone.wait()


@contextmanager
def serving(module: str, *words: str) -> Iterator[tuple[int, int]]:
    """The server that `python -m MODULE WORDS` is: its port and its process id."""
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield int(process.stdout.readline()), process.pid  # type: ignore[union-attr]
        finally:
            process.kill()
