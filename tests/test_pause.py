"""A database that pauses while nobody is connected, as Aurora Serverless v2 does at 0 ACU."""

import json
import time
from contextlib import closing
from dataclasses import replace

import pymysql
import pytest

from loadtest.errors import UsageError
from loadtest.report.pauses import pause_figures
from loadtest.results.summary import PauseFigures
from loadtest.server.relay_process import SleeperProcess
from loadtest.settings.plan import Plan
from loadtest.settings.plan_options import build

AFTER_S, RESUME_S = 0.6, 0.8


@pytest.fixture
def sleeper(target):
    made = SleeperProcess(target.functions, AFTER_S, RESUME_S)
    yield made
    made.close()


@pytest.fixture
def connected(target, sleeper):
    """Connects, and says how many seconds that took."""
    through = replace(target.functions, host="127.0.0.1", port=sleeper.port)

    def connect():
        began_s = time.monotonic()
        connection = pymysql.connect(**through.connect_arguments(), ssl_disabled=True)
        return connection, time.monotonic() - began_s

    return connect


def test_whoever_comes_to_a_paused_database_waits_until_it_is_awake(sleeper, connected):
    connected()[0].close()
    time.sleep(AFTER_S + 0.4)
    first, first_s = connected()
    second, second_s = connected()
    assert first_s >= RESUME_S
    assert second_s < RESUME_S
    for connection in (first, second):
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
    pauses = sleeper.pauses()
    assert [end_s is None for _, end_s in pauses][:1] == [False]
    begin_s, end_s = pauses[0]
    assert 0 < end_s - begin_s < 5


def test_all_who_come_while_it_wakes_wait_for_the_same_moment(sleeper, connected):
    """Nobody makes it start anew."""
    time.sleep(AFTER_S + 0.2)
    began_s = time.monotonic()
    for _ in range(3):
        connection, _ = connected()
        connection.close()
    assert time.monotonic() - began_s < 2 * RESUME_S
    assert len([end_s for _, end_s in sleeper.pauses() if end_s is not None]) == 1


def test_an_idle_connection_keeps_it_awake_and_its_end_by_the_server_does_not(sleeper, connected):
    """Its client is frozen, and does not hear of it."""
    connection, _ = connected()
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION wait_timeout = 2")
    opened_s = time.monotonic()
    time.sleep(2.0 + AFTER_S + 1.0)
    ((begin_s, end_s),) = sleeper.pauses()
    assert begin_s - opened_s >= 1.5 + AFTER_S
    assert end_s is None, "it still sleeps"
    connection._force_close()


def test_what_a_paused_database_can_be_is_checked():
    for more, said in (
        ({"via": ["router"], "strategies": ["cached@router"]}, "never pauses: leave out pause-after or via"),
        ({"workers": 2}, "workers elsewhere cannot reach"),
        ({"faults": ["delay:ms=50@1+1"]}, "takes the place of the relay that makes a database pause"),
        ({"pause_after": "-1s"}, "pause-after"),
    ):
        with pytest.raises(UsageError, match=said):
            build(Plan, {"pause_after": "5s", **more}, "options")


@pytest.mark.parametrize("command", ["web", "capacity"])
def test_it_is_for_a_bench(inside, command):
    assert "is for loadtest bench only" in inside.refused(2, command, "--pause-after", "5s")


@pytest.mark.parametrize(
    ("pauses", "expected"),
    [
        ([], (0.0, 0)),
        ([[12.0, 14.0]], (0.2, 1)),
        ([[8.0, 12.0], [18.0, None]], (0.4, 1)),  # one from before the load, one beyond it
        ([[0.0, None]], (1.0, 0)),
        ([[25.0, 30.0]], (0.0, 0)),
        ([[14.0, 12.0], ["a", 3], [True, 12.0], None, [1.0]], (0.0, 0)),
    ],
)
def test_what_counts_is_the_time_of_the_load(pauses, expected):
    assert pause_figures(pauses, 10.0, 20.0) == PauseFigures(*expected)


def test_without_the_time_of_the_load_nothing_is_known():
    assert pause_figures([[1.0, 2.0]], float("nan"), 20.0) == PauseFigures()


def test_cached_keeps_it_awake_and_who_closes_lets_it_pause(place):
    """Two calls, five seconds apart: longer than the lease, and than the time after which it pauses."""
    ran = place.run(
        "bench", "quick", "--server", "local", "--strategies", "direct,cached,managed", "--rate", "0.2",
        "--rate-per-user", "0.2", "--arrivals", "even", "--duration", "11s", "--repetitions", "1",
        "--pause-after", "1s", "--resume", "0.5s", "--work-ms", "0", "--cold-start-ms", "20", "--reruns", "0",
        "--reap-probability", "0", "--function-timeout", "8s", "--workload", "ledger", "--slo-ms", "5000",
        "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    arms = {name: arm["repetitions"][0] for name, arm in json.loads(ran.out)["arms"].items()}
    for figures in arms.values():
        assert figures["errors"] == {}
        assert figures["integrity"]["lost_count"] == 0
    assert arms["direct"]["pause"]["paused_ratio"] > 0.3
    assert arms["managed"]["pause"]["paused_ratio"] > 0.2
    assert arms["direct"]["pause"]["resumes_count"] >= 1
    # From its first call on; before that nobody was connected.
    assert arms["cached"]["pause"]["paused_ratio"] < arms["managed"]["pause"]["paused_ratio"]
