"""Whose failures are whose: the width's, or the items' own."""

from plait.fit.failures import CEASED, GO_ON, OWN, Failures
from plait.fit.level import Window


def window(items: int, failed: int) -> Window:
    seen = Window()
    seen.add(items, failed, items * 0.1)
    return seen


def alarmed(failures: Failures, items: int, failed: int) -> bool:
    return failures.alarming(items, failed, items * 0.1, easing=False)


def test_a_few_failures_in_a_row_alarm():
    failures = Failures()
    assert [alarmed(failures, 1, 1) for _ in range(4)] == [False, False, False, True]


def test_usual_ones_do_not():
    assert not any(alarmed(Failures(usual=0.25), 64, 16) for _ in range(50))


def test_while_they_are_eased_none_alarm():
    failures = Failures()
    assert not any(failures.alarming(1, 1, 0.1, easing=True) for _ in range(50))


def test_those_that_cease_at_a_quarter_were_the_widths():
    failures = Failures()
    alarmed(failures, 20, 10)
    assert failures.ease(64, gently=False) == 16
    assert failures.eased(16, window(16, 0), 1.0, 0.5) == CEASED
    assert failures.first == 64


def test_those_that_stay_as_many_are_the_items_own_and_usual_from_then_on():
    failures = Failures()
    alarmed(failures, 20, 5)
    failures.ease(64, gently=False)
    seen = window(16, 4)
    assert failures.eased(16, seen, 1.0, 0.5) == OWN
    assert failures.usual == 0.25
    assert failures.back(seen) == 64


def test_those_that_become_fewer_go_on():
    failures = Failures()
    alarmed(failures, 20, 16)
    failures.ease(64, gently=False)
    assert failures.eased(16, window(32, 8), 1.0, 0.5) == GO_ON


def test_where_nearly_all_fail_at_one_at_a_time_one_is_enough():
    failures = Failures()
    alarmed(failures, 20, 20)
    assert failures.ease(4, gently=False) == 1
    seen = window(16, 16)
    assert failures.eased(1, seen, 1.0, 0.5) == OWN
    assert failures.back(seen) == 1


def test_usual_failures_cost_no_goodput_others_do():
    failures = Failures(usual=0.25)
    assert failures.worth(window(100, 25)) == 1.0
    assert 0.5 < failures.worth(window(100, 50)) < 1.0
