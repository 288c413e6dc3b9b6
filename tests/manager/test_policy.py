"""The decisions, without a server."""

import json
from pathlib import Path

import pytest

from loadtest.manager import Classic, Managed
from loadtest.manager.decision import (
    AskPressure,
    AskProcessList,
    Census,
    Close,
    Keep,
    Kill,
    Rhythm,
    Situation,
)

# Recorded from serverless-mysql 2.1.0 itself: the process list that it was shown, whom it killed,
# which of its KILLs failed because the thread was gone, and whether it closed its own connection.
RECORDED = [
    json.loads(line) for line in Path(__file__).with_name("decisions.jsonl").read_text("utf-8").splitlines()
]


def act(case):
    """What `classic` does with a recorded process list: (killed, failed to kill, closed its own)."""
    options, rows = case["options"], case["rows"]
    policy = Classic(
        utilisation_ratio=options["connUtilization"],
        zombie_min_s=options["zombieMinTimeout"],
        zombie_max_s=options["zombieMaxTimeout"],
    )
    oldest_s = max(row["time_s"] for row in rows)
    census = Census(len(rows), case["max_connections"], oldest_s)
    decision = policy.decide(Situation(Rhythm(0.0), census=census, is_fresh=True))
    if not isinstance(decision, Kill):
        return [], [], isinstance(decision, Close)
    asleep = [
        row["id"]
        for row in rows
        if row["command"] == "Sleep" and row["user"] == case["user"] and row["time_s"] >= decision.idle_s
    ]
    gone = {
        "": lambda _: False,
        "every thread is gone when killed": lambda _: True,
        "threads with odd ids are gone when killed": lambda thread: thread % 2 == 1,
    }[case["note"]]
    killed = [thread for thread in asleep if not gone(thread)]
    failed = [thread for thread in asleep if gone(thread)]
    return killed, failed, not killed and decision.close_if_none_died


def test_there_are_two_hundred_recorded_decisions():
    assert len(RECORDED) == 200


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: str(case["case"]))
def test_classic_decides_as_the_published_module_did(case):
    assert act(case) == (case["killed"], case["kill_failed"], case["closed_own"])


def called(count, gap_s):
    """A container that was called so often, by now with this mean gap, and works for 20 ms each time."""
    return Rhythm(gap_mean_s=gap_s, invocations_count=count, busy_mean_s=0.02)


POLICY = Managed()


@pytest.mark.parametrize(
    ("count", "gap_s", "used", "lease_s", "expected"),
    [
        (1, 0.0, 0, 1, Close()),  # a new container: most of a burst are not called again
        (2, 0.1, None, 1, AskPressure(POLICY.limit_cache_s)),  # nobody was asked lately
        (2, 0.1, 72, 1, Keep()),  # called often, and the server has room
        (2, 0.1, 73, 1, Close()),  # called often, and the server is tight
        (2, 0.02, 90, 1, Keep()),  # in use half of the time, on a full server
        (2, 0.021, 90, 1, Close()),
        (2, 0.5, 45, 1, Keep()),  # called seldom, and the server is calm
        (2, 0.5, 46, 1, Close()),
        (2, 1.0, 45, 1, Close()),  # would expire before it is used again
        (9, 0.24, 72, 1, Keep()),
        (3, 0.4, 22, 1, Keep()),  # an idle server, but nobody knows yet how long a lease is needed
        (3, 2.0, 22, 1, Close()),
        (9, 0.3, 22, 1, Keep()),  # an idle server, and a lease that suffices
        (9, 0.4, 22, 1, Keep(3)),  # an idle server: a longer lease
        (9, 0.4, 22, 3, Keep()),
        (9, 9.0, 22, 3, Keep(30)),
        (9, 12.0, 22, 30, Keep()),  # the longest there is
        (9, 30.0, 22, 1, Close()),
        (9, 0.1, 23, 3, Keep(1)),  # no longer idle: the short lease again
        (9, 0.01, 90, 12, Keep(1)),
        (9, 0.1, 22, 61, Keep(30)),  # a transaction had lengthened it
    ],
)
def test_managed_keeps_while_there_is_room(count, gap_s, used, lease_s, expected):
    census = None if used is None else Census(used, 90)
    assert POLICY.decide(Situation(called(count, gap_s), lease_s, census=census)) == expected


@pytest.mark.parametrize(
    ("count", "gap_s", "used", "connect_s", "expected"),
    [
        (1, 1.0, None, 0.2, Close()),  # new, and it knows of no shortage
        (1, 1.0, 90, 0.2, Keep()),  # new, and it was refused before: another connect would be as slow
        (1, 1.0, 90, 0.03, Close()),  # refused, but connects are quick: others need the slot more
        (2, 0.5, 90, 0.2, Keep()),
        (2, 0.5, 46, 0.2, Keep()),
        (2, 0.5, 90, 0.03, Close()),
        (2, 1.0, 90, 0.2, Close()),  # the lease would be over before it is called again
        (9, 2.0, 45, 0.2, Close()),  # a calm server: the ordinary rules
    ],
)
def test_a_connection_that_was_slow_to_come_is_kept_on_a_busy_server(count, gap_s, used, connect_s, expected):
    census = None if used is None else Census(used, 90)
    situation = Situation(called(count, gap_s), 1, census=census, is_fresh=True, connect_s=connect_s)
    assert POLICY.decide(situation) == expected


def test_the_lease_of_a_transaction_does_not_outlive_it_on_a_full_server():
    """A new container whose transaction had lengthened its lease to eleven seconds."""
    situation = Situation(called(1, 1.0), 11, census=Census(90, 90), connect_s=0.2)
    assert POLICY.decide(situation) == Keep(1)


def test_a_refusal_of_long_ago_keeps_nothing():
    situation = Situation(called(1, 1.0), 1, None, Census(1, 1), census_age_s=5.0, connect_s=0.2)
    assert POLICY.decide(situation) == Close()


@pytest.mark.parametrize(
    ("patience_s", "left_s", "expected_s"),
    [
        (None, None, 5.0),  # nothing else sets a limit
        (None, 10.0, 9.8),  # until the deadline, less the margin for the answer
        (1.5, 10.0, 1.5),  # fails fast
        (1.5, None, 1.5),
        (1.5, 1.0, 0.8),
        (0.0, 10.0, 0.0),  # one try
    ],
)
def test_patience_also_ends_before_a_deadline(patience_s, left_s, expected_s):
    policy = Managed(patience_s=patience_s)
    assert policy.connect_limit_s(left_s, needed_s=0.1) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("used", "age_s", "invocations", "due"),
    [
        (80, 0.9, 99, False),  # once a second at most
        (80, 1.0, 1, True),
        (45, 1.0, 19, False),  # calm: every twentieth invocation
        (45, 1.0, 20, True),
        (45, 29.0, 1, False),
        (45, 30.0, 1, True),
    ],
)
def test_a_census_of_a_calm_server_lasts_longer(used, age_s, invocations, due):
    census = Census(used, 90)
    assert POLICY.is_outdated(census, age_s, invocations) is due
    asks = POLICY.decide(Situation(called(9, 0.1), 1, None, census, age_s, invocations))
    assert (asks == AskPressure(POLICY.limit_cache_s)) is due


def test_a_fresh_census_is_old_enough_to_decide_by():
    """Also where the server is to be asked at every end."""
    asking = Managed(ask_every_s=0.0, ask_every_count=1)
    for is_fresh, expected in ((False, AskPressure(60.0)), (True, Keep())):
        situation = Situation(called(9, 0.1), 1, None, Census(60, 90), 0.0, 1, is_fresh)
        assert asking.decide(situation) == expected


def test_without_time_to_ask_managed_closes():
    for left_s, expected in ((0.2, AskPressure(60.0)), (0.19, Close())):
        assert POLICY.decide(Situation(called(2, 0.1), 1, left_s)) == expected


def test_classic_looks_at_the_process_list_at_every_end():
    situation = Situation(called(2, 0.1), census=Census(1, 90))
    assert Classic().decide(situation) == AskProcessList(used_cache_s=0.0, limit_cache_s=15.0)


def test_one_short_gap_proves_little():
    """Else each container of a burst would keep a connection that it never uses again."""
    rhythm = Rhythm(POLICY.unproven_gap_s)
    kept = []
    for gap_s in (None, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0):
        rhythm.called(gap_s)
        rhythm.worked(0.02)
        situations = [Situation(rhythm, 1, census=Census(used, 90)) for used in (45, 72, 90)]
        kept.append([POLICY.decide(situation) == Keep() for situation in situations])
    calm, busy, full = (column.index(True) for column in zip(*kept, strict=True))
    assert (calm, busy, full) == (1, 3, 6)


def test_a_container_that_slows_down_is_soon_known_as_slow():
    rhythm = called(20, 0.01)
    rhythm.called(0.6)
    assert rhythm.gap_mean_s > POLICY.gap_s


def test_pressure_on_a_server_that_allows_nothing_is_finite():
    assert Census(3, 0).pressure_ratio == 3
