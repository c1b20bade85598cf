"""The engine's own event loop, in a thread, for callers that have none."""

from __future__ import annotations

import asyncio
import threading

from plait.styles.new_loop import new_loop

__all__ = ["LoopThread"]


class LoopThread:
    """An event loop that runs in a thread of its own until `stop`."""

    def __init__(self) -> None:
        self.loop = new_loop()
        self._thread = threading.Thread(target=self._run, name="plait-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            if tasks:  # a source may have something to close
                self.loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def stop(self, wait: float) -> bool:
        """Stop it; false when it is still blocked by an item after `wait` seconds."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(wait)
        return not self._thread.is_alive()
