"""Items that are run again - retried, rerun after a crash, hedged - end once, whatever else is set."""

import time

import pytest

import plait


@pytest.mark.parametrize("buffer", [1, 2, 3, 5, 8, 13, 40])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_retry_does_not_wait_for_room_that_it_holds_itself(buffer, ordered):
    failed = set()

    def once(x):
        if x % 3 == 0 and x not in failed:
            failed.add(x)
            raise OSError("try again")
        return x

    run = plait.map(once, range(20), retries=plait.Retry(times=1, backoff=0), buffer=buffer, ordered=ordered)
    assert sorted(run) == list(range(20))
    assert run.report.retries == 7


@pytest.mark.parametrize("rules", [{"rate": "1000/s"}, {"limit": 1}, {"limit": plait.Limit(1, key=lambda x: x)}])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_lost_its_worker_is_run_again_through_the_gate(tmp_path, rules, workers):
    mark = tmp_path / "mark"

    def dies_once(x):
        if x == 5 and not mark.exists():
            mark.touch()
            import os

            os._exit(3)
        return x

    run = plait.map(dies_once, range(6), model="processes", workers=workers, **rules)
    assert list(run) == list(range(6))
    assert run.report.crashes == 1


@pytest.mark.parametrize("model", ["processes", "threads"])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_hedged_item_that_hangs_twice_is_settled_once(model, ordered):
    def hangs(x):
        import time

        time.sleep(1.0 if x == 30 else 0.002)
        return x

    rules = {"hedge": plait.Hedge(0.9, most=1.0), "timeout": 0.3, "on_error": "return"}
    run = plait.map(
        hangs, range(60), model=model, workers=3 if model == "processes" else None, ordered=ordered, **rules
    )
    results = list(run)
    assert sum(isinstance(result, plait.Failure) for result in results) == 1
    assert sorted(result for result in results if not isinstance(result, plait.Failure)) == [*range(30), *range(31, 60)]


@pytest.mark.parametrize(
    "rules", [{"width": 1}, {"width": 4, "limit": 1}, {"limit": plait.Limit(1, key=lambda x: "one for all")}]
)
def test_a_second_issue_still_in_line_when_the_first_answers_is_not_run(rules):
    calls = []

    def slow_once(x):
        calls.append(x)
        time.sleep(0.6 if x == 60 else 0.01)
        return x

    hedge = plait.Hedge(0.9, most=0.2)
    assert list(plait.map(slow_once, range(70), model="threads", hedge=hedge, **rules)) == list(range(70))
    assert calls.count(60) == 1
