import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from itertools import pairwise
from statistics import median

import psutil
import pytest

from loadtest.results.csv_rows import last_rows
from loadtest.results.restarts import was_restarted
from loadtest.results.rows import Sample
from loadtest.server import connections, reset
from loadtest.server.monitor import TIMEOUT_S
from tests.server.pressure import open_connections, server_process
from tests.waiting import wait_until

COUNTERS = ("questions_count", "aborted_clients_count")
COMMAND = [sys.executable, "-m", "loadtest.server.monitor"]


def environment(target, **more):
    return {
        **os.environ,
        "LOADTEST_ADMIN_DSN": target.admin.url(),
        "LOADTEST_DSN": target.functions.url(),
        "LOADTEST_T0_MONOTONIC": repr(time.monotonic()),
        **more,
    }


@contextmanager
def monitor(target, path, **more):
    process = subprocess.Popen([*COMMAND, str(path)], env=environment(target, **more), stdout=subprocess.PIPE)
    try:
        wait_until(lambda: rows(path))
        yield process
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=20)
        assert out == b""


def rows(path):
    return list(last_rows(path, Sample._fields, 1_000_000))


def failed_rows(path):
    return [row for row in rows(path) if row["error"]]


def newest(path):
    return rows(path)[-1]


def test_the_monitor_keeps_its_rate_and_leaves_itself_out(target, tmp_path):
    reset.reset(target)
    path = tmp_path / "samples.csv"
    with monitor(target, path) as process:
        wait_until(lambda: len(rows(path)) > 15)
        with connections.session(target.admin), open_connections(target, 4):
            wait_until(lambda: newest(path)["connections_count"] == "4")
            wait_until(lambda: newest(path)["sleeping_count"] == "4")
            assert newest(path)["running_count"] == "0"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    seen = rows(path)
    answered = [row for row in seen if not row["error"]]
    assert {row["connections_count"] for row in answered[:5]} == {"0"}
    assert answered[0]["max_connections"] == "90"
    times = [float(row["at_s"]) for row in seen]
    gaps_s = [after - before for before, after in pairwise(times)]
    # Where the machine stands still, a gap is longer, and a sample that waits for TIMEOUT_S fails.
    assert median(gaps_s) <= 0.25
    failed_s = [gap_s for row, gap_s in zip(seen, gaps_s, strict=False) if row["error"]]
    assert min(failed_s, default=TIMEOUT_S) >= TIMEOUT_S
    assert len(failed_s) <= 2
    assert times[0] >= 0


def test_a_connection_that_never_says_hello_counts(target, tmp_path):
    reset.reset(target)
    path = tmp_path / "samples.csv"
    address = (target.functions.host, target.functions.port)
    with monitor(target, path), closing(socket.create_connection(address)):
        wait_until(lambda: newest(path)["connections_count"] == "1")


def test_the_monitor_sees_refused_connects(target, tmp_path):
    reset.reset(target)
    path = tmp_path / "samples.csv"
    full = target.functions_max_connections
    with monitor(target, path), open_connections(target, full):
        before = int(newest(path)["refused_count"])
        for _ in range(7):
            with pytest.raises(Exception, match="Too many connections"):
                connections.connect(target.functions)
        wait_until(
            lambda: int(newest(path)["refused_count"]) == before + 7,
            what=f"from {before} to {before + 7}: {[row['refused_count'] for row in rows(path)]}",
        )
        wait_until(lambda: newest(path)["connections_count"] == str(full))


def test_the_counters_leave_the_monitor_out_and_the_last_sample_is_of_the_end(target, tmp_path):
    reset.reset(target)
    path = tmp_path / "samples.csv"
    with monitor(target, path) as process:
        opened = [connections.connect_plain(target.functions) for _ in range(3)]
        for connection in opened:
            connection.query("SELECT 1")
        opened[0].close()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        for connection in opened[1:]:
            connection._force_close()
        assert process.wait(5) == 0
    first, last = rows(path)[0], newest(path)
    assert last["connections_count"] == "0"
    grown = {name: int(last[name]) - int(first[name]) for name in COUNTERS}
    assert int(last["opened_count"]) - int(first["opened_count"]) == 3
    # PyMySQL's SET NAMES and a statement of each, and one goodbye.
    assert (grown["questions_count"], grown["aborted_clients_count"]) == (3 * 2 + 1, 2)


def test_a_stopped_server_is_rows_with_an_error_and_then_samples_go_on(target, tmp_path):
    path = tmp_path / "samples.csv"
    server = server_process(target)
    with monitor(target, path):
        server.suspend()
        try:
            wait_until(lambda: len(failed_rows(path)) >= 3)
        finally:
            server.resume()
        wait_until(lambda: not newest(path)["error"])
    failed = failed_rows(path)
    assert {row["error"] for row in failed} == {"2013 CR_SERVER_LOST"}
    assert {row["connections_count"] for row in failed} == {""}
    times = [float(row["at_s"]) for row in failed]
    # Not all of them are longer: this machine may stand still in one or the other.
    assert min(b - a for a, b in pairwise(times)) < 2.5


def test_with_one_account_for_all_the_monitor_leaves_out_its_own_connection_only(mariadb_target, tmp_path):
    reset.reset(mariadb_target)
    path = tmp_path / "samples.csv"
    same = mariadb_target.functions.url()
    with monitor(mariadb_target, path, LOADTEST_ADMIN_DSN=same), open_connections(mariadb_target, 3):
        wait_until(lambda: newest(path)["connections_count"] == "3")


def test_the_monitor_ends_with_its_parent(mariadb_target, tmp_path):
    path = tmp_path / "samples.csv"
    script = (
        "import subprocess, sys, time; "
        f"print(subprocess.Popen({[*COMMAND, str(path)]!r}).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], env=environment(mariadb_target), stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    wait_until(lambda: rows(path))
    parent.kill()
    parent.communicate()
    child.wait(20)


@pytest.mark.parametrize(("arguments", "env"), [([], {}), (["x.csv"], {"LOADTEST_ADMIN_DSN": "nonsense"})])
def test_a_monitor_that_was_not_told_what_it_needs_ends_with_2(arguments, env):
    done = subprocess.run([*COMMAND, *arguments], env={**os.environ, **env}, check=False)
    assert done.returncode == 2


def test_a_monitor_that_cannot_write_ends_with_3(mariadb_target):
    done = subprocess.run([*COMMAND, "/dev/full"], env=environment(mariadb_target), check=False)
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("looks", "restarted"),
    [
        ((10.0, 60, 10.2, 60), False),
        ((10.0, 60, 10.2, 61), False),  # whole seconds
        ((10.0, 60, 12.2, 64), False),  # an answer that was late by two
        ((10.0, 62, 10.2, 60), True),
        ((10.0, 2, 40.0, 5), True),  # up for longer than before, and yet another one
        ((10.0, 60, 40.0, 90), False),
    ],
)
def test_a_restart_is_told_by_the_time_of_the_start(looks, restarted):
    assert was_restarted(*looks) is restarted
