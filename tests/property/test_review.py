"""Reviews of a running lane, over all kinds of items and machines: they settle, and never leave what is possible."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from plait.fit.choose import Situation, predictions
from plait.fit.evidence import Evidence
from plait.fit.review import Stretch, available, renewed, review

SECONDS = st.floats(1e-6, 10.0)
SHARES = st.floats(0.0, 1.0)
MODELS = st.sampled_from(["serial", "threads", "processes", "processes+threads"])


@st.composite
def evidences(draw) -> Evidence:
    seconds = draw(SECONDS)
    held = draw(st.none() | SHARES)
    return Evidence(10, seconds, seconds, seconds, draw(SHARES), held, pickling=draw(st.none() | st.floats(0.0, 0.1)))


@st.composite
def situations(draw) -> Situation:
    return Situation(
        cores=draw(st.integers(1, 64)),
        remaining=draw(st.none() | st.integers(1, 10**7)),
        pinned=draw(st.sampled_from([None, "it counts"])),
        alone=draw(st.sampled_from([None, "it counts"])),
        wants_kill=draw(st.booleans()),
    )


@st.composite
def stretches(draw) -> Stretch:
    seconds, items = draw(st.floats(0.05, 20.0)), draw(st.integers(0, 10**6))
    cpu = draw(st.floats(0.0, 64.0)) * seconds
    busy, held, workers = cpu + draw(st.floats(0.0, 500.0)), draw(st.none() | SHARES), draw(st.integers(1, 512))
    return Stretch(draw(MODELS), seconds, items, busy, cpu, held, workers)


@given(stretches(), evidences(), situations())
def test_a_move_is_to_another_model_that_keeps_what_was_promised(now, evidence, situation):
    move = review(now, evidence, situation, {})
    if move is not None:
        assert move.model != now.model
        assert move.model in predictions(evidence, situation)
        assert all(move.reasons)


@given(stretches(), st.none() | evidences())
def test_renewed_evidence_is_evidence(now, evidence):
    fresh = renewed(evidence, now)
    assert fresh.seconds_mean > 0
    assert 0 <= fresh.cpu_share <= 1
    assert fresh.gil_held is None or 0 <= fresh.gil_held <= 1


@given(stretches(), st.integers(1, 64))
def test_no_more_cores_are_left_than_there_are(now, cores):
    left = available(now, cores)
    assert left is None or 0 <= left <= cores


@given(evidences(), situations(), MODELS, st.lists(st.floats(0.3, 3.0), min_size=12, max_size=12))
def test_whatever_placements_really_reach_the_lane_settles(evidence, situation, model, luck):
    """Each placement reaches what is predicted times some luck; who is moved to is remembered. No circle."""
    situation = replace(situation, remaining=10**7)
    possible = predictions(evidence, situation)
    if model not in possible:
        model = next(iter(possible))
    really = {name: 10**7 / taken * factor for (name, taken), factor in zip(possible.items(), luck, strict=False)}
    known: dict[str, float] = {}
    moves = 0
    for _ in range(12):
        rate = really[model]
        items = max(1, round(rate))
        seconds = items / rate
        now = Stretch(
            model, seconds, items, items * evidence.seconds_mean, items * evidence.cpu_share * evidence.seconds_mean
        )
        move = review(now, evidence, situation, known)
        known[model] = rate
        if move is None:
            break
        model = move.model
        moves += 1
    assert moves <= 2 * len(possible)
    assert review(now, evidence, situation, known) is None or moves < 12
