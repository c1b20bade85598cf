"""Texts that an index cannot hold are refused where they are given: a worker could do nothing about them."""

from __future__ import annotations

from plait.errors import ArgumentRefused
from plait.jobs.records import Draft

__all__ = ["check_texts"]

#: Bytes of a text that PostgreSQL can still find in an index, with some room for what is put in front of it.
LONGEST = 2500


def check_texts(draft: Draft) -> None:
    """Look at the texts of a draft, and of those that follow it, that will be looked for.

    Raises:
        ArgumentRefused: one of them is too long.
    """
    task = draft.task
    texts = {"its name and queue": draft.queue, "unique=": draft.unique or "", "key=": draft.key or ""}
    for what, text in (*texts.items(), *(("the key of a rate or limit", gate) for gate in draft.gates)):
        if 4 * (len(task) + len(text)) > LONGEST:  # else it is short, whatever its characters
            size = len(f"{task}{text}".encode("utf-8", "replace"))
            if size > LONGEST:
                raise ArgumentRefused(
                    task[:100],
                    f"{what} would take {size:,} bytes in an index of PostgreSQL, which can have some {LONGEST:,}: use "
                    "a shorter text, or its hash.",
                )
    for further in draft.then:
        check_texts(further)
