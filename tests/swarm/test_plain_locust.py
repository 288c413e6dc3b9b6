"""`locust -f locustfiles/…` without our command line: headless, distributed, and from the web page."""

import json
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest.bench import locust_command, process_group
from loadtest.fleet.arrivals import Profile, client_arrivals
from loadtest.results.parquet import read_rows
from loadtest.results.provenance import machine, versions
from loadtest.results.run_folder import RunFolder
from tests.conftest import missing
from tests.waiting import wait_until

LOCUSTFILES = Path(__file__).parent.parent.parent / "locustfiles"


@contextmanager
def locust(target, folder, *words, locustfile="clients.py"):
    """In the folder, its output in a log there; ended as a group."""
    log = folder / f"log-{len(list(folder.glob('log-*')))}"
    env = locust_command.environment(
        folder, {"LOADTEST_DSN": target.functions.url(), "LOADTEST_ADMIN_DSN": target.admin.url()}
    )
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILES / locustfile), *words]
    started = process_group.start(command, folder, log, env)
    try:
        yield started, log
    finally:
        process_group.end(started)


def the_run(folder):
    """The folder that the test left, and its only repetition."""
    run = RunFolder.open(folder / "results" / "latest")
    (arm,) = run.arms()
    (repetition,) = run.repetitions(arm)
    return run, repetition


def answered(repetition):
    return [row for row in read_rows(repetition, "invocations")[0].to_pylist() if not row["error"]]


def report(folder):
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "report", str(folder / "results" / "latest"), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def clients(seconds):
    """Those of the forty that have an arrival in so many seconds."""
    first = {n: next(client_arrivals(1, n, 1.0, False, Profile())).due_s for n in range(40)}
    return {n for n, due_s in first.items() if due_s < seconds}


LOAD = (
    "-u", "40", "-r", "100", "--strategy", "direct", "--duration", "2s", "--cold-start-ms", "20",
    "--function-timeout", "15s",
)  # fmt: skip


def test_a_headless_test_ends_by_itself_and_leaves_a_run_folder(mariadb_target, tmp_path):
    ledger = ("--workload", "ledger")
    with locust(mariadb_target, tmp_path, "--headless", *LOAD, *ledger) as (started, log):
        assert started.wait(90) == 0, log.read_text()
    run, repetition = the_run(tmp_path)
    assert run.read_run()["server"]["max_connections"] == 90
    assert len(answered(repetition)) > 40
    (figures,) = report(tmp_path)["arms"]["direct"]["repetitions"]
    assert figures["throughput_per_s"] > 20
    assert figures["connections"]["opened_count"] >= len(answered(repetition))
    assert figures["integrity"]["acknowledged_count"] == len(answered(repetition))
    assert (figures["integrity"]["lost_count"], figures["integrity"]["doubled_count"]) == (0, 0)


@pytest.mark.nightly
def test_two_workers_of_one_master_write_one_run_folder(mariadb_target, tmp_path):
    port = str(process_group.free_port())
    master = ("--master", "--headless", "--expect-workers", "2", "--master-bind-port", port)
    worker = ("--worker", "--master-port", port)
    with (
        locust(mariadb_target, tmp_path, *master, *LOAD) as (leads, log),
        locust(mariadb_target, tmp_path, *worker),
        locust(mariadb_target, tmp_path, *worker),
    ):
        assert leads.wait(90) == 0, log.read_text()
    _, repetition = the_run(tmp_path)
    rows = answered(repetition)
    assert {row["worker"] for row in rows} == {0, 1}
    assert {row["client"] for row in rows} == clients(seconds=2.0)
    assert repetition.read_meta()["workers_count"] == 2
    assert "ended_s" in repetition.read_meta()


def test_a_test_is_started_from_the_web_page(mariadb_target, tmp_path):
    port = process_group.free_port()
    page = f"http://127.0.0.1:{port}"
    with locust(mariadb_target, tmp_path, "--web-host", "127.0.0.1", "--web-port", str(port)):
        wait_until(lambda: fetched(page), 60)
        assert '"zombie_ratio"' in fetched(page)
        assert mariadb_target.functions.password not in fetched(page)
        form = {"user_count": 20, "spawn_rate": 20, "strategy": "cached", "duration": "1s", "work_ms": "5.0"}
        form["workload"] = "ledger"
        assert json.loads(fetched(f"{page}/swarm", form))["success"]
        state = lambda: json.loads(fetched(f"{page}/stats/requests"))["state"]  # noqa: E731
        wait_until(lambda: state() == "stopped", 40)
        wait_until(lambda: (tmp_path / "results" / "latest").exists())
        _, repetition = the_run(tmp_path)
        wait_until(lambda: "ledger" in repetition.read_meta())
    assert len(answered(repetition)) > 5
    assert repetition.read_meta()["ledger"]["acknowledged_count"] == len(answered(repetition))
    assert repetition.read_meta()["ledger"]["lost_count"] == 0


def fetched(address, form=None):
    data = urllib.parse.urlencode(form).encode() if form else None
    try:
        with urllib.request.urlopen(address, data, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def test_the_closed_model_has_a_locustfile_of_its_own(mariadb_target, tmp_path):
    words = ("--headless", *LOAD, "--think-time-ms", "50")
    with locust(mariadb_target, tmp_path, *words, locustfile="containers.py") as (started, log):
        assert started.wait(90) == 0, log.read_text()
    run, repetition = the_run(tmp_path)
    assert run.read_run()["settings"]["model"] == "closed"
    assert {row["client"] for row in answered(repetition)} == set(range(40))


# Another machine as far as one can be had here: another clock, and no sight of the master's folder.
ELSEWHERE = """
set -e
mount -t tmpfs tmpfs "$1"
shift
exec "$@"
"""


@contextmanager
def worker_elsewhere(target, folder, port):
    tried = ["unshare", "--mount", "--time", "--monotonic", "5000", "true"]
    if shutil.which("unshare") is None or subprocess.run(tried, check=False).returncode:
        missing("a clock of its own needs unshare, and the right to use it")
    env = locust_command.environment(folder, {"LOADTEST_DSN": target.functions.url()})
    locust_words = [
        sys.executable, "-m", "locust", "-f", str(LOCUSTFILES / "clients.py"), "--worker",
        "--master-port", port,
    ]  # fmt: skip
    words = [
        "unshare", "--mount", "--time", "--monotonic", "5000", "--fork", "bash", "-c", ELSEWHERE, "bash",
        str(folder / "results"), *locust_words,
    ]  # fmt: skip
    started = process_group.start(words, folder, folder / "log-elsewhere", env)
    try:
        yield started
    finally:
        process_group.end(started)


def test_a_worker_on_another_machine_sends_its_rows_home_in_the_masters_time(mariadb_target, tmp_path):
    (tmp_path / "results").mkdir()
    port = str(process_group.free_port())
    master = ("--master", "--headless", "--expect-workers", "2", "--master-bind-port", port)
    with (
        locust(mariadb_target, tmp_path, *master, *LOAD) as (leads, log),
        locust(mariadb_target, tmp_path, "--worker", "--master-port", port),
        worker_elsewhere(mariadb_target, tmp_path, port),
    ):
        said = tmp_path / "log-elsewhere"
        assert leads.wait(90) == 0, log.read_text() + said.read_text()
    _, repetition = the_run(tmp_path)
    rows = answered(repetition)
    assert {row["client"] for row in rows} == clients(seconds=2.0)
    by_worker = {worker: [row for row in rows if row["worker"] == worker] for worker in (0, 1)}
    (elsewhere,) = repetition.read_meta()["machines"]
    assert elsewhere.pop("worker") in by_worker
    assert elsewhere == {**machine(), "versions": versions()}
    start_s = repetition.read_meta()["start_s"]
    for worker, own in by_worker.items():
        assert len(own) > 20
        for row in own:
            # The due time is the client's own draw after the start, whoever's clock it is measured on.
            assert start_s <= row["due_s"] < start_s + 2.0, worker
            # Later where the machine stood still; the other clock is 5,000 s off.
            assert -0.001 < row["started_s"] - row["due_s"] - row["cold_start_s"] < 15.0, worker
    assert {row["worker"] for row in read_rows(repetition, "connections")[0].to_pylist()} == {0, 1}
    health = repetition.csv_rows(repetition.generator)
    assert {row["worker"] for row in health} == {"0", "1"}
    assert all(0 < float(row["at_s"]) < start_s + 60 for row in health)
    samples = repetition.csv_rows(repetition.samples)
    opened = [row["opened_s"] for row in read_rows(repetition, "connections")[0].to_pylist()]
    assert float(samples[0]["at_s"]) < min(opened) < max(opened) < float(samples[-1]["at_s"]) + 15
    assert report(tmp_path)["arms"]["direct"]["repetitions"][0]["error_ratio"] == 0
