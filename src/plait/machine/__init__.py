"""What this machine offers this process: cores, memory, and which features of the operating system are there.

Every function that reads `/proc` or `/sys` takes `root`, the folder in which they lie, so that tests give it a tree of
their own. Files that are missing, unreadable or malformed count as "not limited" and "not known": nothing here raises
for them.
"""

from plait.machine.capabilities import Capabilities, capabilities
from plait.machine.cpus import cores
from plait.machine.memory import memory_available, memory_limit, parse_bytes
from plait.machine.procfs import all_queued_seconds, cpu_seconds, has_children, queued_seconds, resident_bytes

__all__ = [
    "Capabilities",
    "all_queued_seconds",
    "capabilities",
    "cores",
    "cpu_seconds",
    "has_children",
    "memory_available",
    "memory_limit",
    "parse_bytes",
    "queued_seconds",
    "resident_bytes",
]
