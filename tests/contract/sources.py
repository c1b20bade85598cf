"""Sources that raise, for whichever test wants one."""

__all__ = ["SourceFailed", "failing", "failing_async"]


class SourceFailed(Exception):
    """What they raise."""


def failing(after):
    """So many items, then an error."""
    yield from range(after)
    raise SourceFailed("no more")


async def failing_async(after):
    """The same, async."""
    for x in range(after):
        yield x
    raise SourceFailed("no more")
