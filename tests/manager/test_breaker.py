"""The circuit breaker: by hand, with a clock of the test's own; then in the manager, on full servers."""

import time

import pymysql
import pytest

from loadtest.manager import CircuitBreaker, CircuitOpen, ConnectionManager, NoConnection, breaker
from tests.server.pressure import full


class Clock:
    now_s = 100.0


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(breaker, "now_s", lambda: Clock.now_s)
    Clock.now_s = 100.0
    return Clock


def fail(some, times=1):
    for _ in range(times):
        with pytest.raises(pymysql.OperationalError), some:
            raise pymysql.OperationalError(2003, "as told")


def test_it_opens_after_failures_in_a_row_and_then_nothing_is_tried(clock):
    some = CircuitBreaker(failures_count=3, open_s=5.0)
    fail(some, 2)
    with some:
        pass
    fail(some, 2)
    assert some.state == "closed", "a success in between"
    fail(some)
    assert (some.state, some.opened_count) == ("open", 1)
    clock.now_s += 4.9
    with pytest.raises(CircuitOpen, match=r"3 tries in a row have failed; again in 0\.1 s"), some:
        raise AssertionError("this was tried")
    assert some.refused_count == 1


def test_after_a_while_one_trial_decides(clock):
    some = CircuitBreaker(failures_count=1, open_s=5.0)
    fail(some)
    clock.now_s += 5.0
    assert some.state == "half-open"
    some.check()
    with pytest.raises(CircuitOpen):
        some.check()  # a second one, meanwhile
    some.succeeded()
    assert some.state == "closed"
    fail(some)
    clock.now_s += 5.0
    fail(some)  # the trial
    assert (some.state, some.opened_count) == ("open", 3)


def test_a_trial_that_never_ended_gives_way_to_another_one(clock):
    some = CircuitBreaker(failures_count=1, open_s=5.0)
    fail(some)
    clock.now_s += 5.0
    some.check()  # and the function was stopped
    clock.now_s += 5.0
    with some:
        pass
    assert some.state == "closed"


def test_one_breaker_in_the_manager_and_around_it_judges_once(clock, made, target):
    some = CircuitBreaker(failures_count=2, open_s=5.0)
    db = made(breaker=some)
    with full(target):
        for count in (1, 2):
            with pytest.raises(NoConnection), db.invocation(1.2), some:
                db.query("SELECT 1")
            assert some._failed_count == count
    assert some.state == "open"
    clock.now_s += 5.0
    with db.invocation(5.0), some:
        db.query("SELECT 1")
    assert some.state == "closed"


def test_an_error_of_the_functions_own_says_nothing_of_the_database(clock):
    some = CircuitBreaker(failures_count=1, open_s=5.0)
    with pytest.raises(KeyError), some:
        raise KeyError("mine")
    assert some.state == "closed"
    fail(some)
    clock.now_s += 5.0
    with pytest.raises(KeyError), some:
        raise KeyError("mine")
    with some:  # so it may be tried again at once
        pass


def test_what_counts_can_be_chosen():
    some = CircuitBreaker(failures_count=1, counts=lambda error: error.args[0] == 1205)
    fail(some, 5)
    assert some.state == "closed"
    with pytest.raises(pymysql.OperationalError), some:
        raise pymysql.OperationalError(1205, "lock wait timeout")
    assert some.state == "open"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"failures_count": 0}, "failures_count is 0, not a whole number of 1 or more"),
        ({"failures_count": 1.5}, "failures_count is 1.5"),
        ({"open_s": -1}, "open_s is -1"),
        ({"open_s": float("nan")}, "open_s is nan"),
    ],
)
def test_a_value_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        CircuitBreaker(**wrong)


def test_a_manager_takes_nothing_else_for_a_breaker():
    with pytest.raises(ValueError, match="breaker is 3, not a CircuitBreaker"):
        ConnectionManager(breaker=3)


def test_a_manager_with_one_fails_at_once_where_it_was_refused_before(target, made):
    db = made(breaker=CircuitBreaker(failures_count=2, open_s=0.5))
    with full(target):
        for _ in range(2):
            with pytest.raises(NoConnection, match="the server is full"), db.invocation(1.5):
                db.query("SELECT 1")
        tried_count = db.stats.refused_count
        with pytest.raises(CircuitOpen, match="2 tries in a row"), db.invocation(1.5):
            db.query("SELECT 1")
        assert db.stats.refused_count == tried_count, "nothing was tried"
    time.sleep(0.5)
    with db.invocation(5.0):
        assert db.query("SELECT 1") == [{"1": 1}] or db.query("SELECT 1")[0][0] == 1
    with db.invocation(5.0):  # and it is closed for good
        db.query("SELECT 1")
