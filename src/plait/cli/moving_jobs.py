"""What `plait jobs move` does."""

from __future__ import annotations

from plait.cli.codes import DONE
from plait.cli.early import early, say
from plait.cli.interrupts import Interrupts
from plait.errors import PlaitError
from plait.jobs.move import move
from plait.jobs.open import shown_url

__all__ = ["moved"]


def moved(source: str, destination: str, patience: float) -> int:
    """Move a queue; the exit code."""
    with Interrupts() as interrupts:
        try:
            counts = move(source, destination, say, patience=patience)
        except KeyboardInterrupt as error:  # one that comes too late to keep the queue is not raised
            code = early(error, interrupts.code, "")
            say(f"The queue stays in {shown_url(source)}, and goes on there.")
            return code
        except (PlaitError, OSError) as error:
            return early(error, None, shown_url(source))
    say(f"Moved {counts.jobs:,} jobs that wait, and {counts.ended:,} that have ended.")
    say(f"Start workers on {shown_url(destination)}, and give that URL to Jobs(...).")
    return DONE
