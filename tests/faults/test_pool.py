"""The pool of worker processes: one for all, warm, replaced in a `with`, recycled."""

import os
import threading

import psutil
import pytest

import plait
from plait.places.processes.pool import current


def where(x):
    return os.getpid()


def test_the_default_pool_is_made_once_under_twenty_threads(settled):
    barrier, found = threading.Barrier(20), []

    def get():
        barrier.wait()
        found.append(plait.default_pool())

    threads = [threading.Thread(target=get) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len(set(found)) == 1


def test_twenty_runs_at_once_start_one_starter(settled):
    barrier, results = threading.Barrier(20), []

    def run():
        barrier.wait()
        results.append(list(plait.map(abs, range(30), model="processes", workers=1)))

    threads = [threading.Thread(target=run) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [list(range(30))] * 20
    assert len(psutil.Process().children()) == 1


def test_workers_stay_warm_for_the_next_run(pool):
    first = set(plait.map(where, range(50), model="processes", workers=2))
    second = set(plait.map(where, range(50), model="processes", workers=2))
    assert first & second
    assert pool.warm


def test_inside_a_with_the_pool_is_the_default_and_after_it_the_old_one(settled):
    outer = plait.default_pool()
    with plait.Pool(workers=1) as pool:
        assert plait.default_pool() is pool
        with plait.Pool(workers=1) as inner:
            assert plait.default_pool() is inner
        assert plait.default_pool() is pool
        assert len(set(plait.map(where, range(20), model="processes"))) == 1
    assert plait.default_pool() is outer


def test_a_reset_pool_is_made_anew(settled):
    list(plait.map(abs, range(5), model="processes", workers=1))
    before, children = plait.default_pool(), psutil.Process().children(recursive=True)
    assert len(children) >= 2
    current.reset()
    assert [c for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE] == []
    assert plait.default_pool() is not before
    assert list(plait.map(abs, range(5), model="processes", workers=1)) == list(range(5))


def test_a_closed_pool_says_so(settled):
    pool = plait.Pool(workers=1)
    pool.close()
    pool.close()
    with pytest.raises(plait.StartFailed, match="this pool is closed"), pool:
        list(plait.map(abs, range(5), model="processes"))


def test_closing_the_pool_ends_its_runs_with_an_error(settled, nothing_left):
    def close_midway(results):
        for result in results:
            if result == 100:
                pool.close()

    with plait.Pool(workers=2) as pool, pytest.raises(plait.PlaitError):
        close_midway(plait.map(abs, iter(range(10**7)), model="processes"))


@pytest.mark.slow
def test_workers_are_recycled_after_so_many_items(settled, nothing_left):
    with plait.Pool(workers=2, recycle=50):
        run = plait.map(where, range(1000), model="processes", workers=2, buffer=40)
        pids = list(run)
    assert len(pids) == 1000
    assert run.report.to_dict()["workers_recycled"] >= 3
    assert len(set(pids)) >= 4
    assert run.report.crashes == 0
    assert "recycled worker" in run.report.explain()


def leak(x, hoard=[]):  # noqa: B006  a leak is the point
    hoard.append(bytearray(os.urandom(1 << 10)) * (4 << 10))
    return os.getpid()


@pytest.mark.slow
def test_workers_above_their_share_of_memory_are_recycled(settled, nothing_left):
    with plait.Pool(workers=2):
        run = plait.map(leak, range(300), model="processes", workers=2, memory="500MiB")
        pids = list(run)
    assert len(pids) == 300
    assert run.report.to_dict()["workers_recycled"] >= 2
    assert run.report.crashes == 0
    assert run.report.to_dict()["peak_worker_bytes"] < 900 << 20


def test_modules_are_preloaded_once(settled, nothing_left, tmp_path, monkeypatch):
    (tmp_path / "heavy_thing.py").write_text(f"open({str(tmp_path / 'log')!r}, 'a').write('imported ')\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def uses(x):
        import sys

        return "heavy_thing" in sys.modules

    with plait.Pool(workers=2, preload=["heavy_thing"]):
        assert set(plait.map(uses, range(50), model="processes", workers=2)) == {True}
    assert (tmp_path / "log").read_text() == "imported "


def test_a_preloaded_module_that_starts_threads_is_left_out(settled, tmp_path, monkeypatch, until):
    """A process with threads cannot be forked safely: the starter is replaced by one without it."""
    text = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    (tmp_path / "threaded_thing.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with plait.Pool(workers=1, preload=["threaded_thing"]):
        assert list(plait.map(abs, range(20), model="processes", workers=1)) == list(range(20))


class Nobody:
    """Who leases a worker, and takes no interest in it."""

    def heard(self, remote, frame):
        pass

    def lost(self, remote, status):
        pass


def test_of_a_worker_that_is_ended_no_timer_is_left(pool, until):
    """It would outlive the worker, and the ticker's thread with it the pool."""
    remote = pool.lease(Nobody())
    pool.expect(remote)
    pool.retire(remote, "idle")
    until(lambda: remote.ended, 30, "the worker's end")
    pool.expect(remote)
    until(lambda: "plait-ticker" not in {thread.name for thread in threading.enumerate()}, 5, "the ticker's end")


@pytest.mark.parametrize("model", ["processes", "processes+threads", "processes+async"])
def test_thirty_runs_left_early_leave_nothing(pool, model, workers, until):
    async def work_async(x):
        return x

    fn = work_async if "async" in model else abs
    for _ in range(30):
        with plait.map(fn, iter(range(10**6)), model=model, workers=2) as run:
            assert next(iter(run)) == 0
    until(lambda: len(workers()) <= 4, 10, "no more workers than may wait")
