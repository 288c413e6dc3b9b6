"""How many invocations at once a queue's pollers make."""

import pytest

from loadtest.fleet.pollers import Pollers


def allowed(pollers, now_s, busy_count=0):
    """How many are under way once no more may be, beside so many before, while messages wait."""
    count = busy_count
    while pollers.may_invoke(now_s, count, 1000):
        count += 1
    return count


@pytest.mark.parametrize(
    ("after_s", "count"),
    [(0.0, 5), (0.1, 5), (0.2, 6), (1.0, 10), (10.0, 55), (60.0, 305), (600.0, 1250)],
)
def test_it_begins_with_five_and_adds_three_hundred_a_minute_while_messages_wait(after_s, count):
    pollers = Pollers(5, 300.0, 1250)
    assert allowed(pollers, after_s, allowed(pollers, 0.0)) == count


@pytest.mark.parametrize(("most", "count"), [(2, 2), (5, 5), (7, 7)])
def test_the_maximum_concurrency_bounds_it(most, count):
    pollers = Pollers(5, 300.0, most)
    assert allowed(pollers, 60.0, allowed(pollers, 0.0)) == count


def test_it_does_not_grow_while_nothing_waits_and_begins_anew_once_nothing_is_under_way():
    pollers = Pollers(5, 300.0, 1250)
    assert allowed(pollers, 6.0, allowed(pollers, 0.0)) == 35
    pollers.may_invoke(60.0, 20, 0)  # twenty are under way, and no message waits
    assert allowed(pollers, 60.0) == 35
    pollers.may_invoke(70.0, 0, 0)
    assert allowed(pollers, 70.0) == 5


def test_a_worker_has_one_at_least():
    assert allowed(Pollers(0, 75.0, 3), 0.0) == 1
