"""What a flow would do, in words."""

import plait
from plait.surface.outline import outline


async def later(item):
    return item


def test_every_kind_of_stage():
    flow = (
        plait.flow([1, 2])
        .map(abs, name="positive", retries=2)
        .starmap(divmod)
        .filter(bool)
        .flat_map(range)
        .tap(print)
        .filter(later)
        .flat_map(later)
        .tap(later)
        .to(print)
    )
    stages = outline(flow).stages
    assert [(stage.name, stage.how) for stage in stages] == [
        ("positive", "map"),
        ("divmod", "starmap"),
        ("bool", "filter"),
        ("range", "flat_map"),
        ("print", "tap"),
        ("later", "filter"),
        ("later", "flat_map"),
        ("later", "tap"),
        ("print", "tap"),
    ]
    assert stages[0].options == {"retries": 2}


def test_what_lies_between(tmp_path):
    sink = plait.write.jsonl(tmp_path / "out.jsonl")
    told = outline(plait.flow(iter([])).batch(3).map(len).unbatch().window(seconds=5, items=7).map(len).to(sink))
    assert told.before == ("batch(3)",)
    assert [stage.after for stage in told.stages] == [
        ("unbatch()", "window(seconds=5, items=7)"),
        (f"to({tmp_path}/out.jsonl)",),
    ]
    assert told.sinks == (f"{tmp_path}/out.jsonl",)


def test_the_source():
    assert (outline(plait.flow([1, 2])).source, outline(plait.flow([1, 2])).total) == ("[1, 2]", 2)
    told = outline(plait.flow(n for n in "ab"))
    assert (told.source, told.total) == ("a generator", None)
    assert len(outline(plait.flow(list(range(1000)))).source) < 100


def test_nothing_is_run_or_complained_of(recwarn):
    outline(plait.flow(iter(int, 1)).map(abs))
    assert not recwarn.list
