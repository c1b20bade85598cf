"""What a worker takes over from its parent: folder, import path, environment, logging levels, BLAS threads."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any, NamedTuple

__all__ = ["BLAS", "Setting", "apply_setting", "import_path", "in_worker", "setting"]


class Setting(NamedTuple):
    """What a worker takes over from its parent for each run."""

    cwd: str
    path: list[str]
    argv: list[str]
    environ: dict[str, str]
    levels: dict[str, int]
    blas: int


def import_path() -> list[str]:
    """`sys.path`, for a process with another working directory."""
    try:
        here = os.getcwd()
    except OSError:  # it was deleted: nothing can be imported from it
        return [path for path in sys.path if path and isinstance(path, str)]
    return [path or here for path in sys.path if isinstance(path, str)]


def in_worker() -> None:
    """Prepare this process to be a worker."""
    from plait.styles.threads import inside

    inside.set(True)
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()  # forked workers would all draw the same numbers


def setting(blas: int) -> Setting:
    """This process's own, with `blas` threads for each worker's linear algebra."""
    logging: Any = sys.modules.get("logging")
    levels = {"": 30}
    if logging is not None:
        known = list(logging.root.manager.loggerDict.items())
        levels = {name: logger.level for name, logger in known if getattr(logger, "level", 0)}
        levels[""] = logging.root.level
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = "/"
    return Setting(cwd, import_path(), list(sys.argv), dict(os.environ), levels, blas)


def apply_setting(new: Setting) -> None:
    """Make it this process's own."""
    if sys.path != new.path:
        sys.path[:] = new.path
        importlib.invalidate_caches()
    sys.argv[:] = new.argv
    with contextlib.suppress(OSError):
        os.chdir(new.cwd)
    wanted = {**dict.fromkeys(BLAS, str(new.blas)), **new.environ}
    if dict(os.environ) != wanted:
        for name in set(os.environ) - set(wanted):
            del os.environ[name]
        os.environ.update(wanted)
    if "numpy" in sys.modules and not any(name in new.environ for name in BLAS):
        import threadpoolctl

        threadpoolctl.threadpool_limits(new.blas)


#: How many threads linear algebra takes, unless the user has set one of them: each worker its share of the cores.
BLAS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
