"""Exit codes, the same for every command."""

from __future__ import annotations

__all__ = ["DONE", "INTERRUPTED", "MISUSED", "PIPE_CLOSED", "SOME_FAILED"]

DONE = 0
#: Items failed.
SOME_FAILED = 1
#: Wrong usage, or an input, output or journal that cannot be used.
MISUSED = 2
#: By Ctrl-C (after SIGTERM it is 143).
INTERRUPTED = 130
#: Who read the results has gone.
PIPE_CLOSED = 141
