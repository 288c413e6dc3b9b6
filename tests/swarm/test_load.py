"""The load itself: real Locust processes against real servers."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from math import log
from statistics import fmean, median

import pytest

from loadtest.fleet.arrivals import Profile, client_arrivals
from loadtest.report.comparisons.evidence import Term, difference
from loadtest.report.run_summary import summarise_run
from loadtest.results.parquet import read_rows
from loadtest.server.processes import stands_still
from tests.server.pressure import server_process
from tests.swarm.locusts import Ran, run, running
from tests.waiting import wait_until


def expected_arrivals(seed, users, rate, seconds):
    return {
        (client, arrival.number): arrival
        for client in range(users)
        for arrival in until(seconds, client_arrivals(seed, client, rate, False, Profile()))
    }


def until(seconds, arrivals):
    found = []
    for arrival in arrivals:
        if arrival.due_s >= seconds:
            return found
        found.append(arrival)
    return found


def all_are_there(ran, expected):
    """Every arrival is a row, unless clients came too late each time, as the run itself says then."""
    found = {(row["client"], row["arrival"]) for row in ran.invocations}
    assert len(found) == len(ran.invocations)
    return found == expected.keys() or (found < expected.keys() and "wrong_load" in ran.meta)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_same_seed_gives_the_same_arrivals_whatever_the_number_of_processes(
    mariadb_target, tmp_path, processes
):
    ran = run(mariadb_target, tmp_path / "r", "direct", processes, reap_probability=0.2, seed=5)
    due = {(row["client"], row["arrival"]): row["due_s"] - ran.meta["start_s"] for row in ran.invocations}
    expected = expected_arrivals(5, 100, 1.0, 2.0)
    assert all_are_there(ran, expected)
    assert due == pytest.approx({key: expected[key].due_s for key in due}, abs=1e-9)
    workers = {row["worker"] for row in ran.invocations}
    assert workers == set(range(processes)) or "wrong_load" in ran.meta
    # A container serves nobody any more after an arrival whose draw said that it is reaped.
    last = {}
    for row in sorted(ran.invocations, key=lambda row: row["started_s"]):
        last[row["container"]] = row
    reaped = {key for key in due if expected[key].reap_draw < 0.2}
    ended_by_reap = {(row["client"], row["arrival"]) for row in last.values()}
    assert reaped <= ended_by_reap


def test_every_arrival_is_a_row_and_every_connect_of_direct_a_connection(target, tmp_path):
    # Few enough for 90 connections, and with time enough, even where a busy machine stands still.
    ran = run(target, tmp_path / "r", "direct", rate=30.0, function_timeout_s=20.0)
    assert all_are_there(ran, expected_arrivals(1, 30, 1.0, 2.0))
    assert ran.errors() == {""}
    assert len(ran.connections) == len(ran.invocations)
    assert {row["fate"] for row in ran.connections} == {"closed"}
    seconds = ran.repetition.csv_rows(ran.repetition.generator)
    assert int(seconds[-1]["arrivals_count"]) == len(ran.invocations)
    assert ran.meta["cut_off"] is False


def test_arrivals_do_not_wait_for_answers_and_a_stall_shows_in_all_of_them(mariadb_target, tmp_path):
    server = server_process(mariadb_target)
    # No new container is held up by a cold start, none by the service's limits.
    with running(mariadb_target, tmp_path / "r", "ideal", duration_s=8.0, function_timeout_s=20.0) as (
        locust,
        repetition,
        now,
    ):
        start_s = wait_until(lambda: repetition.read_meta().get("start_s"), 20)
        time.sleep(max(0.0, start_s + 1.5 - now()))
        server.suspend()
        try:
            wait_until(lambda: stands_still(server))
            stopped_s = now()
            time.sleep(2.0)
        finally:
            resumed_s = now()  # at the latest: this process may stand still, too
            server.resume()
        assert locust.wait(60) == 0
    ran = Ran(repetition)
    assert all_are_there(ran, expected_arrivals(1, 100, 1.0, 8.0))
    stalled = [row for row in ran.invocations if stopped_s < row["due_s"] < resumed_s]
    assert len(stalled) > 100
    for row in stalled:
        assert row["error"] == ""
        assert row["finished_s"] >= resumed_s
    # From the due time on, so the longest waited for as long as the server stood still.
    (arm,) = summarise_run(ran.folder).arms.values()
    first_s = min(row["due_s"] for row in stalled)
    assert arm.repetitions[0].latency_ms.max >= 1000 * (resumed_s - first_s - 0.05)


def test_a_cold_burst_starts_as_many_containers_as_the_scaling_rate_allows(mariadb_target, tmp_path):
    ran = run(
        mariadb_target, tmp_path / "r", "direct",
        rate=400.0, scaling_per_10s=100, cold_start_ms=5000.0, duration_s=1.0, function_timeout_s=6.0,
    )  # fmt: skip
    started = [row for row in ran.invocations if row["error"] != "throttled"]
    # 10 a second come to the first 100, from the first arrival to when the last one began to start.
    began_s = [row["started_s"] - row["cold_start_s"] for row in started if row["started_s"] is not None]
    grown = 10 * (max(began_s) - min(row["due_s"] for row in started))
    assert 100 <= len(started) <= 100 + grown + 1
    assert all(row["cold"] for row in started)
    throttled = [row for row in ran.invocations if row["error"] == "throttled"]
    assert all_are_there(ran, expected_arrivals(1, 400, 1.0, 1.0))
    assert all(row["container"] == -1 and row["started_s"] is None for row in throttled)


def test_beyond_the_concurrency_limit_an_arrival_is_throttled(mariadb_target, tmp_path):
    ran = run(mariadb_target, tmp_path / "r", "direct", work_ms=300.0, concurrency_limit=5)
    busy = [
        (row["started_s"] - row["cold_start_s"], row["finished_s"])
        for row in ran.invocations
        if not row["error"]
    ]
    most = max(sum(b <= begin < e for b, e in busy) for begin, _ in busy)
    assert most == 5
    assert "throttled" in ran.errors()


def test_what_is_still_under_way_after_the_drain_is_unfinished(mariadb_target, tmp_path):
    ran = run(
        mariadb_target, tmp_path / "r", "cached",
        workload="sleep", work_ms=6000.0, rate=20.0, duration_s=1.0, function_timeout_s=6.0,
        cold_start_ms=4000.0,
    )  # fmt: skip
    # The drain ends at 7 s; they began after 4 s, and would have answered, or been cut, after 10 s.
    assert all_are_there(ran, expected_arrivals(1, 20, 1.0, 1.0))
    assert ran.errors() == {"unfinished"}


BLOCKING = """
from gevent.monkey import get_original

sleep = get_original("time", "sleep")  # of the whole loop


class Blocking:
    def __init__(self, connect):
        pass

    def invoke(self, work, context):
        sleep(0.2)
"""


@pytest.mark.nightly
def test_an_arrival_whose_turn_did_not_come_before_the_end_is_a_row_too(mariadb_target, tmp_path):
    (tmp_path / "blocks.py").write_text(BLOCKING)
    locustfile = tmp_path / "clients.py"
    locustfile.write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom loadtest.swarm.users import *\n"
    )
    ran = run(
        mariadb_target, tmp_path / "r", "x=blocks:Blocking", 1, locustfile,
        rate=100.0, duration_s=1.0, function_timeout_s=1.0, cold_start_ms=0.0,
    )  # fmt: skip
    assert len(ran.invocations) == len(expected_arrivals(1, 100, 1.0, 1.0))
    late = [row for row in ran.invocations if row["container"] == -1]
    assert len(late) > 5
    assert {(row["error"], row["started_s"]) for row in late} == {("unfinished", None)}


def test_a_cut_function_leaves_its_connection_as_a_zombie(mariadb_target, tmp_path):
    ran = run(
        mariadb_target, tmp_path / "r", "cached",
        workload="sleep", work_ms=5000.0, rate=10.0, duration_s=2.0, function_timeout_s=1.5,
    )  # fmt: skip
    cut = [row for row in ran.invocations if row["error"] == "timeout"]
    assert len(cut) > 10
    took_s = [row["finished_s"] - row["started_s"] for row in cut]
    assert min(took_s) > 1.45
    assert median(took_s) < 2.5, "those late that were under way when the machine stood still"
    containers = {row["container"] for row in cut}
    fates = [row["fate"] for row in ran.connections if row["container"] in containers]
    assert set(fates) == {"zombie"}
    assert len(cut) / 2 < len(fates) <= len(cut), "all but those that were still connecting"


@pytest.mark.nightly
def test_a_cut_functions_connection_can_be_closed_instead(mariadb_target, tmp_path):
    ran = run(
        mariadb_target, tmp_path / "r", "cached", timeout_leaves="closed",
        workload="sleep", work_ms=5000.0, rate=10.0, duration_s=1.0, function_timeout_s=1.5,
    )  # fmt: skip
    assert {row["fate"] for row in ran.connections} == {"lost"}


def test_the_zombies_of_a_fleet_are_counted_as_the_server_counts_them(mysql_target, tmp_path):
    ran = run(mysql_target, tmp_path / "r", "cached", rate=60.0, reap_probability=0.3, duration_s=3.0)
    zombies = [row for row in ran.connections if row["reaped_s"] is not None]
    assert len(zombies) > 20
    samples = [one for one in ran.repetition.csv_rows(ran.repetition.samples) if not one["error"]]
    # Of the load: where the machine is busy several follow its end. Taken before the next one began.
    pairs = [pair for pair in pairwise(samples) if float(pair[0]["at_s"]) < ran.meta["deadline_s"]]
    sample, following = pairs[-1]

    def open_at(at_s):
        return sum(
            row["opened_s"] < at_s and not (row["closed_s"] and row["closed_s"] < at_s)
            for row in ran.connections
        )

    # Where the machine is busy a sample takes a while, and either end of a connection sees it late.
    from_s, to_s = float(sample["at_s"]) - 0.5, float(following["at_s"]) + 0.5
    then = [open_at(from_s + (to_s - from_s) * part / 20) for part in range(21)]
    assert min(then) - 3 <= int(sample["connections_count"]) <= max(then) + 3


def test_a_run_that_is_killed_leaves_a_folder_that_can_be_read(mariadb_target, tmp_path):
    def written():
        rows = read_rows(repetition, "invocations")[0].to_pylist()
        return {(row["client"], row["arrival"]) for row in rows}

    with running(mariadb_target, tmp_path / "r", "direct", duration_s=90.0) as (locust, repetition, _):
        # Long before its end: of its first three seconds or so.
        before = wait_until(lambda: len(found := written()) > 200 and found, 40, "rows on disk")
        os.killpg(locust.pid, signal.SIGKILL)
        locust.wait()
    ran = Ran(repetition)
    assert before <= {(row["client"], row["arrival"]) for row in ran.invocations}
    assert before <= expected_arrivals(1, 100, 1.0, 90.0).keys()
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "report", str(ran.folder.path), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (figures,) = json.loads(done.stdout)["arms"]["direct"]["repetitions"]
    assert figures["valid"] is False
    assert any("cut off" in reason for reason in figures["reasons"])


def test_the_closed_model_freezes_its_containers_and_replaces_old_ones(mariadb_target, tmp_path):
    ran = run(
        mariadb_target, tmp_path / "r", "cached",
        model="closed", containers=10, think_time_ms=100.0, lifetime_s=0.8, duration_s=5.0,
    )  # fmt: skip
    by_container = {}
    for row in ran.invocations:
        by_container.setdefault(row["container"], []).append(row)
    # Each of the ten was replaced once at least, and not before its time was over.
    assert 20 <= len(by_container) <= 10 * (5.0 / 0.8 + 1)
    for rows in by_container.values():
        rows.sort(key=lambda row: row["started_s"])
        assert [row["cold"] for row in rows] == [True] + [False] * (len(rows) - 1)
        for earlier, later in pairwise(rows):
            # 100 ms of think time, within a tenth of it
            assert later["started_s"] - earlier["finished_s"] > 0.089
    assert len([row for row in ran.connections if row["reaped_s"] is not None]) >= 10


def test_the_ledger_has_every_acknowledged_write_once(target, tmp_path):
    from loadtest.server import ledger, reset

    reset.reset(target)
    load = {"rate": 40.0, "function_timeout_s": 20.0}  # as above
    ran = run(target, tmp_path / "r", "managed", workload="ledger", reap_probability=0.1, **load)
    found = ledger.audit([target.admin], ran.repetition)
    assert found.pop("acknowledged_count") == len(ran.invocations)
    assert set(found.values()) == {0}


def test_a_mixed_fleet_shares_the_server_and_keeps_its_containers_apart(mariadb_target, tmp_path):
    ran = run(mariadb_target, tmp_path / "r", "managed:0.3+cached:0.7")
    parts = {}
    for row in ran.invocations:
        parts.setdefault(row["part"], set()).add(row["container"])
    assert parts.keys() == {"managed", "cached"}
    assert not parts["managed"] & parts["cached"]
    share = sum(row["part"] == "managed" for row in ran.invocations) / len(ran.invocations)
    assert 0.15 < share < 0.45


@pytest.mark.nightly
def test_a_deployment_replaces_frozen_containers_of_the_closed_model_at_once(mariadb_target, tmp_path):
    ran = run(
        mariadb_target, tmp_path / "r", "cached", model="closed", containers=10, think_time_ms=400.0,
        deploy_at_s=1.0, duration_s=6.0, lifetime_s=60.0,
    )  # fmt: skip
    reaped = [row for row in ran.connections if row["reaped_s"] is not None]
    deployed_s = ran.meta["start_s"] + 1.0
    assert len(reaped) == 10
    first_s = min(row["reaped_s"] for row in reaped)
    assert first_s >= deployed_s
    serving = {
        row["container"]
        for row in ran.invocations
        if row["started_s"] - row["cold_start_s"] <= first_s <= row["finished_s"] + 0.05
    }
    at_once = {row["container"] for row in reaped if row["reaped_s"] - first_s < 0.1}
    assert at_once | serving >= {row["container"] for row in reaped}
    assert len({row["container"] for row in ran.invocations}) == 20


@pytest.mark.nightly
def test_two_processes_measure_what_one_does(mariadb_target, tmp_path):
    means = {1: [], 2: []}
    for number in range(3):
        for processes, found in means.items():
            ran = run(
                mariadb_target, tmp_path / f"{processes}-{number}", "direct", processes, rate=60.0,
                work_ms=20.0, duration_s=2.0,
            )  # fmt: skip
            assert ran.errors() == {""}
            latencies = [r["finished_s"] - r["due_s"] - r["cold_start_s"] for r in ran.invocations]
            found.append(log(fmean(latencies)))
    terms = [Term(means[2], 1), Term(means[1], -1)]
    seen = difference(terms, log(1.1))
    assert seen.low < log(1.1), means
    assert seen.high > -log(1.1), means


def test_a_test_that_is_stopped_before_its_start_does_not_wait_for_it(mariadb_target, tmp_path):
    late = {"provisioned": 1, "cold_start_ms": 60_000.0}
    with running(mariadb_target, tmp_path / "r", "direct", **late) as (locust, repetition, _):
        wait_until(lambda: "start_s" in repetition.read_meta(), 40)
        locust.send_signal(signal.SIGINT)
        assert locust.wait(30) == 130
