"""Reserved concurrency, the limit of requests, and answers that come from a cache."""

import time
from collections import Counter
from types import SimpleNamespace

import gevent
import pytest

from loadtest.errors import UsageError
from loadtest.fleet.arrivals import Arrival
from loadtest.fleet.clock import Clock
from loadtest.fleet.fleet import Fleet
from loadtest.fleet.runtime import InProcess
from loadtest.settings.plan import Settings
from loadtest.settings.reserved import reserved_alone, reserved_in
from loadtest.settings.scenario import plan_with
from loadtest.settings.strategy import parse

FLEET = "a=shop:A:0.5+b=shop:B:0.5"


class Sleeps:
    def __init__(self, takes_s):
        self.takes_s, self.calls_count = takes_s, 0

    def invoke(self, _work, _context):
        self.calls_count += 1
        gevent.sleep(self.takes_s)


def fleet_of(function, text="shop:A", place=(0, 1), **settings):
    chosen = Settings(**{"cold_start_ms": 0.0, "reap_probability": 0.0, "rtt_ms": 1.0, **settings})
    parts, clock, rows = parse(text), Clock(time.monotonic()), []
    route = SimpleNamespace(book=None, rtt_s=0.0, arguments={}, secret=None)
    names = [part.name for part in parts]
    runtime = InProcess(
        {name: lambda _: function for name in names}, dict.fromkeys(names, route), None, "closed", 9.0
    )
    return SimpleNamespace(
        fleet=Fleet(chosen, parts, runtime, clock, rows.append, *place), rows=rows, clock=clock
    )


def arrive(some, part_draws):
    now_s = some.clock.now()
    sent = [
        gevent.spawn(some.fleet.arrive, 0, Arrival(number, now_s, draw, 0.9, 0.9), now_s)
        for number, draw in enumerate(part_draws)
    ]
    gevent.joinall(sent, timeout=20.0)
    return Counter((row.part, row.error) for row in some.rows)


def test_a_function_has_what_is_reserved_for_it_and_the_others_share_the_rest():
    some = fleet_of(Sleeps(0.2), FLEET, concurrency_limit=10, reserved="a=3")
    assert arrive(some, [0.1] * 9 + [0.9] * 9) == {
        ("a", ""): 3, ("a", "throttled"): 6, ("b", ""): 7, ("b", "throttled"): 2,
    }  # fmt: skip


def test_containers_that_wait_for_one_function_are_not_lent_beyond_the_limit_of_all():
    some = fleet_of(Sleeps(0.1), FLEET, concurrency_limit=4)
    assert arrive(some, [0.1] * 4) == {("a", ""): 4}  # four frozen containers of a
    some.rows.clear()
    assert arrive(some, [0.9] * 4 + [0.1] * 4) == {("b", ""): 4, ("a", "throttled"): 4}


def test_what_is_left_for_the_others_is_divided_exactly_among_processes():
    text = "a=shop:A:0.4+b=shop:B:0.4+c=shop:C:0.2"
    some = [
        fleet_of(Sleeps(0.1), text, (worker, 2), concurrency_limit=8, reserved="a=3,b=3") for worker in (0, 1)
    ]
    for one in some:
        assert arrive(one, [0.1, 0.1, 0.5, 0.5, 0.9, 0.9])[("c", "")] == 1


def test_separate_strategies_do_not_share_a_limit_and_each_has_its_own():
    plan = plan_with("quick", {"strategies": ["managed", "cached"], "reserved": "managed=600,cached=600"})
    assert reserved_alone(plan.reserved, ["cached"]) == "cached=600"


def test_ten_requests_a_second_for_each_concurrent_execution():
    some = fleet_of(Sleeps(0.0), concurrency_limit=2)
    answered_count, began_s = 0, some.clock.now()
    for _ in range(60):  # one after another, so that two would be enough
        answered_count += arrive(some, [0.5])[("shop:A", "")]
        some.rows.clear()
    refilled_count = 20 * (some.clock.now() - began_s)
    assert 20 <= answered_count <= 20 + refilled_count + 1


@pytest.mark.parametrize(
    ("text", "found"), [("", {}), ("a=3", {"a": 3}), ("a=3,b=1", {"a": 3, "b": 1}), ("x=9,a=3", {"a": 3})]
)
def test_it_is_written_by_part(text, found):
    assert reserved_in(text, ["a", "b"]) == found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reserved": "a"}, "write PART=N"),
        ({"reserved": "a=0"}, "write PART=N"),
        ({"reserved": "a=1,a=2"}, "'a' is named twice"),
        ({"reserved": "c=1"}, "no function is called 'c'"),
        ({"reserved": "a=1000"}, "nothing is left for the others"),
        ({"reserved": "a=600,b=600"}, "more than the concurrency-limit of 1,000"),
        ({"reserved": "a=1", "model": "closed"}, "reserved is for the open model"),
        ({"reserved": "a=1", "processes": 2}, "cannot be divided among 2 processes"),
    ],
)
def test_what_cannot_be_reserved_is_refused(changes, said):
    with pytest.raises(UsageError, match=said):
        plan_with("quick", {"strategies": [FLEET], **changes})


def test_of_what_a_cache_answers_the_function_asks_nothing():
    function = Sleeps(0.0)
    some = fleet_of(function, cache_hit_ratio=0.75)
    assert arrive(some, [0.5] * 200) == {("shop:A", ""): 200}
    assert 25 <= function.calls_count <= 75
    again = Sleeps(0.0)
    arrive(fleet_of(again, cache_hit_ratio=0.75), [0.5] * 200)
    assert again.calls_count == function.calls_count, "drawn for the arrival, not for the strategy"
