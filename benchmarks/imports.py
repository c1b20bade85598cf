"""What `import plait` costs beside `import asyncio`, and what it drags in; each in a bare interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter

HEAVY = ("numpy", "pandas", "pyarrow", "rich", "click", "uvloop", "dask", "multiprocessing", "psutil", "IPython")
IMPORT = Figure("import", "ms", 1e3)
ROW = Row(
    name="imports",
    work="`import plait`",
    target="at most 25 ms beyond `import asyncio`; nothing heavy until needed",
    figures=(IMPORT, Figure("heavy", "heavy modules", compared=False)),
    size=1,
    quick=1,
    least_runs=21,
    interval=0.5,
)
PROBE = """
import sys, time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
loaded = set(sys.modules)
if sys.modules[{module!r}].__file__ is None:
    sys.exit("an empty folder was imported, not a package")
import json
print(json.dumps([seconds, sorted(loaded & set({heavy!r}))]))
"""


def probe(meter: Meter, module: str) -> None:
    """Import it in an interpreter that has loaded nothing yet (this one has, for measuring)."""
    code = PROBE.format(module=module, heavy=HEAVY)
    with meter.timed():
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip().splitlines()[-1])
    seconds, heavy = json.loads(answer.stdout)
    meter.record(**{"import": seconds}, heavy=len(heavy))
    if heavy:
        meter.note(f"loads {', '.join(heavy)}")


@ROW.cell("plait", "import plait")
def import_plait(meter: Meter) -> None:
    probe(meter, "plait")


@ROW.cell("asyncio", "import asyncio")
def import_asyncio(meter: Meter) -> None:
    probe(meter, "asyncio")


@ROW.cell("concurrent.futures", "with ProcessPoolExecutor, which it loads when asked for")
def import_futures(meter: Meter) -> None:
    probe(meter, "concurrent.futures.process")


@ROW.cell("joblib", "import joblib")
def import_joblib(meter: Meter) -> None:
    probe(meter, "joblib")


@ROW.cell("mpire", "import mpire")
def import_mpire(meter: Meter) -> None:
    probe(meter, "mpire")


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    beyond = (medians.of("plait", "import") - medians.of("asyncio", "import")) * 1e3
    yield Check(f"{beyond:+.1f} ms beyond asyncio", beyond <= 25)
    heavy = medians.of("plait", "heavy")
    yield Check(f"{heavy:.0f} heavy modules loaded", heavy == 0)
