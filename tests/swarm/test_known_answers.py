"""Loads whose answer is known: a queue before a server of fixed service time, and stalls put in on purpose.

`ideal` with a pool of c connections and `work_ms` of work is a D/c server, first come first served. Its
arrivals are seeded, so that what a queue does with these very arrivals is computed, not guessed: with the
nominal time of service for the least that anybody waits, and with the longest one measured for the most. The
theory's bounds for endless queues, M/D/c and M/M/c, are asked of the arrivals themselves.
"""

import time
from itertools import pairwise
from math import factorial
from statistics import fmean

import pytest

from loadtest.fleet.arrivals import Profile, client_arrivals
from loadtest.report.run_summary import summarise_run
from loadtest.server import connections
from tests.swarm.locusts import Ran, run, running
from tests.waiting import wait_until

POOL, HOLD_S, SECONDS = 5, 0.2, 6.0
CAPACITY_PER_S = POOL / HOLD_S
LATE_S = 0.03  # by which a timer and a loop are late on a machine that is busy with other tests


def due(rate, seconds):
    found = []
    for client in range(rate):
        for arrival in client_arrivals(1, client, 1.0, False, Profile()):
            if arrival.due_s >= seconds:
                break
            found.append(arrival.due_s)
    return sorted(found)


def waits(dues, hold_s, pool=POOL):
    """Of each arrival, first come first served."""
    free, found = [0.0] * pool, []
    for due_s in dues:
        begins = max(due_s, min(free))
        free[free.index(min(free))] = begins + hold_s
        found.append(begins - due_s)
    return found


def mmc_wait_s(rate):
    """The mean wait of M/M/c by Erlang's formula C, in seconds."""
    offered = rate * HOLD_S
    all_busy = offered**POOL / factorial(POOL) / (1 - offered / POOL)
    waiting = all_busy / (sum(offered**n / factorial(n) for n in range(POOL)) + all_busy)
    return waiting * HOLD_S / (POOL - offered)


@pytest.mark.parametrize("utilisation", [0.6, 0.9])
def test_these_queues_wait_as_long_as_the_theory_says(utilisation):
    rate = round(utilisation * CAPACITY_PER_S)
    mean_s = fmean(waits(due(rate, 2000), HOLD_S))
    most_s = mmc_wait_s(rate)
    assert 0.4 * most_s < mean_s < most_s, "M/D/c is about half of M/M/c"


@pytest.mark.parametrize(
    ("utilisation", "server"),
    [
        pytest.param(0.6, "mariadb", marks=pytest.mark.nightly),
        pytest.param(0.9, "mariadb", marks=pytest.mark.nightly),
        (1.3, "mariadb"),
        pytest.param(0.9, "mysql", marks=pytest.mark.nightly),
        pytest.param(1.3, "mysql", marks=pytest.mark.nightly),
    ],
)
def test_a_pool_of_fixed_service_time_is_that_queue(request, tmp_path, utilisation, server):
    target = request.getfixturevalue(f"{server}_target")
    rate = round(utilisation * CAPACITY_PER_S)
    ran = run(
        target, tmp_path / "r", "ideal", rate=float(rate), duration_s=SECONDS, cold_start_ms=0.0, rtt_ms=0.0,
        work_ms=HOLD_S * 1000, ideal_reserve=target.functions_max_connections - POOL, function_timeout_s=10.0,
    )  # fmt: skip
    rows = sorted(ran.invocations, key=lambda row: row["due_s"])
    dues = [row["due_s"] - ran.meta["start_s"] for row in rows]
    assert dues == pytest.approx(due(rate, SECONDS), abs=1e-6)
    assert ran.errors() == {""}
    latencies = [row["finished_s"] - row["due_s"] for row in rows]
    least = waits(dues, HOLD_S)
    for latency_s, wait_s in zip(latencies, least, strict=True):
        assert latency_s >= wait_s + HOLD_S - LATE_S
    held = [row["finished_s"] - row["started_s"] - row["manage_s"] for row in rows]
    longest_s = sorted(HOLD_S + row["query_s"] for row in rows)[int(0.95 * len(rows))] + LATE_S
    assert fmean(held) >= HOLD_S - LATE_S
    assert fmean(latencies) <= fmean(waits(dues, longest_s)) + longest_s + LATE_S
    if utilisation > 1:
        finished = sorted(row["finished_s"] for row in rows)
        busy_s = finished[-1] - finished[0]
        assert 0.8 * CAPACITY_PER_S < len(rows) / busy_s <= CAPACITY_PER_S * (1 + POOL / len(rows))
        thirds = [fmean(part) for part in (latencies[:40], latencies[40:-40], latencies[-40:])]
        assert all(later > 1.2 * before for before, later in pairwise(thirds)), thirds


STALLING = """
from gevent.monkey import get_original

sleep, turns = get_original("time", "sleep"), [0]  # of the whole loop


class Stalling:
    def __init__(self, connect):
        self.connect = connect

    def invoke(self, work, context):
        turns[0] += 1
        if turns[0] % 20 == 0:
            sleep(0.2)
        self.connect().close()
"""


def test_a_generator_that_stalls_makes_its_times_invalid_and_its_arrivals_disturbed(mariadb_target, tmp_path):
    (tmp_path / "stalls.py").write_text(STALLING)
    locustfile = tmp_path / "clients.py"
    locustfile.write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom loadtest.swarm.users import *\n"
    )
    ran = run(mariadb_target, tmp_path / "r", "x=stalls:Stalling", 1, locustfile, rate=60.0)
    (arm,) = summarise_run(ran.folder).arms.values()
    (figures,) = arm.repetitions
    assert not figures.valid
    assert "disturbed by a stall of the generator" in figures.reasons[0]
    long = [lag for lag in ran.rows("lags") if lag["finished_s"] - lag["started_s"] > 0.18]
    assert len(long) >= len(ran.invocations) // 20 - 1
    late = [row for row in ran.invocations if any(_in(row["due_s"], lag) for lag in long)]
    assert len(late) > 20
    for row in late:  # from the due time on, though the loop could not even begin it
        ends_s = next(lag["finished_s"] for lag in long if _in(row["due_s"], lag))
        assert row["finished_s"] - row["due_s"] >= ends_s - row["due_s"] - LATE_S


def _in(at_s, lag):
    return lag["started_s"] < at_s < lag["finished_s"]


def test_a_lock_on_the_server_shows_in_every_arrival_that_was_due_in_it(mysql_target, tmp_path):
    settings = {"duration_s": 4.0, "function_timeout_s": 10.0, "rate": 50.0}
    with running(mysql_target, tmp_path / "r", "ideal", **settings) as (locust, repetition, now):
        start_s = wait_until(lambda: repetition.read_meta().get("start_s"), 20)
        with connections.session(mysql_target.admin) as cursor:
            time.sleep(max(0.0, start_s + 1.0 - now()))
            cursor.execute("LOCK TABLES loadtest_rows WRITE")
            locked_s = now()
            time.sleep(1.5)
            unlocked_s = now()
            cursor.execute("UNLOCK TABLES")
        assert locust.wait(30) == 0
    ran = Ran(repetition)
    stalled = [row for row in ran.invocations if locked_s < row["due_s"] < unlocked_s]
    assert len(stalled) > 40
    for row in stalled:
        assert row["error"] == ""
        assert row["finished_s"] - row["due_s"] >= unlocked_s - row["due_s"] - LATE_S
    (arm,) = summarise_run(ran.folder).arms.values()
    assert arm.repetitions[0].latency_ms.max > 1000 * (
        unlocked_s - min(row["due_s"] for row in stalled) - LATE_S
    )
