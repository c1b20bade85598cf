"""`Neighbours`: the processes of this machine's other workers. The kernel says at once when one of them ends."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping

from plait.machine import capabilities

__all__ = ["Neighbours"]


class Neighbours:
    """Process descriptors of workers. Where the system has none (not Linux), nothing is heard.

    Concurrency: one thread waits; others may say who is there meanwhile.
    """

    def __init__(self) -> None:
        self._descriptors: dict[int, int] = {}
        self._ended: set[int] = set()

    def know(self, workers: Mapping[int, int]) -> None:
        """These are there: the process id of each worker. Whoever is no longer among them is forgotten."""
        for worker in self._descriptors.keys() - workers.keys():
            self._let_go(worker)
        self._ended &= workers.keys()
        if not capabilities().pidfd:
            return
        for worker, pid in workers.items():
            if worker not in self._descriptors and worker not in self._ended:
                try:
                    self._descriptors[worker] = os.pidfd_open(pid)
                except OSError:  # it has ended, or is not ours to see
                    self._ended.add(worker)

    def wait(self, seconds: float, wake: int) -> bool:
        """Wait until one has ended, or the descriptor `wake` can be read; whether one has. Each is told of once."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        of = {descriptor: worker for worker, descriptor in list(self._descriptors.items())}
        for descriptor in of:
            poll.register(descriptor, select.POLLIN)
        ended = [of[descriptor] for descriptor, _ in poll.poll(max(0.0, seconds) * 1000) if descriptor in of]
        for worker in ended:
            self._let_go(worker)
            self._ended.add(worker)
        return bool(ended)

    def _let_go(self, worker: int) -> None:
        descriptor = self._descriptors.pop(worker, None)
        if descriptor is not None:  # else it was forgotten meanwhile
            os.close(descriptor)

    def close(self) -> None:
        """Forget all."""
        self.know({})
