"""`python -m benchmarks.fit.cell WORKLOAD SPEC [--quick]`: one measurement, in this fresh interpreter, as JSON.

    import, set the workload up | ready | plait.map(...) ... last result | done | check, tear down | JSON
                                          <-------- timed ------------->

Prints the lines `ready` and `done` around the timed part, and one JSON object at the end. This module stays light:
peers' workers import it again.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.fit.grid import Spec
    from benchmarks.fit.workload import Workload

__all__ = ["main"]


class Clock:
    """Wall seconds, and CPU seconds of this process and all its descendants but those aside, over the timed part."""

    def __init__(self, aside: list[int]) -> None:
        import psutil

        from benchmarks.meter import cpu_seconds, process_tree

        def cpu() -> float:
            return sum(cpu_seconds(one) for one in process_tree(psutil.Process()) if one.pid not in aside)

        self._cpu = cpu

    def start(self) -> None:
        """Announce that the timed part begins, and begin it."""
        print("ready", flush=True)
        self._cpu_before = self._cpu()
        self._before = time.perf_counter()

    def stop(self) -> dict[str, float]:
        """The figures. Called before anything is closed."""
        figures = {"seconds": time.perf_counter() - self._before}
        figures["cpu"] = self._cpu() - self._cpu_before
        print("done", flush=True)
        return figures


def with_plait(workload: Workload, spec: Spec) -> tuple[dict[str, Any], list[Any]]:
    """Figures and results of `plait.map`: with no options but the workload's own, or under a placement."""
    import plait

    plait_map = plait.map
    options: dict[str, Any] = {} if isinstance(spec, str) else {"model": plait.Placement(**spec)}
    if workload.retries is not None:
        options["retries"] = plait.Retry(**workload.retries)
    fn, items, clock = workload.fn, workload.items(), Clock(workload.aside)
    clock.start()
    run = plait_map(fn, items, **options)
    results = workload.consume(run)
    figures = clock.stop()
    told = run.report.to_dict()
    kept = {key: told[key] for key in ("model", "placement", "reasons", "changes", "retries", "failures")}
    return {**figures, **kept, "decided": decided(told["changes"]), "explained": run.report.explain()}, results


def decided(changes: list[dict[str, Any]]) -> float | None:
    """Seconds from the start to the last entry that changed the model; `None`: there is no entry."""
    at, model = None, None
    for change in changes:
        if change["model"] != model:
            at, model = change["at"], change["model"]
    return at


def with_peer(workload: Workload, spec: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Figures and results of a peer."""
    from benchmarks.fit.peers import PEERS, Retrying

    opened = PEERS[spec["peer"]](spec.get("chunk"))
    fn, items, clock = workload.fn, workload.items(), Clock(workload.aside)
    if workload.retries is not None:
        fn = Retrying(fn, **workload.retries)
    clock.start()
    with opened(fn, items) as output:
        results = workload.consume(output)
        figures = clock.stop()
    return dict(figures), results


def measured(name: str, spec: Spec, quick: bool) -> dict[str, Any]:
    """What one cell comes to: its figures and `wrong` (words, or `None`); or `skipped`, or `error`, and why."""
    from benchmarks.fit.workload import Unavailable
    from benchmarks.fit.workloads import find

    kind = find(name)
    workload = kind(kind.quick if quick else kind.full)
    try:
        with workload.setting():
            run = with_peer if isinstance(spec, dict) and "peer" in spec else with_plait
            figures, results = run(workload, spec)
            return {**figures, "wrong": workload.wrong(results)}
    except Unavailable as lacking:
        return {"skipped": str(lacking)}
    except ModuleNotFoundError as absent:
        return {"error": f"{absent.name} is not installed"}
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return {"error": f"{type(error).__name__}: {error}"[:300], "trace": traceback.format_exc()[-1500:]}


def main(words: list[str]) -> int:
    """Run the cell that the command line names; 0 whenever there is an answer, be it that it failed."""
    from benchmarks.fit.grid import parsed
    from benchmarks.meter import adopt_orphans

    adopt_orphans()
    name, text, *flags = words
    print(json.dumps(measured(name, parsed(text), "--quick" in flags)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
