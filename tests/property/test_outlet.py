"""Results that arrive in any order leave in the right one, and room is never given twice."""

from hypothesis import given
from hypothesis import strategies as st

from plait.engine.outlet import Outlet


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[int, int, list[int]]]:
    """Segments that cover every index once, some with results left out, in any order."""
    lengths = draw(st.lists(st.integers(1, 80), max_size=12))
    segments, start = [], 0
    for length in lengths:
        left_out = length == 1 and draw(st.booleans())
        segments.append((start, length, [] if left_out else list(range(start, start + length))))
        start += length
    return draw(st.permutations(segments))


@given(arrivals(), st.booleans(), st.lists(st.integers(0, 3), max_size=30), st.integers(1, 500))
def test_nothing_is_lost_and_nothing_comes_twice(segments, ordered, takes, buffer):
    outlet = Outlet(ordered, buffer)
    total = sum(count for _, count, _ in segments)
    takes = iter(takes)
    taken: list[int] = []
    room = outlet.room(total)
    put = 0
    for segment in segments:
        outlet.put([segment])
        put += segment[1]
        for _ in range(next(takes, 0)):
            if not outlet._ready:
                break
            taken += outlet.take()
            assert room <= outlet.room(total), "room only grows while results are taken"
            room = outlet.room(total)
            assert 0 <= outlet.taken <= put, "what has not come cannot have been consumed"
    outlet.finish()
    while (more := outlet.take()) is not None:
        taken += more
    expected = [index for _, _, values in sorted(segments) for index in values]
    assert sorted(taken) == expected
    if ordered:
        assert taken == expected
    assert outlet.taken == total
    assert outlet.room(total) == buffer


@given(arrivals(), st.integers(0, 12))
def test_an_error_comes_after_what_is_ready_in_order(segments, at):
    outlet = Outlet(True, 10)
    outlet.put(list(segments[:at]))
    outlet.finish(KeyError("end"))
    taken: list[int] = []
    try:
        while True:
            taken += outlet.take() or []
            assert not outlet.over or len(taken) <= 1000
    except KeyError:
        pass
    here = {start: (count, values) for start, count, values in segments[:at]}
    expected, index = [], 0
    while index in here:
        count, values = here[index]
        expected += values
        index += count
    assert taken == expected
    assert outlet.take() is None
