"""Sinks of a flow: a file is there once the whole run is complete, and not before; whatever ends it otherwise."""

import asyncio
import itertools
import json
import os
import threading

import pytest

import plait
from plait import RunCancelled

MODELS = ["serial", "threads", "processes", "auto"]
every_model = pytest.mark.parametrize("model", MODELS)
#: Where the sink lies: before all stages, between two, behind the last.
PLACES = ["first", "middle", "last", "batched"]
every_place = pytest.mark.parametrize("place", PLACES)


def double(x):
    return x * 2


def with_sink(items, model, place, out, fn=abs):
    flow = plait.flow(items)
    flow = flow.to(plait.write.jsonl(out)) if place == "first" else flow
    flow = flow.map(double, model=model, workers=2)
    flow = flow.to(plait.write.jsonl(out)) if place == "middle" else flow
    flow = flow.map(fn, model="threads" if model == "processes" else model)
    if place == "batched":
        return flow.batch(3).to(plait.write.jsonl(out)).unbatch()
    return flow.to(plait.write.jsonl(out)) if place == "last" else flow


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def wanted(place, count):
    doubled = [x * 2 for x in range(count)]
    batches = [doubled[at : at + 3] for at in range(0, count, 3)]
    return {"first": list(range(count)), "middle": doubled, "last": doubled, "batched": batches}[place]


@every_model
@every_place
def test_a_file_is_complete_after_the_run(tmp_path, model, place):
    out = tmp_path / "out.jsonl"
    for result in with_sink(range(50), model, place, out):
        assert not out.exists(), result
    assert rows(out) == wanted(place, 50)
    assert os.listdir(tmp_path) == ["out.jsonl"]


@every_model
@every_place
def test_a_file_is_complete_after_an_async_run(tmp_path, model, place):
    out = tmp_path / "out.jsonl"

    async def consume():
        async for result in with_sink(range(50), model, place, out):
            assert not out.exists(), result

    asyncio.run(consume())
    assert rows(out) == wanted(place, 50)
    assert os.listdir(tmp_path) == ["out.jsonl"]


@every_model
@every_place
def test_no_items_make_an_empty_file(tmp_path, model, place):
    out = tmp_path / "out.jsonl"
    with_sink([], model, place, out).run().wait()
    assert out.read_bytes() == b""


@every_model
@every_place
def test_nothing_complete_looking_after_an_error_of_the_last_item(tmp_path, model, place):
    out = tmp_path / "out.jsonl"
    out.write_text("as it was")

    def last_fails(x):
        return 1 / (x - 38)

    with pytest.raises(ZeroDivisionError):
        with_sink(range(20), model, place, out, last_fails).run().wait()
    assert out.read_text() == "as it was"


@every_model
@every_place
def test_nothing_complete_looking_after_a_break(tmp_path, model, place):
    out = tmp_path / "out.jsonl"
    taken = 0
    for taken, _ in enumerate(with_sink(range(20), model, place, out), 1):
        if taken == 20:  # all that there are, but nobody has asked for more
            break
    assert taken == 20
    assert not out.exists()


@every_model
@every_place
def test_nothing_complete_looking_after_an_async_break(tmp_path, model, place, until):
    out = tmp_path / "out.jsonl"

    async def consume():
        async with with_sink(range(20), model, place, out).run() as run:
            async for _ in run:
                return

    asyncio.run(consume())
    assert not out.exists()


@every_model
@every_place
def test_nothing_complete_looking_after_a_cancel(tmp_path, model, place):
    out = tmp_path / "out.jsonl"
    run = with_sink(itertools.count(), model, place, out).run()

    def consume():
        for at, _ in enumerate(run):
            if at == 3:
                run.cancel()

    with pytest.raises(RunCancelled):
        consume()
    assert not out.exists()


@every_model
@every_place
def test_nothing_complete_looking_after_a_source_that_raises(tmp_path, model, place):
    out = tmp_path / "out.jsonl"

    def failing():
        yield from range(20)
        raise KeyError("no more")

    with pytest.raises(KeyError) as caught:
        with_sink(failing(), model, place, out).run().wait()
    assert not out.exists()
    told = "".join(caught.value.__notes__)
    assert f"The {len(wanted(place, 20))} rows written before are in {out}.partial" in told


def test_a_run_that_was_only_started_completes_nothing(tmp_path):
    out = tmp_path / "out.jsonl"
    with with_sink(range(20), "threads", "middle", out).run() as run:
        run.start()
    assert not out.exists()


@every_model
def test_an_error_of_the_sink_ends_the_run(tmp_path, model):
    flow = plait.flow(range(200)).map(lambda x: object() if x == 50 else x, model="threads")
    flow = flow.to(plait.write.jsonl(tmp_path / "out.jsonl")).map(str, model=model)
    with pytest.raises(plait.PlaitError, match=r"row 51 cannot be written"):
        flow.run().wait()
    assert os.listdir(tmp_path) == ["out.jsonl.partial"]
    nowhere = tmp_path / "nowhere" / "out.jsonl"
    with pytest.raises(plait.PlaitError, match="Make the folder first"):
        plait.flow(range(5)).map(abs, model=model).to(plait.write.jsonl(nowhere)).run().wait()


class Full:
    """A sink that fails at its very end."""

    def __init__(self):
        self.seen = []

    def __enter__(self):
        return self

    def write(self, row):
        self.seen.append(row)

    def __exit__(self, kind, error, trace):
        self.seen.append(kind)
        if kind is None:
            raise OSError("no space left")


@every_model
@pytest.mark.parametrize("consume", [lambda run: run.wait(), lambda run: asyncio.run(gathered(run))])
def test_a_sink_that_cannot_be_completed_fails_the_run(model, consume):
    full, other = Full(), Full()
    flow = plait.flow(range(5)).map(abs, model=model).to(full).map(double, model=model).to(other)
    with pytest.raises(OSError, match="no space left"):
        consume(flow.run())
    assert full.seen == [0, 1, 2, 3, 4, None]
    assert other.seen == [0, 2, 4, 6, 8, OSError]


async def gathered(run):
    return [result async for result in run]


def test_several_sinks(tmp_path):
    one, other = tmp_path / "one.jsonl", tmp_path / "other.csv"
    flow = plait.flow(range(10)).map(double).to(plait.write.jsonl(one)).filter(lambda x: x > 9)
    assert list(flow.map(lambda x: {"x": x}).to(plait.write.csv(other))) == [{"x": x} for x in range(10, 20, 2)]
    assert rows(one) == list(range(0, 20, 2))
    assert other.read_text().split() == ["x", "10", "12", "14", "16", "18"]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_flow_with_a_sink_can_be_run_again(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"out.{kind}"
    flow = plait.flow(range(10)).map(lambda x: {"x": x}).to(getattr(plait.write, kind)(out))
    first = list(flow), out.read_bytes()
    out.unlink()
    assert (list(flow), out.read_bytes()) == first


@pytest.mark.parametrize("model", ["threads", "processes"])
def test_a_function_as_a_sink_with_a_resource(model, tmp_path):
    class Opened:
        def __init__(self, path):
            self.path = path

        def __enter__(self):
            self.file = open(self.path, "a", buffering=1)
            return self.file

        def __exit__(self, *_):
            self.file.write("closed\n")
            self.file.close()

    def write(x, file):
        file.write(f"{x}\n")

    path = str(tmp_path / "log")
    flow = plait.flow(range(30)).map(double, model="threads")
    flow = flow.to(write, model=model, workers=1, width=1, resources={"file": lambda: Opened(path)})
    assert list(flow) == [x * 2 for x in range(30)]
    assert (tmp_path / "log").read_text().split() == [str(x * 2) for x in range(30)] + ["closed"]


def test_a_sink_is_written_by_one_thread_at_a_time(tmp_path):
    class Careful(Full):
        busy = threading.Lock()

        def write(self, row):
            assert self.busy.acquire(blocking=False)
            super().write(row)
            self.busy.release()

        def __exit__(self, kind, error, trace):
            self.seen.append(kind)

    sink = Careful()
    flow = plait.flow(range(500)).map(double, model="threads", width=8, ordered=False).to(sink)
    assert sorted(flow.map(abs, model="threads", width=8)) == [x * 2 for x in range(500)]
    assert sorted(sink.seen[:-1]) == [x * 2 for x in range(500)]
    assert sink.seen[-1] is None
