"""Workers of `processes+async` stay warm, uvloop or not."""

import asyncio
import os

import plait


async def pid(_):
    await asyncio.sleep(0)
    return os.getpid()


def test_the_next_run_finds_the_same_workers():
    with plait.Pool(workers=1):
        runs = [set(plait.map(pid, range(20), model="processes+async", workers=1)) for _ in range(3)]
    assert len(set.union(*runs)) == 1
