"""Groups and chains: jobs that are stored as one, checked and encoded before anything is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from plait.errors import ArgumentRefused, OptionError
from plait.jobs.client import Client
from plait.jobs.enqueueing import checked_connection, one_by_one
from plait.jobs.handle import Group, Job
from plait.jobs.records import Fan
from plait.jobs.task import Prepared

__all__ = ["chain_of", "group_of"]


def group_of(
    client: Client, parts: Iterable[Prepared[Any]], then: Prepared[Any] | None, on_error: str, connection: Any
) -> Callable[[], Group]:
    """What stores a group; `Jobs.group` says what its parameters are.

    Raises:
        OptionError, ArgumentRefused, ConnectionRefused: it cannot be.
    """
    checked_connection(connection)
    if on_error not in ("raise", "skip", "return"):
        raise OptionError("on_error", on_error, 'it takes "raise", "skip" or "return"')
    if isinstance(parts, Prepared) or not isinstance(parts, Iterable):
        raise OptionError("parts", parts, 'it takes a list of drafts, like [thumbnail.draft("a.png")]')
    prepared = [_checked(client, part) for part in parts]
    last = None
    if then is not None:
        _checked(client, then)
        try:
            last = msgspec.structs.replace(then.encoded(fed=True), on_error=on_error)
        except ArgumentRefused as error:
            raise ArgumentRefused(error.task, error.why, "then=") from None
    drafts = one_by_one("part", Prepared.encoded, prepared)

    def store() -> Group:
        placed, group = client.store.enqueue(drafts, fan=Fan(total=len(drafts), then=last), connection=connection)
        return Group(client, group, [part.task.handle(where) for where, part in zip(placed, prepared, strict=True)])

    return store


def chain_of(client: Client, links: tuple[Prepared[Any], ...], connection: Any) -> Callable[[], Job[Any]]:
    """What stores the first of `links`, and with it the others.

    Raises:
        OptionError, ArgumentRefused, ConnectionRefused: it cannot be.
    """
    checked_connection(connection)
    if not links:
        raise OptionError("links", (), "it takes at least one draft, like thumbnail.draft(...)")
    whole = [(_checked(client, link), at > 0) for at, link in enumerate(links)]
    first = whole[0][0]
    head, *rest = one_by_one("link", lambda link: link[0].encoded(fed=link[1]), whole)
    draft = msgspec.structs.replace(head, then=tuple(rest))

    def store() -> Job[Any]:
        placed, _ = client.store.enqueue([draft], connection=connection)
        return first.task.handle(placed[0])

    return store


def _checked(client: Client, draft: Any) -> Prepared[Any]:
    if not isinstance(draft, Prepared):
        raise OptionError("a part", draft, 'it takes drafts, like thumbnail.draft("a.png")')
    if draft.task.spec.url != client.place:
        raise OptionError("a part", draft, "it is a draft of another queue's task: all must be of this one")
    return draft
