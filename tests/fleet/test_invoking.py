"""What becomes of an event between its arrival and its last invocation. Functions fail when they are told.

The clock is shortened; the waits are compared with each other and with what was set, as a lower bound.
"""

import json
import time
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import gevent
import pytest

from loadtest.fleet.arrivals import Arrival
from loadtest.fleet.clock import Clock
from loadtest.fleet.fleet import Fleet
from loadtest.fleet.invoking import invoking_of
from loadtest.fleet.runtime import InProcess
from loadtest.fleet.strategies import Handler
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import parse
from tests.waiting import wait_until

DELAY_S = 0.05


class Told:
    """A function that fails as often as it is told for each event, and notes what it was sent."""

    def __init__(self, failures, takes_s=0.0, partial=True):
        self.failures, self.takes_s, self.partial = Counter(failures), takes_s, partial
        self.sent, self.at_once, self.most_at_once = [], 0, 0

    def __call__(self, event, _context):
        self.sent.append(event)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        gevent.sleep(self.takes_s)
        self.at_once -= 1
        records = event.get("Records")
        ids = [json.loads(one["body"])["id"] for one in records] if records else [event["id"]]
        failed = [name for name in ids if self.failures[name] > 0]
        self.failures.subtract(failed)
        if failed and not (records and self.partial):
            raise ValueError("as told")
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def world(invoke, function, **settings):
    chosen = Settings(
        **{
            "invoke": invoke, "cold_start_ms": 0.0, "retry_delay_s": DELAY_S, "function_timeout_s": 1.0,
            "visibility_timeout_s": 1.0, "reap_probability": 0.0, **settings,
        }
    )  # fmt: skip
    parts, clock = parse("shop.module:Told"), Clock(time.monotonic())
    (part,) = parts
    route = SimpleNamespace(book=None, rtt_s=0.0, arguments={}, secret=None)
    runtime = InProcess({part.name: lambda _: Handler(function)}, {part.name: route}, None, "closed", 1.0)
    rows, attempts = [], []
    fleet = Fleet(chosen, parts, runtime, clock, rows.append)
    stage = invoking_of(chosen, fleet, clock, rows.append, attempts.append, 0, 1, [part.name])
    return SimpleNamespace(stage=stage, rows=rows, attempts=attempts, clock=clock, fleet=fleet)


def send(some, *numbers):
    """Returns the greenlets, of which each lasts as long as its event."""
    now_s = some.clock.now()
    arrivals = [Arrival(number, now_s, 0.5, 0.5, 0.5) for number in numbers]
    return [gevent.spawn(some.stage.arrive, 7, arrival, now_s) for arrival in arrivals]


def ended(some, *numbers):
    """The row of each event."""
    gevent.joinall(send(some, *numbers), timeout=20.0)
    some.stage.close()
    rows = {row.arrival: row for row in some.rows}
    assert len(rows) == len(some.rows) == len(numbers), "one row for each event"
    return rows


@pytest.mark.parametrize(
    ("failures", "error", "attempts_count"),
    [(0, "", 1), (1, "", 2), (2, "", 3), (3, "ValueError", 3), (9, "ValueError", 3)],
)
def test_an_asynchronous_invocation_that_fails_is_tried_again_twice(failures, error, attempts_count):
    some = world("async", Told({"7/1": failures}))
    row = ended(some, 1)[1]
    assert row.error == error
    assert len(some.attempts) == attempts_count
    starts = [one.started_s for one in some.attempts]
    for number, (one, other) in enumerate(pairwise(starts), 1):
        assert other - one >= number * DELAY_S, "a minute before the second attempt, two before the third"
    assert row.finished_s == some.attempts[-1].finished_s


def test_an_asynchronous_invocation_that_is_throttled_comes_again_without_counting_as_tried():
    some = world("async", Told({"7/1": 2}, takes_s=0.2), concurrency_limit=1)
    rows = ended(some, 1, 2)
    assert {row.error for row in rows.values()} == {""}
    throttled = [one for one in some.attempts if one.container < 0]
    assert {one.error for one in throttled} == {"throttled"}
    assert Counter(one.arrival for one in some.attempts if one.container >= 0) == {1: 3, 2: 1}


def test_its_queue_holds_what_waits_for_its_next_attempt():
    some = world("async", Told({"7/1": 1}), retry_delay_s=5.0)
    sent = send(some, 1)
    wait_until(lambda: gevent.sleep(0.01) or some.stage.waiting()[0] == 1, what="an event that waits")
    assert some.stage.waiting()[1] <= some.clock.now()
    gevent.killall(sent)
    assert some.stage.waiting()[0] == 0
    assert [row.error for row in some.rows] == ["unfinished"]


def test_what_is_delivered_twice_has_one_row_and_two_attempts():
    for invoke in ("async", "queue"):
        some = world(invoke, Told({}), duplicate_ratio=1.0, batch_size=1)
        gevent.joinall(send(some, 1, 2), timeout=20.0)
        wait_until(lambda some=some: gevent.sleep(0.01) or len(some.attempts) == 4, what="second deliveries")
        some.stage.close()
        assert sorted(row.arrival for row in some.rows) == [1, 2]
        assert Counter(one.arrival for one in some.attempts) == {1: 2, 2: 2}


def test_messages_come_in_batches_of_the_size_that_was_set():
    function = Told({}, takes_s=0.05)
    some = world("queue", function, batch_size=4, maximum_concurrency=1)
    rows = ended(some, *range(10))
    assert {row.error for row in rows.values()} == {""}
    assert [len(event["Records"]) for event in function.sent] == [4, 4, 2]
    assert [one.invocation for one in some.attempts] == [0] * 4 + [1] * 4 + [2] * 2


def test_a_batch_waits_for_its_window_unless_it_is_full():
    function = Told({})
    some = world("queue", function, batch_size=3, batch_window_s=0.3)
    began_s = some.clock.now()
    rows = ended(some, *range(4))
    starts = sorted(row.started_s for row in rows.values())
    assert starts[2] - began_s < 0.3 <= starts[3] - began_s
    assert [len(event["Records"]) for event in function.sent] == [3, 1]


def test_of_a_batch_only_what_the_function_reports_as_failed_comes_again():
    function = Told({"7/2": 1})
    some = world("queue", function, batch_size=4, visibility_timeout_s=1.0)
    rows = ended(some, *range(4))
    assert {row.error for row in rows.values()} == {""}
    assert [[one["messageId"] for one in event["Records"]] for event in function.sent] == [
        ["7/0", "7/1", "7/2", "7/3"], ["7/2"],
    ]  # fmt: skip
    assert [one.error for one in some.attempts] == ["", "", "batchItemFailures", "", ""]
    assert rows[2].started_s - rows[1].started_s >= 1.0, "the visibility timeout"


def test_without_such_a_report_the_whole_batch_comes_again():
    function = Told({"7/2": 1}, partial=False)
    some = world("queue", function, batch_size=4)
    rows = ended(some, *range(4))
    assert {row.error for row in rows.values()} == {""}
    assert [len(event["Records"]) for event in function.sent] == [4, 4]


@pytest.mark.parametrize(
    "failures", [5, [{"itemIdentifier": [1]}], [{"itemIdentifier": "who"}], [3], "x", [{}]]
)
def test_a_report_that_makes_no_sense_stands_for_the_whole_batch(failures):
    answers = [{"batchItemFailures": failures}, {"batchItemFailures": []}]
    some = world("queue", lambda _event, _context: answers.pop(0), batch_size=3)
    rows = ended(some, *range(3))
    assert {row.error for row in rows.values()} == {""}
    assert [one.error for one in some.attempts] == ["batchItemFailures"] * 3 + [""] * 3


def test_what_came_as_often_as_it_may_goes_to_the_dead_letters():
    some = world("queue", Told({"7/0": 9}), max_receives=2)
    row = ended(some, 0)[0]
    assert row.error == "batchItemFailures"
    assert len(some.attempts) == 2


def test_a_queue_has_no_more_invocations_at_once_than_its_maximum_concurrency():
    for most in (1, 3):
        function = Told({}, takes_s=0.05)
        some = world("queue", function, batch_size=1, maximum_concurrency=most)
        ended(some, *range(12))
        assert function.most_at_once == most


def test_a_batch_that_is_throttled_waits_and_is_visible_again_after_its_timeout():
    function = Told({}, takes_s=0.6)
    some = world(
        "queue", function, batch_size=1, concurrency_limit=1, visibility_timeout_s=1.5, max_receives=9
    )
    rows = ended(some, 0, 1, 2)
    assert {row.error for row in rows.values()} == {""}
    assert any(one.container < 0 for one in some.attempts)


def test_what_is_left_at_the_end_is_unfinished():
    some = world("queue", Told({}, takes_s=0.3), batch_size=1, maximum_concurrency=1)
    sent = send(some, *range(5))
    gevent.sleep(0.45)
    assert some.stage.waiting()[0] == 3
    gevent.killall(sent)
    some.stage.close()
    assert Counter(row.error for row in some.rows) == {"unfinished": 4, "": 1}
