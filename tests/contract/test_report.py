"""What a run tells: observers, figures, words. Under every model."""

import json
import time

import pytest

import plait
from plait import events
from tests.contract.models import cases


def work(x):
    time.sleep(0.0005)
    if x % 10 == 9:
        raise ValueError(x)
    return x


@cases()
def test_the_figures_of_a_finished_run(case):
    run = case.map(work, range(100), on_error="skip", retries=plait.Retry(1, backoff=0))
    crashed = []
    with run.observe(crashed.append, types=[events.WorkerCrashed]):
        assert len(list(run)) == 90
    assert crashed == []
    report = run.report
    figures = report.to_dict()
    assert json.loads(json.dumps(figures)) == figures
    assert (report.items, report.failures, report.retries, report.crashes) == (90, 10, 10, 0)
    assert (figures["read"], figures["total"], figures["stage"]) == (100, 100, "work")
    assert report.model == figures["model"]
    if case.model not in ("auto", "serial"):
        assert report.model == case.model
    assert 0.005 < report.wall < 30
    assert report.rate == pytest.approx(90 / report.wall)
    if case.in_processes:
        assert figures["bytes_to_workers"] > 0
        assert figures["bytes_from_workers"] > 0


@cases()
def test_the_report_explains_in_words(case):
    run = case.map(work, range(100), on_error="skip", retries=plait.Retry(1, backoff=0))
    assert run.report.explain() == "work: nothing was run yet."
    run.wait()
    told = run.report.explain()
    assert told.startswith(f"work: {run.report.model.partition('+')[0]}")
    assert ", because " in told
    assert "90 items in " in told
    assert "10 failures" in told
    assert "10 retries" in told
    assert str(run.report) == told
    assert "<table>" in run.report._repr_html_()


@cases()
def test_the_placement_of_a_report_can_be_pasted(case):
    run = case.map(lambda x: x, range(300))
    assert run.report.placement is None
    list(run)
    pasted = eval(repr(run.report.placement), {"Placement": plait.Placement})
    assert pasted == run.report.placement
    again = plait.map(case.function(lambda x: x + 1), range(50), model=pasted)
    assert list(again) == [x + 1 for x in range(50)]
    assert again.report.placement == pasted


@cases()
def test_observers_hear_what_happens(case):
    heard = []
    run = case.map(work, range(50), on_error="skip", retries=plait.Retry(1, backoff=0))
    with run.observe(heard.append):
        run.wait()
    kinds = [type(event) for event in heard]
    assert kinds.count(events.RunStarted) == 1
    assert kinds.count(events.RunFinished) == 1
    assert kinds.count(events.PlacementChosen) == 1
    assert kinds.count(events.ItemRetried) == 5
    assert kinds.count(events.ItemFailed) == 5
    assert kinds[0] is events.RunStarted
    assert kinds[-1] is events.RunFinished
    assert sorted(e.index for e in heard if type(e) is events.ItemFailed) == [9, 19, 29, 39, 49]
    finished = heard[-1]
    assert (finished.outcome, finished.finished, finished.failures) == ("done", 45, 5)


@cases(lambda case: case.model != "auto")
def test_each_finished_item_is_told_to_who_asks(case):
    heard = []
    run = case.map(lambda x: x, range(200))
    with run.observe(heard.append, types=[events.ItemFinished]):
        run.wait()
    assert sorted(event.index for event in heard) == list(range(200))


@cases()
def test_an_observer_that_raises_is_dropped_and_breaks_nothing(case, caplog):
    heard = []

    def grumpy(event):
        heard.append(event)
        raise RuntimeError("I do not like it")

    others = []
    run = case.map(lambda x: x, range(100))
    with run.observe(grumpy), run.observe(others.append):
        assert list(run) == list(range(100))
    assert len(heard) == 1
    assert any(type(event) is events.ObserverDropped for event in others)
    assert "raised and was dropped" in caplog.text


@cases()
def test_an_observer_may_call_back_into_the_run(case):
    seen = []
    run = case.map(work, range(50), on_error="skip")
    with run.observe(lambda event: seen.append((run.report.items, run.report.explain(), len(run.failures)))):
        run.wait()
    assert seen


@cases()
@pytest.mark.parametrize("how", ["raised", "cancelled"])
def test_how_a_run_ended_is_told(case, how):
    heard = []
    run = case.map(work, iter(range(10**6)), on_error="raise" if how == "raised" else "skip")
    with run.observe(heard.append, types=[events.RunFinished]):
        if how == "raised":
            with pytest.raises(ValueError, match="9"):
                run.wait()
        else:
            with run:
                for x in run:
                    if x == 20:
                        break
    [event] = heard
    assert event.outcome == ("failed" if how == "raised" else "cancelled")


def test_a_name_of_ones_own():
    run = plait.map(work, range(5), name="sorting", model="threads")
    assert repr(run).startswith("<Run of sorting")
    run.wait()
    assert run.report.explain().startswith("sorting: ")


def burns(x):
    return sum(range(30_000))


@pytest.mark.parametrize("model", ["auto", "serial"])
def test_cpu_seconds_have_the_first_items_in_them(model):
    run = plait.map(burns, range(60), model=model)
    before = time.process_time()
    assert len(list(run)) == 60
    figures, took = run.report.to_dict(), time.process_time() - before
    if run.report.model == "serial":
        assert 0.6 * took < figures["cpu_seconds"] <= 1.01 * took
    assert 0 < figures["cpu_seconds"] <= figures["busy_seconds"] * 1.01
