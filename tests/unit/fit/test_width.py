"""Each decision of `Width`, in words of the service that it meets."""

from collections.abc import Callable
from itertools import pairwise

from plait.fit.width import Width

ALONE = 0.1


class Service:
    """Answers a seat's items in rounds: all that are in progress end together, after `seconds(width)`."""

    def __init__(self, seat: Width, seconds: Callable[[int], float], failing: Callable[[int], float] = lambda _: 0.0):
        self.seat, self.seconds, self.failing, self.now = seat, seconds, failing, 0.0

    def rounds(self, many: int = 1, *, until: str = "", busy: bool = True) -> None:
        """So many rounds, or until the seat is in that mode."""
        for _ in range(many):
            width = self.seat.width
            each = self.seconds(width)
            self.now += each
            self.seat.finished(self.now, width, round(width * self.failing(width)), width * each, busy=busy)
            if until and self.seat.mode == until:
                return
        assert not until, f"{self.seat.mode} ({self.seat.why}) after {many} rounds"


def boundless(width: int) -> float:
    return ALONE


def queueing(slots: int) -> Callable[[int], float]:
    return lambda width: ALONE * max(1.0, width / slots)


def rejecting(slots: int) -> Callable[[int], float]:
    return lambda width: max(0.0, 1 - slots / width)


def test_growing_a_service_that_answers_as_if_alone_gets_twice_as_many_after_each_latency():
    seat = Width(8, 1000, alone=ALONE)
    service = Service(seat, boundless)
    widths = []
    for _ in range(4):
        service.rounds()
        widths.append(seat.width)
    assert widths == [16, 32, 64, 128]


def test_growing_ends_at_the_most():
    seat = Width(8, 50, alone=ALONE)
    Service(seat, boundless).rounds(20, until="holding")
    assert seat.width == 50
    assert seat.settled


def test_growing_that_does_not_pay_goes_back_to_what_is_enough():
    seat = Width(8, 1000, alone=ALONE)
    Service(seat, queueing(36)).rounds(30, until="holding")
    assert 36 <= seat.width <= 38
    assert seat.why == "twice the width did not pay"


def test_without_an_item_alone_it_grows_all_the_same():
    seat = Width(8, 1000)
    Service(seat, queueing(36)).rounds(60, until="holding")
    assert 36 <= seat.width <= 38


def test_a_start_that_is_far_too_wide_is_noticed_at_once():
    seat = Width(128, 1000, alone=ALONE)
    Service(seat, queueing(4)).rounds(1)
    assert seat.width < 32
    assert seat.why == "would less do?"


def test_holding_a_starved_seat_decides_nothing():
    seat = Width(8, 1000, alone=ALONE)
    Service(seat, boundless).rounds(50, busy=False)
    assert seat.width == 8


def test_trying_waits_twice_as_long_each_time():
    seat = Width(8, 1000, alone=ALONE)
    service = Service(seat, queueing(40))
    service.rounds(30, until="holding")
    waits = []
    for _ in range(4):
        began = service.now
        service.rounds(10_000, until="trying")
        waits.append(service.now - began)
        service.rounds(10_000, until="holding")
    assert all(later > 1.3 * sooner for sooner, later in pairwise(waits))


def test_failures_that_rise_with_the_width_end_the_growth():
    seat = Width(8, 1000, alone=ALONE)
    Service(seat, boundless, rejecting(40)).rounds(20, until="holding")
    assert seat.width == 32
    assert seat.why == "failures rose with the width"


def test_easing_failures_at_the_first_width_are_met_by_a_quarter():
    seat = Width(64, 1000, alone=ALONE)
    service = Service(seat, boundless, rejecting(20))
    service.rounds(1)
    assert (seat.width, seat.mode) == (16, "easing")
    service.rounds(6, until="growing")
    assert (seat.width, seat.mode, seat.why) == (16, "growing", "failures ceased")


def test_easing_that_does_not_help_shows_that_the_items_fail_by_themselves():
    seat = Width(64, 1000, alone=ALONE)
    service = Service(seat, boundless, lambda _: 0.25)
    service.rounds(1)
    assert seat.mode == "easing"
    service.rounds(6, until="growing")
    assert seat.width == 64
    assert seat.failures.usual == 0.25


def test_few_failures_are_enough_to_brake():
    seat = Width(64, 1000, alone=ALONE)
    for count in range(1, 11):
        if seat.finished(count * 0.01, 1, 1, 0.01):
            break
    assert count <= 10
    assert seat.width < 64


def test_usual_failures_do_not_brake():
    seat = Width(64, 1000, alone=ALONE, usual=0.25)
    Service(seat, queueing(100), lambda _: 0.25).rounds(60, until="holding")
    assert seat.width >= 100


def test_a_limit_narrows_at_once_and_says_why():
    seat = Width(64, 1000, alone=ALONE)
    assert seat.limit(16, "memory", 0.0)
    assert (seat.width, seat.why, seat.settled) == (16, "memory", True)
    assert not seat.limit(20, "memory", 0.0)


class TestUnheard:
    """Before the first item has ended."""

    def test_items_that_wait_and_burden_nobody_get_company_every_few_milliseconds(self):
        seat, widths = Width(64, 1000), []
        for look in range(1, 15):
            seat.unheard(look * 0.01)
            widths.append(seat.width)
        assert widths[:6] == [64, 128, 128, 256, 256, 512]
        assert widths[-1] == 512, "there it waits for the first to end"

    def test_no_more_than_there_are_items(self):
        seat = Width(64, 1000)
        seat.left = 150
        for look in range(1, 15):
            seat.unheard(look * 0.01)
        assert seat.width == 150

    def test_once_one_has_ended_goodput_decides(self):
        seat = Width(64, 1000)
        seat.finished(0.01, 1, 0, 0.01)
        assert not any(seat.unheard(0.01 + look * 0.01) for look in range(1, 15))

    def test_failures_lead_back_to_the_step_before(self):
        seat = Width(64, 1000)
        seat.unheard(0.02)
        assert seat.width == 128
        seat.finished(0.05, 8, 8, 8 * 0.02)
        assert (seat.width, seat.why) == (64, "failures rose with the width")


class TestWhatIsLeft:
    def test_growing_takes_no_more_than_are_left(self):
        seat = Width(64, 1000, alone=ALONE)
        seat.left = 100
        Service(seat, boundless).rounds(3)
        assert seat.width == 100

    def test_what_is_soon_over_is_left_alone(self):
        seat = Width(64, 1000, alone=ALONE)
        seat.left = 70
        Service(seat, boundless).rounds(3)
        assert seat.width == 64
        assert seat.why == "what is left is soon over"

    def test_too_little_for_a_trial_to_pay_is_not_tried_on(self):
        seat = Width(32, 1000, alone=ALONE)
        service = Service(seat, queueing(40))
        service.rounds(30, until="holding")
        width, seat.left = seat.width, 100
        service.rounds(200)
        assert (seat.width, seat.mode) == (width, "holding")


class TestAProcessThatCanComputeNoMore:
    """Each item computes, so that however many there are, so many end in a second."""

    def computing(self, seat: Width, reports: int) -> None:
        now = 0.0
        for _ in range(reports):
            now += 4 * 0.002
            seat.finished(now, 4, 0, 4 * seat.width * 0.002, computed=now)

    def test_it_gets_no_more_in_progress(self):
        seat = Width(64, 1000)
        self.computing(seat, 200)
        assert seat.width == 64
        assert seat.why == "this process can compute no more"

    def test_nor_fewer_for_taking_longer_than_alone(self):
        seat = Width(64, 1000, alone=0.005)
        self.computing(seat, 200)
        assert seat.width == 64
