"""Workers that die, hang, cannot read or are not understood, played by the test."""

import pytest

from plait.engine.mishaps import CRASHES, STILLBORN
from plait.errors import CannotTravel, ItemTimeout, StartFailed, WorkerLost
from plait.events import WorkerCrashed
from plait.policy.retry import Retry
from plait.styles.batch import Batch
from tests.unit.engine.seats import Bench, FakeSeat, failing

AT_ONCE = Retry(1, backoff=0)
KEEP = {"on_error": "return"}
NOW = 0.0  # a timeout that has passed as soon as an attempt was seen twice


def chunk_of(count: int, **rules) -> tuple[Bench, FakeSeat]:
    """A bench whose only seat has all items in one chunk."""
    bench = Bench(**rules)
    bench.lane.sizer.size = count
    bench.offer(range(1, count + 1))
    seat = bench.seat()
    assert [sent.items for sent in seat.sent] == [list(range(1, count + 1))]
    return bench, seat


def run_seeing_alone(bench: Bench, suspects: set[int]) -> None:
    """Answer chunk by chunk; a suspect must have its seat to itself from when it is sent to when it is answered."""
    while due := [(seat, sent) for seat in bench.seats for sent in seat.sent if sent.first not in bench.answered]:
        for seat in {seat for seat, _ in due}:
            mine = [sent.items for other, sent in due if other is seat]
            assert len(mine) == 1 or not any(suspects & set(items) for items in mine), mine
            assert not any(suspects & set(items) and len(items) > 1 for items in mine), mine
        bench.answer(*due[0])


class TestCrash:
    def test_what_was_received_stays_and_the_rest_runs_elsewhere(self):
        bench, seat = chunk_of(5)
        bench.answer(seat, count=2)
        bench.lose(seat, 2)
        assert bench.wanted == [1]
        other = bench.seat()
        bench.run()
        assert sorted(other.items) == [3, 4, 5]
        assert bench.results() == [10, 20, 30, 40, 50]
        assert bench.figures.crashes == 1

    def test_the_suspect_runs_alone(self):
        bench, seat = chunk_of(4)
        bench.lose(seat, 1)
        other = bench.seat()
        run_seeing_alone(bench, {2})
        assert sorted(other.items) == [1, 2, 3, 4]
        assert bench.results() == [10, 20, 30, 40]

    def test_other_seats_go_on_meanwhile(self):
        bench, seat = chunk_of(4)
        bench.lose(seat, 1)
        one, two = bench.seat(), bench.seat()
        assert one.items
        assert two.items
        run_seeing_alone(bench, {2})
        assert bench.results() == [10, 20, 30, 40]

    def test_a_suspect_gets_its_turn_though_there_are_always_others(self):
        bench, seat = chunk_of(4, ordered=False)
        bench.offer(range(5, 900), end=False)
        bench.lose(seat, 1)
        bench.seat()
        for _ in range(60):
            due = [(seat, sent) for seat in bench.seats for sent in seat.sent if sent.first not in bench.answered]
            if any(2 in sent.items for _, sent in due):
                break
            bench.answer(*due[0], seconds=1e-5 * len(due[0][1].items))
            bench.offer(range(1000, 1020), end=False)
        else:
            pytest.fail("item 2 had no turn while sixty chunks of others had")
        bench.lane.stop(RuntimeError())

    def test_of_several_in_hand_each_is_suspect_and_runs_alone(self):
        bench = Bench()
        seat = bench.seat("threads", 4)
        bench.offer(range(1, 5))
        in_hand = [seq for sent in seat.sent for seq in sent.seqs]
        assert len(in_hand) == 4
        bench.lose(seat, *in_hand)
        other = bench.seat("threads", 4)
        for count in range(1, 5):
            assert [len(sent.items) for sent in other.sent] == [1] * count
            bench.answer(other)
        assert bench.results() == [10, 20, 30, 40]
        assert bench.figures.crashes == 1

    def test_three_crashes_are_a_failure_and_no_attempt(self):
        bench, seat = chunk_of(3, retry=Retry(5, backoff=0), **KEEP)
        while not bench.lane.over:
            due = [sent for sent in seat.sent if sent.first not in bench.answered]
            guilty = [sent for sent in due if 2 in sent.items]
            if guilty:
                bench.lose(seat, guilty[0].first + guilty[0].items.index(2))
                seat = bench.seat()
            else:
                bench.answer(seat, due[0])
        one, failure, three = bench.results()
        assert (one, three) == (10, 30)
        assert isinstance(failure.exception, WorkerLost)
        assert failure.attempts == CRASHES
        assert f"{CRASHES} workers died with this item in hand" in str(failure.exception)
        assert (bench.figures.crashes, bench.figures.retries) == (CRASHES, 0)

    def test_by_default_that_failure_ends_the_run(self):
        bench, seat = chunk_of(1)
        for _ in range(CRASHES):
            bench.lose(seat, seat.sent[-1].first)
            seat = bench.seat()
        with pytest.raises(WorkerLost, match="killed by SIGSEGV"):
            bench.results()

    def test_on_crash_fail_fails_at_once(self):
        bench, seat = chunk_of(2, on_crash="fail", **KEEP)
        bench.lose(seat, 0)
        bench.seat()
        bench.run()
        failure, two = bench.results()
        assert (failure.exception.crashes, failure.attempts, two) == (1, 1, 20)

    def test_a_kill_from_outside_says_what_it_may_have_been(self):
        bench, seat = chunk_of(1, on_crash="fail", **KEEP)
        bench.lose(seat, 0, status="killed by SIGKILL")
        (failure,) = bench.results()
        assert "ran out of memory, bound the workers with memory='2GiB'" in str(failure.exception)

    def test_a_worker_that_had_nothing_begun_has_no_suspect(self):
        bench, seat = chunk_of(3)
        bench.lose(seat)
        other = bench.seat()
        assert [sent.items for sent in other.sent] == [[1, 2, 3]]
        bench.run()
        assert bench.results() == [10, 20, 30]

    def test_a_word_of_what_was_received_accuses_nobody(self):
        bench, seat = chunk_of(3)
        bench.answer(seat, count=1)
        bench.lose(seat, 0)
        other = bench.seat()
        assert [sent.items for sent in other.sent] == [[2, 3]]

    def test_an_item_keeps_its_attempts(self):
        bench, seat = chunk_of(1, retry=AT_ONCE, **KEEP)
        bench.answer(seat, errors={0: failing()})
        bench.lose(seat, seat.sent[-1].first)
        other = bench.seat()
        bench.answer(other, errors={0: failing()})
        (failure,) = bench.results()
        assert failure.attempts == 3, "two attempts that failed, one that crashed"
        assert other.items == [1], "the second attempt was the last"

    def test_observers_hear_of_the_suspects(self):
        bench, seat = chunk_of(3)
        heard = []
        bench.hub.add(heard.append, [WorkerCrashed])
        bench.lose(seat, 1)
        (event,) = heard
        assert (event.pid, event.status, event.suspects) == (seat.pid, "killed by SIGSEGV", (1,))

    def test_a_worker_that_dies_when_the_run_is_over_changes_nothing(self):
        bench, seat = chunk_of(1)
        bench.answer(seat)
        bench.lose(seat, 0)
        assert bench.results() == [10]
        assert bench.wanted == []
        assert bench.figures.crashes == 0

    def test_results_of_a_worker_that_is_dead_are_ignored(self):
        bench, seat = chunk_of(1)
        bench.lose(seat, 0)
        bench.answer(seat, seat.sent[0])
        other = bench.seat()
        bench.answer(other)
        assert bench.results() == [10]
        assert bench.figures.finished == 1

    def test_a_chunk_that_kills_whoever_reads_it_is_not_sent_for_ever(self):
        """It dies while it unpickles: no item was begun, so no word names one."""
        bench, seat = chunk_of(3, **KEEP)
        for _ in range(50):
            if bench.lane.over:
                break
            due = [sent for sent in seat.sent if sent.first not in bench.answered]
            if 2 in due[0].items:
                bench.lose(seat)
                seat = bench.seat()
            else:
                bench.answer(seat, due[0])
        one, failure, three = bench.results()
        assert (one, three) == (10, 30)
        assert isinstance(failure.exception, WorkerLost)


class TestStillborn:
    def lose_before_it_opened(self, bench, status="exited with code 1"):
        bench.lane.lost(FakeSeat(7), [], status, "Fatal Python error", False)

    def test_a_worker_that_dies_before_it_began_is_replaced(self):
        bench = Bench()
        bench.offer([1])
        self.lose_before_it_opened(bench)
        assert bench.wanted == [1]
        bench.seat()
        bench.run()
        assert bench.results() == [10]

    def test_one_too_many_in_a_row_ends_the_run(self):
        bench = Bench()
        bench.offer([1])
        for _ in range(STILLBORN):
            assert not bench.lane.over
            self.lose_before_it_opened(bench)
        with pytest.raises(WorkerLost, match=r"exited with code 1.*Try model='threads' to see why"):
            bench.results()

    def test_not_in_a_row_when_items_finished_in_between(self):
        bench = Bench()
        seat = bench.seat()
        bench.offer(range(20))
        for _ in range(STILLBORN * 3):
            self.lose_before_it_opened(bench)
            bench.answer(seat, seconds=1.0)
        assert not bench.lane.over

    def test_those_that_somebody_kills_are_tried_for_longer_but_not_for_ever(self):
        bench = Bench()
        bench.offer([1])
        for _ in range(STILLBORN * 3):
            self.lose_before_it_opened(bench, "killed by SIGKILL")
        assert not bench.lane.over
        for _ in range(500):
            self.lose_before_it_opened(bench, "killed by SIGKILL")
        with pytest.raises(StartFailed, match="killed as soon as they start"):
            bench.results()


class TestTimeout:
    def overdue(self, bench: Bench) -> None:
        bench.lane.watch(NOW)
        bench.lane.watch(NOW)

    def test_a_worker_is_killed_and_the_attempt_fails(self):
        bench, seat = chunk_of(3, timeout=NOW, **KEEP)
        bench.answer(seat, count=1)
        bench.begin(seat, 1)
        self.overdue(bench)
        assert seat.killed == ["timeout"]
        bench.lose(seat, 1, status="killed by SIGKILL")
        other = bench.seat()
        assert other.items == [3]
        bench.run()
        one, failure, three = bench.results()
        assert (one, three) == (10, 30)
        assert isinstance(failure.exception, ItemTimeout)
        assert "its worker was killed" in str(failure.exception)
        assert failure.attempts == 1
        assert (bench.figures.timeouts, bench.figures.crashes) == (1, 0)

    def test_that_is_no_crash_for_observers_either(self):
        bench, seat = chunk_of(1, timeout=NOW, **KEEP)
        heard = []
        bench.hub.add(heard.append, [WorkerCrashed])
        bench.begin(seat, 0)
        self.overdue(bench)
        bench.lose(seat, 0, status="killed by SIGKILL")
        assert heard == []

    def test_an_attempt_left_is_made_by_another_worker(self):
        bench, seat = chunk_of(1, timeout=NOW, retry=AT_ONCE)
        bench.begin(seat, 0)
        self.overdue(bench)
        assert seat.items == [1]
        bench.lose(seat, 0, status="killed by SIGKILL")
        other = bench.seat()
        bench.answer(other)
        assert bench.results() == [10]
        assert bench.figures.retries == 1

    def test_it_is_killed_once(self):
        bench, seat = chunk_of(1, timeout=NOW)
        bench.begin(seat, 0)
        for _ in range(3):
            self.overdue(bench)
        assert seat.killed == ["timeout"]
        assert bench.figures.timeouts == 1

    def test_a_result_that_came_before_the_end_counts(self):
        bench, seat = chunk_of(1, timeout=NOW)
        bench.begin(seat, 0)
        self.overdue(bench)
        bench.answer(seat)
        assert bench.results() == [10]

    def test_it_says_deadline_when_that_was_the_shorter(self):
        bench, seat = chunk_of(1, deadline=NOW, timeout=5.0, **KEEP)
        bench.begin(seat, 0)
        self.overdue(bench)
        bench.lose(seat, 0)
        (failure,) = bench.results()
        assert failure.exception.option == "deadline"

    def second_attempt(self, since: float, **rules) -> tuple[Bench, FakeSeat]:
        """A seat that has an item in hand for the second time, `since` seconds after its first attempt began."""
        bench, seat = chunk_of(1, retry=AT_ONCE, **KEEP, **rules)
        bench.answer(seat, errors={0: failing(seconds=since)})
        assert seat.items == [1, 1]
        bench.begin(seat, seat.sent[-1].first)
        return bench, seat

    def test_a_deadline_began_with_the_first_attempt(self):
        bench, seat = self.second_attempt(since=59.0, deadline=60.0, timeout=3600.0)
        bench.lane.watch(60.0)
        assert seat.killed == [], "it is not over yet"
        (chunk,) = bench.lane.posts[seat].chunks.values()
        chunk.piece.since -= 1.0  # a second has passed
        bench.lane.watch(60.0)
        assert seat.killed == ["timeout"]
        bench.lose(seat, seat.sent[-1].first, status="killed by SIGKILL")
        (failure,) = bench.results()
        assert isinstance(failure.exception, ItemTimeout)
        assert (failure.exception.option, failure.attempts) == ("deadline", 2)

    def test_a_timeout_is_each_attempts_own(self):
        bench, seat = self.second_attempt(since=3600.0, timeout=60.0)
        bench.lane.watch(60.0)
        bench.lane.watch(60.0)
        assert seat.killed == []

    def here(self, **rules) -> tuple[Bench, FakeSeat]:
        """One thread of this process, which cannot be killed, with item 1 in hand."""
        bench = Bench(timeout=NOW, **rules)
        seat = bench.seat("threads", 1, can_kill=False)
        bench.offer([1, 2])
        bench.begin(seat, 0)
        self.overdue(bench)
        return bench, seat

    def test_a_thread_keeps_its_slot_and_its_late_result_is_refused(self):
        bench, seat = self.here(**KEEP)
        assert seat.killed == []
        assert bench.figures.failures == 1
        assert not bench.idle
        bench.answer(seat, seat.sent[0])
        assert bench.figures.refused_late == 1
        seat.slots = [0]
        bench.run()
        failure, two = bench.results()
        assert "its thread cannot be stopped; its late result is refused" in str(failure.exception)
        assert two == 20

    def test_a_retry_waits_for_the_end_of_the_attempt_that_was_given_up(self):
        bench, seat = self.here(retry=AT_ONCE)
        assert seat.items.count(1) == 1
        bench.answer(seat, seat.sent[0])
        assert seat.items.count(1) == 2
        bench.run()
        assert bench.results() == [10, 20]
        assert bench.figures.refused_late == 1

    def test_a_retry_waits_also_when_the_attempt_ends_in_an_error(self):
        bench, seat = self.here(retry=AT_ONCE)
        bench.answer(seat, seat.sent[0], errors={0: failing()})
        assert seat.items.count(1) == 2
        bench.run()
        assert bench.results() == [10, 20]
        assert bench.figures.failures == 0

    def test_a_loop_in_this_process_sweeps_its_coroutines_itself(self):
        bench = Bench(timeout=NOW)
        seat = bench.seat("loop", 4, can_kill=False)
        bench.offer([1])
        bench.begin(seat, 0)
        self.overdue(bench)
        assert bench.figures.timeouts == 0

    def test_what_it_has_seen_of_coroutines_that_have_ended_is_forgotten(self):
        bench = Bench(timeout=NOW)
        seat = bench.seat("loop", 4)
        bench.offer([1, 2, 3])
        bench.begin(seat, 0, 1, 2)
        self.overdue(bench)
        assert len(bench.lane._since) == 3
        bench.answer(seat)
        bench.begin(seat)
        self.overdue(bench)
        assert not bench.lane._since

    def threads_of_a_worker(self, **rules) -> tuple[Bench, FakeSeat]:
        """A worker with two threads: item 1 hangs in the one, the other has just begun item 2."""
        bench = Bench(timeout=NOW, **rules)
        seat = bench.seat("threads", 2)
        bench.offer([1, 2, 3])
        bench.begin(seat, 0)
        bench.lane.watch(NOW)
        bench.begin(seat, 0, 1)
        bench.lane.watch(NOW)
        assert seat.killed == [], "item 2 is in hand"
        return bench, seat

    def finish_the_other(self, bench: Bench, seat: FakeSeat) -> None:
        sent = next(sent for sent in seat.sent if 2 in sent.items)
        bench.answer(seat, sent, skip=sent.items.index(2), count=1)
        bench.begin(seat, 0)
        bench.lane.watch(NOW)
        assert seat.killed == ["timeout"]
        bench.lose(seat, 0, status="killed by SIGKILL")
        bench.seat("threads", 2)
        bench.run()

    def test_threads_beside_one_that_hangs_finish_first(self):
        bench, seat = self.threads_of_a_worker(**KEEP)
        self.finish_the_other(bench, seat)
        failure, two, three = bench.results()
        assert isinstance(failure.exception, ItemTimeout)
        assert (two, three) == (20, 30)
        assert seat.items.count(2) == 1
        assert bench.figures.crashes == 0

    def test_what_waits_for_its_end_runs_in_another_worker(self):
        bench, seat = self.threads_of_a_worker(retry=AT_ONCE)
        self.finish_the_other(bench, seat)
        assert seat.items.count(1) == 1
        assert bench.results() == [10, 20, 30]

    def test_nothing_is_watched_once_the_run_is_over(self):
        bench, seat = chunk_of(1, timeout=NOW)
        bench.begin(seat, 0)
        bench.lane.watch(NOW)
        bench.answer(seat)
        bench.lane.watch(NOW)
        assert seat.killed == []


class TestUnreadable:
    def test_it_is_sent_by_value_then_one_by_one_then_it_fails(self):
        bench, seat = chunk_of(3, **KEEP)
        answered = 0
        while answered < len(seat.sent):
            sent = seat.sent[answered]
            answered += 1
            if 2 in sent.items:
                bench.lane.unreadable(seat, sent.first, "No module named 'secret'")
            else:
                bench.answer(seat, sent)
        assert [(sent.items, sent.by_value) for sent in seat.sent][:2] == [([1, 2, 3], False), ([1, 2, 3], True)]
        assert sorted(sent.items for sent in seat.sent[2:]) == [[1], [2], [3]]
        one, failure, three = bench.results()
        assert (one, three) == (10, 30)
        assert isinstance(failure.exception, CannotTravel)
        assert "the worker could not read it: No module named 'secret'" in str(failure.exception)

    def test_what_can_be_read_by_value_needs_no_more(self):
        bench, seat = chunk_of(2)
        bench.lane.unreadable(seat, 0, "no")
        assert [(sent.items, sent.by_value) for sent in seat.sent] == [([1, 2], False), ([1, 2], True)]
        bench.answer(seat)
        assert bench.results() == [10, 20]

    def test_a_chunk_nobody_knows_is_ignored(self):
        bench, seat = chunk_of(1)
        bench.lane.unreadable(seat, 77, "no")
        bench.lane.unreadable(FakeSeat(9), 0, "no")
        bench.answer(seat)
        assert bench.results() == [10]


class TestScrambled:
    def test_items_whose_results_cannot_be_read_run_one_by_one(self):
        bench, seat = chunk_of(3, **KEEP)
        answered = 0
        while answered < len(seat.sent):
            sent = seat.sent[answered]
            answered += 1
            if 2 in sent.items:
                bench.lane.scrambled(seat, list(sent.seqs), "No module named 'secret'")
            else:
                bench.answer(seat, sent)
        assert sorted(sent.items for sent in seat.sent[1:]) == [[1], [2], [3]]
        one, failure, three = bench.results()
        assert (one, three) == (10, 30)
        assert isinstance(failure.exception, CannotTravel)
        assert "it cannot be read here: No module named 'secret'" in str(failure.exception)

    def test_a_part_of_a_chunk(self):
        bench, seat = chunk_of(4)
        bench.answer(seat, count=1)
        bench.lane.scrambled(seat, [1, 2], "no")
        bench.answer(seat, seat.sent[0], skip=3)
        bench.run()
        assert sorted(seat.items[4:]) == [2, 3]
        assert bench.results() == [10, 20, 30, 40]

    def test_results_of_items_that_nobody_waits_for_are_ignored(self):
        bench, seat = chunk_of(2)
        bench.answer(seat, count=1)
        bench.lane.scrambled(seat, [0, 77], "no")
        bench.lane.scrambled(FakeSeat(9), [1], "no")
        bench.answer(seat, seat.sent[0], skip=1)
        assert bench.results() == [10, 20]


def test_results_out_of_order_within_a_loop_find_their_items():
    bench = Bench()
    seat = bench.seat("loop", 4)
    bench.offer(range(1, 5))
    values = {0: 10, 1: 20, 2: 30, 3: 40}
    seqs = [2, 0, 3, 1]
    bench.lane.arrived(seat, Batch(2, [values[seq] for seq in seqs], [], seqs, 0.0), 0, 0.0)
    assert bench.results() == [10, 20, 30, 40]
