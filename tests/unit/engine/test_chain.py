"""`Chain`: stages that are ended while they start."""

import threading

import pytest

from plait.engine.chain import Chain, Stage
from plait.engine.rules import Rules
from plait.errors import RunCancelled
from plait.events import Hub


def chain_of(*models):
    return Chain(range(100), (), [Stage(abs, Rules(f"s{at}", model), False) for at, model in enumerate(models)], Hub())


def test_a_stage_is_not_left_waiting_for_one_that_was_never_started(until):
    chain = chain_of("threads", "threads")
    first, reads, closed = chain.drives[0], threading.Event(), threading.Event()
    start = first.start

    def late():
        reads.set()
        assert closed.wait(10)
        start()

    first.start = late
    chain.start()
    assert reads.wait(10)
    chain.close()
    closed.set()
    until(lambda: not chain.drives[1].ending.thread.is_alive(), what="the end of the thread that reads")
    assert not first.started


@pytest.mark.parametrize("model", ["serial", "threads"])
def test_results_of_a_chain_that_was_closed_before_its_start(model):
    chain = chain_of(model, model)
    chain.close()
    with pytest.raises(RunCancelled):
        list(chain.results())
