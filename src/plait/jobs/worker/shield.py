"""`shield`: who ends a service may ask each of its processes to (systemd does); in good order only the worker can."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

from plait.styles.threads import inside

__all__ = ["shield"]

_ASKED = {signal.SIGTERM}
_forking = threading.local()


def shield() -> None:
    """Have this process, if it is one that a worker runs jobs in, leave SIGTERM to the worker, which ends it.

    What a task executes or forks can be ended by it as ever.
    """
    if not inside.get() or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _left_to_the_worker)  # not ignored: what a task executes would inherit that
        os.register_at_fork(before=_before_fork, after_in_parent=_unblock, after_in_child=_unshield)


def _left_to_the_worker(number: int, frame: FrameType | None) -> None:
    """The worker was asked to end as well, and lets this job end, or ends this process."""


def _before_fork() -> None:
    """What is sent to the child at once waits until it has its own way with it again."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _unshield() -> None:
    if signal.getsignal(signal.SIGTERM) is _left_to_the_worker:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _unblock()
