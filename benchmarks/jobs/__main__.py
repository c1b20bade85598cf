"""`python -m benchmarks.jobs`: measure the durable queue beside its peers, and write docs/jobs-benchmarks.md."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import machine
from benchmarks.harness import end_descendants
from benchmarks.jobs import servers
from benchmarks.suite import Suite, main

__all__ = ["SUITE"]

PREFACE = """# Jobs, measured

Generated from measurements by the commands below: do not edit. How it is measured: `benchmarks/README.md`, "Jobs".

- Machine: {machine}
- Versions: {versions}
- Every measurement in a fresh process with a fresh server, engines taking turns; medians, in brackets the least and \
the greatest run.
- Ratio: the peer's figure over plait's, so above 1 plait is better.
- Durability is not equal. Plait: SQLite with synchronous=FULL, PostgreSQL with its defaults: a job is on disk when \
`enqueue` returns. Redis: its defaults, snapshots now and then; a crash of it loses what was enqueued since the last.
"""
VERSIONS = (
    *("plait", "apsw", "psycopg", "uvloop", "huey", "rq", "dramatiq", "celery", "taskiq", "taskiq-redis", "saq"),
    *("redis", "pgqueuer", "asyncpg", "procrastinate"),
)
SUITE = Suite(
    folder="jobs",
    about=__doc__ or "",
    names=("drain", "postgres", "enqueue", "latency", "mixed", "crowd", "recovery"),
    preface=PREFACE,
    versions=lambda: servers.versions() | machine.versions(VERSIONS),
    sized="Size",
)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    # Interrupted, too: no server, no worker and no file stays behind.
    with tempfile.TemporaryDirectory(prefix="plait-bench-", ignore_cleanup_errors=True) as kept:
        Path(kept).chmod(0o755)  # PostgreSQL may run as somebody else
        os.environ["TMPDIR"] = tempfile.tempdir = kept
        try:
            sys.exit(main(SUITE, sys.argv[1:]))
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            end_descendants()
