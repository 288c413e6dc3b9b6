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


@pytest.mark.parametrize("batch_s", [0.1, 0.25, 0.9])
def test_it_grows_as_fast_where_batches_are_short(batch_s):
    pollers, ends = Pollers(5, 300.0, 1250), []  # when each batch that is under way ends
    now_s = 0.0
    while now_s < 60.0:
        ends = [end for end in ends if end > now_s]
        while pollers.may_invoke(now_s, len(ends), 1000):
            ends.append(now_s + batch_s * (1 + len(ends) / 1000))
        now_s = min(ends)  # asked whenever one is done, and messages still wait
    assert 280 <= len(ends) <= 305


def test_it_does_not_grow_while_nothing_waits_and_begins_anew_once_nothing_is_under_way():
    pollers = Pollers(5, 300.0, 1250)
    assert allowed(pollers, 6.0, allowed(pollers, 0.0)) == 35
    for now_s in (6.01, 60.0):  # twenty are under way, and no message waits
        pollers.may_invoke(now_s, 20, 0)
    assert allowed(pollers, 60.0) == 35
    pollers.may_invoke(70.0, 0, 0)
    assert allowed(pollers, 70.0) == 5


def test_a_worker_has_one_at_least():
    assert allowed(Pollers(0, 75.0, 3), 0.0) == 1
