"""The decisions, without a server."""

import json
from pathlib import Path

import pytest

from loadtest.manager.policy import (
    Census,
    Classic,
    Close,
    Keep,
    Kill,
    Look,
    Managed,
    Rhythm,
    decide_classic,
    decide_managed,
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
    decision = decide_classic(Census(len(rows), case["max_connections"], oldest_s), policy)
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
    rhythm = Rhythm()
    rhythm.called(None)
    for _ in range(count - 1):
        rhythm.called(gap_s)
    return rhythm


POLICY = Managed(lease_s=1, gap_s=0.25, calm_ratio=0.5, tight_ratio=0.8)


@pytest.mark.parametrize(
    ("count", "gap_s", "used", "expected"),
    [
        (1, 0.0, 0, Close()),  # a new container: most of a burst are not called again
        (2, 0.01, None, Look()),  # nobody was asked lately
        (2, 0.01, 72, Keep()),  # called often, and the server has room
        (2, 0.01, 73, Close()),  # called often, and the server is tight
        (2, 0.5, 45, Keep()),  # called seldom, and the server is calm
        (2, 0.5, 46, Close()),
        (2, 1.0, 0, Close()),  # would expire before it is used again
        (9, 0.24, 72, Keep()),
    ],
)
def test_managed_keeps_while_there_is_room(count, gap_s, used, expected):
    census = None if used is None else Census(used, 90)
    assert decide_managed(called(count, gap_s), census, POLICY) == expected


def test_a_container_that_slows_down_is_soon_known_as_slow():
    rhythm = called(20, 0.01)
    rhythm.called(0.6)
    assert rhythm.gap_mean_s > POLICY.gap_s


def test_pressure_on_a_server_that_allows_nothing_is_finite():
    assert Census(3, 0).pressure_ratio == 3
