"""A lane: items to the seats, results and retries back, by a test that plays the seats."""

import gc
import logging
import weakref

import pytest

from plait.engine.pieces import Piece
from plait.errors import CannotTravel, RunCancelled, TooManyFailures
from plait.events import ChunkFinished, ItemFailed, ItemFinished, ItemRetried
from plait.failure import Failure
from plait.policy.retry import Retry
from tests.unit.engine.seats import Bench, FakeSeat, failing

SKIP = {"on_error": "skip"}
AT_ONCE = Retry(2, backoff=0)


class TestDispatch:
    def test_items_offered_before_there_is_a_seat_wait_for_it(self):
        bench = Bench()
        bench.offer("abc")
        seat = bench.seat()
        assert seat.items[:1] == ["a"]
        bench.run()
        assert bench.results() == ["a" * 10, "b" * 10, "c" * 10]

    def test_a_seat_gets_an_item_as_soon_as_there_is_one(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer("a", end=False)
        assert seat.items == ["a"]

    def test_attempts_are_numbered_throughout(self):
        bench = Bench()
        one, two = bench.seat(), bench.seat()
        bench.offer(range(20))
        bench.run()
        seqs = sorted(seq for seat in (one, two) for sent in seat.sent for seq in sent.seqs)
        assert seqs == list(range(20))
        assert sorted(one.items + two.items) == list(range(20))

    def test_what_is_known_to_be_fast_travels_in_chunks(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(500))
        bench.run(seconds=1e-5)
        assert max(len(sent.items) for sent in seat.sent) > 50
        assert bench.results() == [item * 10 for item in range(500)]

    def test_slow_items_travel_alone_and_one_at_a_time(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(5))
        for count in range(1, 6):
            assert len(seat.sent) == count
            bench.answer(seat, seconds=1.0)
        assert [len(sent.items) for sent in seat.sent] == [1] * 5

    def test_at_most_two_chunks_are_in_flight_for_a_worker(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(1000))
        bench.answer(seat, seconds=1e-4)
        for answered in range(1, 10):
            assert len(seat.sent) - answered <= 2
            bench.answer(seat, seat.sent[answered], seconds=1e-4)

    def test_the_last_items_are_shared_out(self):
        bench = Bench()
        bench.offer(range(40))
        bench.seat()
        bench.lane.sizer.size, bench.lane.sizer.seconds_per_item = 20, 0.0004
        two = bench.seat()
        sizes = [len(sent.items) for sent in two.sent]
        assert sizes == sorted(sizes, reverse=True)
        assert max(sizes) <= 10, "two chunks for each seat, of what waits"
        assert len(two.items) < 25, "some is left for the first"
        bench.run(seconds=0.0004)
        assert bench.results() == [item * 10 for item in range(40)]

    def test_an_event_loop_gets_as_many_items_as_it_is_wide(self):
        bench = Bench()
        seat = bench.seat("loop", 16)
        bench.offer(range(1000))
        assert 16 <= len(seat.items) <= 20

    def test_a_seat_of_threads_gets_an_item_for_each(self):
        bench = Bench()
        seat = bench.seat("threads", 8, can_kill=False)
        bench.offer(range(100))
        assert 8 <= len(seat.items) <= 10

    @pytest.mark.parametrize("style", ["serial", "threads"])
    def test_only_a_seat_among_others_has_a_budget(self, style):
        bench = Bench()
        alone = bench.seat(style)
        bench.offer(range(3), end=False)
        many = style == "threads"
        assert (alone.sent[0].budget < 1) is many
        other = bench.seat(style)
        assert other.sent[0].budget < 1


class TestResults:
    def test_an_empty_source_is_over_at_once(self):
        bench = Bench()
        bench.offer([])
        assert bench.results() == []

    def test_order_is_that_of_the_items(self):
        bench = Bench()
        one, two = bench.seat(), bench.seat()
        bench.offer(range(2))
        bench.answer(two)
        bench.answer(one)
        assert bench.results() == [0, 10]

    def test_it_is_not_over_before_the_last_result(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(2))
        bench.answer(seat)
        assert not bench.lane.over
        bench.answer(seat)
        assert bench.lane.over
        assert bench.figures.ended is not None

    def test_it_is_not_over_before_the_source_is(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(1), end=False)
        bench.answer(seat)
        assert bench.lane.settled
        assert not bench.lane.over
        bench.lane.end()
        assert bench.results() == [0]

    def test_an_error_of_the_source_comes_after_the_results(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(1), end=False)
        bench.lane.end(OSError("disk"))
        assert not bench.lane.over
        bench.answer(seat)
        assert bench.outlet.take() == [0]
        with pytest.raises(OSError, match="disk"):
            bench.outlet.take()

    def test_results_may_come_before_the_chunk_is_done(self):
        bench = Bench()
        bench.lane.sizer.size = 4
        bench.offer(range(4))
        seat = bench.seat()
        (sent,) = seat.sent
        bench.answer(seat, sent, count=1)
        assert (bench.figures.finished, bench.idle) == (1, False)
        bench.answer(seat, sent, skip=1)
        assert bench.results() == [0, 10, 20, 30]

    def test_what_is_handed_back_is_run_elsewhere_once(self):
        bench = Bench()
        bench.lane.sizer.size = 4
        bench.offer(range(4))
        one = bench.seat()
        assert one.sent[0].items == [0, 1, 2, 3]
        bench.answer(one, count=1, back=True, seconds=1.0)
        two = bench.seat()
        bench.run(seconds=1.0)
        assert sorted(one.items[4:] + two.items) == [1, 2, 3]
        assert two.items
        assert bench.results() == [0, 10, 20, 30]

    def test_results_of_an_attempt_nobody_knows_are_ignored(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(1), end=False)
        bench.answer(seat)
        bench.answer(seat)  # the same again
        stranger = FakeSeat(99)
        bench.answer(stranger, seat.sent[0])
        bench.lane.end()
        assert bench.results() == [0]
        assert bench.figures.finished == 1

    def test_figures_count_what_went_and_came(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(2))
        bench.answer(seat, seconds=0.5)
        bench.answer(seat, seconds=0.25)
        figures = bench.figures
        assert (figures.read, figures.finished, figures.busy, figures.bytes_out, figures.seats) == (2, 2, 0.75, 16, 1)


class TestProbed:
    def test_what_the_probe_ran_is_not_run_again(self):
        bench = Bench()
        bench.lane.probed([("a", "A", None)])
        bench.lane.probed([("b", "B", None)])
        seat = bench.seat()
        bench.offer("c")
        assert seat.items == ["c"]
        bench.answer(seat)
        assert bench.results() == ["A", "B", "c" * 10]

    def test_what_failed_there_is_tried_again_by_a_seat(self):
        bench = Bench(retry=AT_ONCE)
        bench.lane.probed([(1, None, failing())])
        bench.lane.probed([(2, 20, None)])
        seat = bench.seat()
        assert seat.items == [1]
        bench.offer([])
        bench.answer(seat)
        assert bench.results() == [10, 20]
        assert bench.figures.retries == 1

    def test_what_failed_there_for_good_ends_the_run(self):
        bench = Bench()
        bench.lane.probed([(1, None, failing(KeyError("x")))])
        assert bench.lane.over
        with pytest.raises(KeyError):
            bench.results()


class TestRetries:
    def test_an_attempt_that_fails_is_followed_by_another(self):
        bench = Bench(retry=AT_ONCE)
        seat = bench.seat()
        bench.offer([1])
        bench.answer(seat, errors={0: failing()})
        bench.answer(seat, errors={0: failing()})
        bench.answer(seat)
        assert seat.items == [1, 1, 1]
        assert len({sent.first for sent in seat.sent}) == 3, "each attempt has its own number"
        assert bench.results() == [10]
        assert (bench.figures.retries, bench.figures.failures) == (2, 0)

    def test_without_attempts_left_it_is_a_failure(self):
        bench = Bench(retry=Retry(1, backoff=0), on_error="return")
        seat = bench.seat()
        bench.offer([1, 2])
        error = ValueError("second")
        bench.answer(seat, errors={0: failing(ValueError("first"))})
        for sent in seat.sent[1:]:
            bench.answer(seat, sent, errors={at: failing(error) for at, item in enumerate(sent.items) if item == 1})
        bench.run()
        failure, two = bench.results()
        assert isinstance(failure, Failure)
        assert (failure.item, failure.index, failure.attempts, failure.exception, two) == (1, 0, 2, error, 20)

    def test_only_the_item_that_failed_is_tried_again(self):
        bench = Bench(retry=AT_ONCE)
        bench.lane.sizer.size = 4
        bench.offer(range(4))
        seat = bench.seat()
        bench.run(lambda item, call: item == 2 and call == 1)
        assert seat.items == [0, 1, 2, 3, 2]
        assert bench.results() == [0, 10, 20, 30]

    def test_a_wait_before_the_next_attempt_is_kept(self, until):
        bench = Bench(retry=Retry(1, backoff=0.02, jitter=0))
        seat = bench.seat()
        bench.offer([1])
        bench.answer(seat, errors={0: failing()})
        assert seat.items == [1]
        until(lambda: seat.items == [1, 1], what="the second attempt")
        bench.answer(seat)
        assert bench.results() == [10]

    def test_the_seat_runs_others_meanwhile(self):
        bench = Bench(retry=Retry(1, backoff=5, jitter=0))
        seat = bench.seat()
        bench.offer([1, 2])
        bench.answer(seat, errors={0: failing()})
        assert seat.items == [1, 2]
        bench.lane.stop(RunCancelled())

    def test_a_predicate_that_fails_is_no_hang(self):
        bench = Bench(retry=Retry(1, on=lambda error: 1 / 0))
        seat = bench.seat()
        bench.offer([1])
        bench.answer(seat, errors={0: failing()})
        with pytest.raises(ValueError, match="no"):
            bench.results()


class TestErrors:
    def test_the_first_failure_ends_the_run_and_is_raised_as_it_was(self):
        bench = Bench()
        one, two = bench.seat(), bench.seat()
        bench.offer(range(10))
        error = KeyError("x")
        bench.answer(two, errors={0: failing(error)})
        assert bench.lane.over
        with pytest.raises(KeyError) as caught:
            bench.results()
        assert caught.value is error
        assert "Raised in stage 'stage' for item 1: 1, attempt 1." in error.__notes__
        sent = len(one.sent)
        bench.answer(one)
        assert len(one.sent) == sent, "nothing more is begun"

    def test_skipped_failures_leave_no_gap(self):
        bench = Bench(**SKIP)
        seat = bench.seat()
        bench.offer(range(3))
        for at in range(3):
            bench.answer(seat, errors={0: failing()} if at == 1 else None)
        assert bench.results() == [0, 20]
        assert [failure.index for failure in bench.figures.kept] == [1]

    def test_too_many_failures_end_the_run(self):
        bench = Bench(max_failures=1, **SKIP)
        seat = bench.seat()
        bench.offer(range(10))
        bench.answer(seat, errors={0: failing()})
        bench.answer(seat, errors={0: failing()})
        with pytest.raises(TooManyFailures):
            bench.results()

    def test_a_share_too_many_is_found_at_the_end(self):
        bench = Bench(max_failures=0.4, **SKIP)
        seat = bench.seat()
        bench.offer(range(2))
        bench.answer(seat, errors={0: failing()})
        assert not bench.lane.over
        bench.answer(seat)
        with pytest.raises(TooManyFailures):
            bench.results()

    @pytest.mark.parametrize("on_error", ["raise", "skip", "return"])
    def test_an_item_that_cannot_be_shown_is_no_hang(self, on_error):
        class Unshowable:
            def __repr__(self):
                raise RuntimeError("no words")

        bench = Bench(on_error=on_error)
        seat = bench.seat()
        bench.offer([Unshowable()])
        bench.answer(seat, errors={0: failing()})
        assert bench.lane.over


class TestRefused:
    def test_items_that_cannot_travel_fail_and_the_others_run(self):
        bench = Bench(on_error="return", retry=AT_ONCE)
        seat = FakeSeat(1, "threads", 4)
        seat.refuses = lambda item: "it is a lock" if item == 2 else None
        bench.seats.append(seat)
        bench.lane.sizer.size = 4
        bench.offer(range(1, 5))
        bench.lane.seated(seat)
        bench.run()
        ten, refused, *others = bench.results()
        assert (ten, others) == (10, [30, 40])
        assert isinstance(refused.exception, CannotTravel)
        assert (refused.item, refused.index, refused.exception.why) == (2, 1, "it is a lock")
        assert bench.figures.retries == 0, "another attempt would end the same"

    def test_thousands_that_cannot_travel_are_thousands_of_failures(self):
        bench = Bench(buffer=10_000, **SKIP)
        seat = FakeSeat(1)
        seat.refuses = lambda item: "it is a lock"
        bench.seats.append(seat)
        bench.offer(range(5000))
        bench.lane.seated(seat)
        assert bench.results() == []
        assert bench.figures.failures == 5000

    def test_a_seat_that_cannot_send_at_all_breaks_the_run(self):
        bench = Bench()
        seat = FakeSeat(1)

        def refuse(item):
            raise SystemExit(3)

        seat.refuses = refuse
        bench.offer([1])
        bench.lane.seated(seat)
        with pytest.raises(SystemExit):
            bench.results()


class TestWorn:
    def test_a_worn_seat_gets_nothing_more_and_is_replaced_once_it_is_done(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(10))
        seat.worn_for = "recycled"
        bench.answer(seat, seconds=1.0)
        assert seat.items == [0]
        assert bench.retired == [(seat, "recycled")]
        assert bench.wanted == [1]
        assert bench.figures.recycled == 1
        other = bench.seat()
        bench.run()
        assert bench.results() == [item * 10 for item in range(10)]
        assert 0 not in other.items

    def with_two_chunks(self) -> tuple[Bench, FakeSeat]:
        """A seat found to be worn with a second chunk in hand."""
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(100), end=False)
        bench.answer(seat, seconds=1e-4)
        assert len(seat.sent) == 3
        seat.worn_for = "recycled"
        bench.answer(seat, seat.sent[1], seconds=1e-4)
        assert len(seat.sent) == 3
        assert not bench.retired
        return bench, seat

    def test_what_it_has_in_hand_is_finished_first(self):
        bench, seat = self.with_two_chunks()
        bench.answer(seat, seat.sent[2])
        assert bench.retired == [(seat, "recycled")]

    def test_it_is_replaced_also_when_its_last_chunk_could_not_be_read(self):
        bench, seat = self.with_two_chunks()
        bench.lane.unreadable(seat, seat.sent[2].first, "no such module")
        assert bench.retired == [(seat, "recycled")]
        assert bench.wanted == [1]

    def test_it_is_replaced_also_when_its_last_results_could_not_be_read(self):
        bench, seat = self.with_two_chunks()
        sent = seat.sent[2]
        bench.lane.scrambled(seat, list(sent.seqs), "no such module")
        assert bench.retired == [(seat, "recycled")]
        assert bench.wanted == [1]

    def test_its_crash_is_a_crash_all_the_same(self):
        bench, seat = self.with_two_chunks()
        sent = seat.sent[2]
        bench.lose(seat, sent.first)
        assert bench.figures.crashes == 1
        other = bench.seat()
        assert other.sent[0].items == sent.items[:1], "the suspect runs alone"
        assert len(other.sent) == 1

    def test_the_seat_of_this_process_is_never_worn(self):
        bench = Bench()
        seat = bench.seat("threads", 1, can_kill=False)
        seat.worn_for = "recycled"
        bench.offer(range(3))
        bench.run()
        assert bench.results() == [0, 10, 20]
        assert not bench.retired


class TestEvents:
    def heard(self, bench, *types):
        found = []
        bench.hub.add(found.append, types)
        return found

    def test_results_are_told_by_the_chunk(self):
        bench = Bench(**SKIP)
        heard = self.heard(bench, ChunkFinished)
        seat = bench.seat()
        bench.offer(range(2))
        bench.answer(seat, seconds=0.5)
        bench.answer(seat, errors={0: failing()})
        assert [(event.items, event.failed, event.seconds) for event in heard] == [(1, 0, 0.5), (1, 1, 0.0)]

    def test_who_asks_hears_of_every_item_once_with_its_attempt(self):
        bench = Bench(retry=AT_ONCE, on_error="return")
        heard = self.heard(bench, ItemFinished, ItemRetried, ItemFailed)
        bench.seat()
        bench.offer([1, 2, 3])
        bench.run(lambda item, call: item == 2 or (item == 1 and call == 1))
        told = [(event.index, event.attempt) for event in heard if isinstance(event, ItemFinished)]
        assert sorted(told) == [(0, 2), (2, 1)]
        assert [(event.index, event.attempts) for event in heard if isinstance(event, ItemFailed)] == [(1, 3)]

    def test_an_observer_may_end_the_run(self):
        bench = Bench()
        bench.hub.add(lambda event: bench.lane.stop(RunCancelled("enough")), [ChunkFinished])
        seat = bench.seat()
        bench.offer(range(5))
        bench.answer(seat)
        with pytest.raises(RunCancelled, match="enough"):
            bench.results()

    def test_an_observer_that_fails_breaks_nothing(self, caplog):
        bench = Bench()
        bench.hub.add(lambda event: 1 / 0)
        seat = bench.seat()
        bench.offer(range(2))
        with caplog.at_level(logging.CRITICAL, "plait"):
            bench.run()
        assert bench.results() == [0, 10]
        assert seat.items == [0, 1]


class TestEnd:
    def test_stop_raises_what_it_is_given_and_begins_nothing_more(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(5))
        bench.lane.stop(RunCancelled("by the test"))
        bench.answer(seat)
        assert seat.items == [0]
        with pytest.raises(RunCancelled, match="by the test"):
            bench.results()

    @pytest.mark.parametrize("how", ["stop", "broken", "failure"])
    def test_an_end_calls_off_the_retries_that_wait(self, how):
        bench = Bench(retry=Retry(1, backoff=3600, jitter=0, longest=3600, on=ValueError))
        seat = bench.seat()
        bench.offer([1, 2])
        bench.answer(seat, errors={0: failing()})
        if how == "failure":
            bench.answer(seat, errors={0: failing(KeyError("x"))})
        else:
            getattr(bench.lane, how)(*{"stop": (RunCancelled(),), "broken": (RunCancelled(), "")}[how])
        assert bench.lane.over
        lane = weakref.ref(bench.lane)
        bench.lane = seat = None
        del bench
        gc.collect()
        assert lane() is None, "a timer still holds the lane"

    def test_a_seat_that_comes_late_is_not_given_anything(self):
        bench = Bench()
        bench.offer(range(5))
        bench.lane.stop(RunCancelled())
        assert bench.seat().items == []

    def test_broken_work_ends_the_run_with_its_error_and_where(self):
        bench = Bench()
        bench.seat()
        bench.offer(range(5))
        error = ImportError("no module named x")
        bench.lane.broken(error, "Traceback: in the worker")
        with pytest.raises(ImportError):
            bench.results()
        assert error.__notes__ == ["In a worker of stage 'stage':\nTraceback: in the worker"]

    def test_the_first_end_counts(self):
        bench = Bench()
        bench.lane.broken(ImportError("first"), "")
        bench.lane.broken(ImportError("second"), "")
        bench.lane.stop(RunCancelled())
        with pytest.raises(ImportError, match="first"):
            bench.results()


def test_a_piece_too_large_for_a_seat_is_split():
    bench = Bench()
    bench.lane.line.again.append(Piece(0, [0, 1, 2]))
    bench.figures.read = 3
    one, two = bench.seat(), bench.seat()
    bench.offer([])
    assert (one.items, two.items) == ([0], [1])
    bench.run()
    assert bench.results() == [0, 10, 20]
