"""`loadtest bench --workers`: the load is made by workers that are started elsewhere."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import psutil
import pytest

from loadtest.bench import process_group
from loadtest.fleet.arrivals import Profile, client_arrivals
from loadtest.fleet.scaling import share_of
from loadtest.packaged import packaged
from loadtest.results.parquet import read_rows
from loadtest.results.run_folder import RunFolder
from loadtest.server import launch
from loadtest.server.choice import ServerChoice
from tests.conftest import missing
from tests.places import END_S, QUICK, ROOT, ended, sentence
from tests.waiting import wait_until

# Of 50 clients in a second.
ROWS = sum(
    len([*takewhile(lambda arrival: arrival.due_s < 1.0, client_arrivals(1, client, 1.0, False, Profile()))])
    for client in range(50)
)
LONG_S = 90.0  # for a bench of some seconds, on however busy a machine


@pytest.fixture
def port():
    return str(process_group.free_port())


@pytest.fixture
def given(mariadb_target):
    """A server of somebody's, as environment variables name it."""
    return {
        "LOADTEST_DSN": str(mariadb_target.functions),
        "LOADTEST_PASSWORD": mariadb_target.functions.password,
        "LOADTEST_ADMIN_DSN": mariadb_target.admin.url(),
    }


@contextmanager
def working(place, *words, **more):
    """Workers in the background; ended as by Ctrl-C."""
    started = place.start(*words, **more)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGINT)
        started.communicate(timeout=END_S)


def bench(place, port, *words, env=None, server="local"):
    more = ("--server", server, "--master-bind-port", port, "--json")
    return place.start("bench", *QUICK, *more, *words, env=env)


def counts_of(repetition, kind, column):
    """How many different values a column has in each worker's rows, without those of nobody."""
    rows = read_rows(repetition, kind)[0].to_pylist()
    return Counter(worker for worker, value in {(row["worker"], row[column]) for row in rows} if value != -1)


@pytest.mark.nightly
def test_workers_last_from_one_bench_to_the_next_and_share_all_limits_exactly(place, port, given):
    pool, reserve = 13, 90 - 13
    limits = ("--concurrency-limit", "7", "--ideal-reserve", reserve, "--max-connections", "90")
    busy = ("--rate", "100", "--work-ms", "200", "--reap-probability", "0")
    scaling = ("--scaling-per-10s", "7", "--cold-start-ms", "1500", "--function-timeout", "3s")

    def run(out, *words):
        started = bench(place, port, "--workers", "2", *words, "--out", out, env=given, server=server)
        ran = ended(started, LONG_S)
        assert ran.code == 0, ran.err
        return ran, RunFolder(place.folder / out)

    server = given["LOADTEST_DSN"]
    with working(place, "worker", "--processes", "2", "--master-port", port, env=given) as workers:
        ran, first = run("first", "--strategies", "ideal", *busy, *limits)
        _, second = run("second", "--repetitions", "2", *scaling)
    assert workers.returncode == 130
    assert json.loads(ran.out)["scenario"]["workers"] == 2
    assert first.read_run()["server"]["functions_max_connections"] - reserve == pool
    (ideal,) = first.repetitions("ideal")
    assert ideal.read_meta()["workers_count"] == 2
    assert counts_of(ideal, "invocations", "container") == shares(7)
    assert counts_of(ideal, "connections", "server_id") == shares(pool)
    repetitions = second.repetitions("direct")
    assert len(repetitions) == 2
    for repetition in repetitions:
        # No container is warm before the load is over, nor is a whole one allowed again in that second.
        assert counts_of(repetition, "invocations", "container") == shares(7)


def shares(total):
    return {worker: share_of(total, worker, 2) for worker in (0, 1)}


@pytest.mark.nightly
def test_a_worker_that_knows_no_server_gets_that_of_a_bench_on_its_machine(place, port):
    with working(place, "worker", "--master-port", port):
        named = ("--master-bind-host", "localhost")  # ZeroMQ itself takes numbers only
        ran = ended(bench(place, port, "--workers", "1", *named, "--out", "mine"), LONG_S)
    assert ran.code == 0, ran.err
    (repetition,) = RunFolder(place.folder / "mine").repetitions("direct")
    assert len(read_rows(repetition, "invocations")[0]) > 20
    # In a bench nobody looks at Locust's own statistics of its requests.
    assert "few-rows" not in repetition.locust_log.read_text("utf-8")


@pytest.mark.nightly
def test_a_worker_of_plain_locust_takes_part_in_one_repetition_of_the_closed_model(place, port, given):
    locustfile = packaged("locustfiles") / "containers.py"
    words = ("-f", locustfile, "--worker", "--master-host", "127.0.0.1", "--master-port", port)
    load = ("--workers", "1", "--model", "closed", "--containers", "10", "--out", "mine")
    env = {**given, "LOADTEST_DSN": given["LOADTEST_DSN"].replace("@", f":{given['LOADTEST_PASSWORD']}@")}
    with working(place, *words, module="locust", env=env) as worker:
        ran = ended(bench(place, port, *load, env=given, server=given["LOADTEST_DSN"]), LONG_S)
        assert ran.code == 0, ran.err
        assert worker.wait(END_S) == 0
    (repetition,) = RunFolder(place.folder / "mine").repetitions("direct")
    assert counts_of(repetition, "invocations", "client") == {0: 10}


@pytest.mark.nightly
def test_workers_that_do_not_come_end_the_bench_with_the_command_that_starts_one(place, port):
    with working(place, "worker", "--master-port", port) as worker:
        wait_until(lambda: any(loaded(process) for process in place.locusts()), LONG_S)
        ran = ended(bench(place, port, "--workers", "2", "--workers-wait", "10s"), LONG_S)
        assert worker.poll() is None  # it waits for the next bench
    assert (ran.code, ran.out) == (3, "")
    *hints, last_words = ran.err.splitlines()
    assert all("warning: direct/01 waits for its workers, 2 in all: start each" in hint for hint in hints)
    assert last_words == (
        "loadtest: direct/01: 1 of 2 workers came within 10 s: start each with `loadtest worker "
        f"--master-host 127.0.0.1 --master-port {port}`, where LOADTEST_DSN names the server"
    )
    assert place.files() == {}
    assert place.left() == []


@pytest.mark.nightly
def test_workers_that_are_too_many_are_no_load_that_was_asked_for(place, port):
    with working(place, "worker", "--processes", "3", "--master-port", port):
        wait_until(lambda: len(place.locusts()) == 3)
        wait_until(lambda: all(loaded(process) for process in place.locusts()), what="all three to wait")
        ran = ended(bench(place, port, "--workers", "1"), LONG_S)
    assert ran.code == 3, ran
    *_, last_words = ran.err.splitlines()  # on a busy machine it says before that it waits
    assert "workers came, and --workers is 1: end those that are too many" in sentence(last_words)


def loaded(process):
    """A worker waits for its master once it has a socket of ZeroMQ's; its imports are done by then."""
    return any(".so" in file.path and "zmq" in file.path for file in process.memory_maps())


@pytest.mark.nightly
def test_a_worker_of_another_model_ends_the_bench(place, port, given):
    locustfile = packaged("locustfiles") / "containers.py"
    with working(place, "-f", locustfile, "--worker", "--master-port", port, module="locust", env=given):
        load = bench(place, port, "--workers", "1", env=given, server=given["LOADTEST_DSN"])
        ran = ended(load, LONG_S)
    assert ran.code == 3, ran
    assert "was started with the locustfile of another model than open" in ran.err.splitlines()[-1]


@pytest.mark.nightly
def test_a_strategy_that_a_worker_lacks_ends_the_bench_with_the_workers_machine(place, port, given):
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text(
        "class Mine:\n    def __init__(self, connect): ...\n    def invoke(self, work, context): ...\n"
    )
    with working(place, "worker", "--master-port", port, env=given):
        words = ("--workers", "1", "--strategies", "a=mine:Mine")
        there = {**given, "LOADTEST_STRATEGIES_FROM": str(elsewhere)}
        ran = ended(bench(place, port, *words, env=there, server=given["LOADTEST_DSN"]), LONG_S)
    assert ran.code == 3, ran
    said = ran.err.splitlines()[-1]
    assert f"a worker (on {socket.gethostname()}) cannot take part: strategy 'a': mine cannot be" in said


@pytest.mark.nightly
def test_after_a_bench_that_was_killed_its_workers_serve_the_next(place, port, given):
    with working(place, "worker", "--master-port", port, env=given):
        words = ("--workers", "1", "--out", "killed", "--duration", "60s")
        killed = bench(place, port, *words, env=given, server=given["LOADTEST_DSN"])
        wait_until(lambda: any(place.folder.glob("killed/arms/direct/01/invocations/*")), LONG_S)
        everything = [psutil.Process(killed.pid), *psutil.Process(killed.pid).children(recursive=True)]
        for process in everything:
            process.kill()
        killed.communicate()
        load = ("--workers", "1", "--out", "mine")
        ran = ended(bench(place, port, *load, env=given, server=given["LOADTEST_DSN"]), LONG_S)
        assert ran.code == 0, ran.err
    (repetition,) = RunFolder(place.folder / "mine").repetitions("direct")
    # Less if clients come late, on a busy machine, but nothing of the first bench.
    assert 0 < counts_of(repetition, "invocations", "due_s")[0] <= ROWS
    reasons = repetition.read_meta().get("wrong_load", [])
    assert not any("joined" in reason or "was lost" in reason for reason in reasons)


def test_a_bench_that_is_interrupted_while_it_waits_tells_the_workers_that_came(place, port):
    with working(place, "worker", "--master-port", port) as worker:
        waiting = bench(place, port, "--workers", "2", "--out", "waiting")
        log = place.folder / "waiting" / "arms" / "direct" / "01" / "locust.log"
        wait_until(lambda: log.exists() and "reported as ready" in log.read_text("utf-8"), LONG_S)
        (before,) = (process for process in place.locusts() if process.ppid() == worker.pid)
        waiting.send_signal(signal.SIGINT)
        ran = ended(waiting, END_S)
        assert (ran.code, ran.out) == (130, "")
        assert ran.err.splitlines()[-1] == "loadtest: interrupted by SIGINT"
        wait_until(lambda: not before.is_running() and place.locusts())
        worker.send_signal(signal.SIGINT)
        said = ended(worker, END_S).err.splitlines()
    # Nothing of a master that has been silent for long.
    assert said == [
        f"a worker waits for a bench at 127.0.0.1:{port}  (Ctrl-C ends this)",
        "loadtest: interrupted by SIGINT",
    ]
    assert place.files() == {}


@pytest.mark.nightly
def test_a_repetition_whose_worker_is_lost_does_not_count_and_is_run_again_with_another(place, port, given):
    with working(place, "worker", "--processes", "2", "--master-port", port, env=given) as workers:
        words = ("--workers", "2", "--rate", "40", "--duration", "6s", "--reruns", "1", "--out", "mine")
        load = bench(place, port, *words, env=given, server=given["LOADTEST_DSN"])
        folder = place.folder / "mine" / "arms" / "direct"
        wait_until(lambda: any((folder / "01").glob("invocations/*")), LONG_S)
        next(process for process in place.locusts() if process.ppid() == workers.pid).kill()
        ran = ended(load, LONG_S)
    assert ran.code == 0, ran.err
    lost, again = json.loads(ran.out)["arms"]["direct"]["repetitions"]
    assert lost["arrivals_count"] is None
    assert any("was lost before the end" in reason for reason in lost["reasons"])
    assert not any("was lost" in reason for reason in again["reasons"])
    rerun = RunFolder(place.folder / "mine").repetitions("direct")[1]
    assert set(counts_of(rerun, "invocations", "client")) == {0, 1}


# The names of a machine, but its own ones only for this process.
OWN_NAMES = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


@pytest.mark.nightly
def test_a_worker_waits_for_a_name_that_nobody_knows_yet_as_that_of_a_pod(place, port, given):
    tried = ["unshare", "--mount", "true"]
    if shutil.which("unshare") is None or subprocess.run(tried, check=False).returncode:
        missing("names of its own need unshare, and the right to use it")
    names = place.folder / "hosts"
    names.write_text(Path("/etc/hosts").read_text("utf-8"))
    env = {**os.environ, "TMPDIR": str(place.tmp), "PYTHONPATH": str(ROOT), **given}
    words = [sys.executable, "-m", "loadtest", "worker", "--master-host", "a-pod", "--master-port", port]
    unshared = ["unshare", "--mount", "bash", "-c", OWN_NAMES, "bash", str(names), *words]
    worker = process_group.start(unshared, place.folder, place.folder / "log", env)
    try:
        wait_until(lambda: place.locusts())
        load = bench(place, port, "--workers", "1", "--out", "mine", env=given, server=given["LOADTEST_DSN"])
        log = place.folder / "mine" / "arms" / "direct" / "01" / "locust.log"
        wait_until(lambda: log.exists() and "Starting Locust" in log.read_text("utf-8"), LONG_S)
        with names.open("a") as file:
            file.write("\n127.0.0.1 a-pod\n")
        ran = ended(load, LONG_S)
        assert ran.code == 0, ran.err
    finally:
        process_group.end(worker)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "2", "--processes", "2"], "2 workers, which are started elsewhere, and 2 processes"),
        (["--workers", "-1"], "workers cannot be '-1': expected a whole number >= 0"),
        (["--workers", "2", "--workers-wait", "soon"], "workers-wait: not a duration: 'soon'"),
        (["--workers", "2", "--master-bind-port", "0"], "0 is not in the range 1<=x<=65535"),
        (
            ["--workers", "2", "--master-bind-host", "nowhere.invalid"],
            "cannot listen on nowhere.invalid",
        ),
        (["--workers", "2", "--master-bind-host", "*"], "name one with --server mysql://…"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(place, words, said):
    if "--master-bind-port" not in words:
        words = [*words, "--master-bind-port", str(process_group.free_port())]  # others may have the default
    assert said in place.refused(2, "bench", *QUICK, *words)


def test_a_port_that_is_taken_is_refused_before_anything_starts(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = place.refused(2, "bench", *QUICK, "--workers", "2", "--master-bind-port", port)
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "choose another --master-bind-port" in said


def test_the_page_takes_no_workers(place):
    (place.folder / "mine.toml").write_text("workers = 2\n")
    assert "which only loadtest bench takes" in place.refused(2, "web", "mine.toml")
    assert "No such option '--workers'" in place.refused(2, "web", "--workers", "2")


@pytest.mark.nightly
def test_a_worker_for_another_server_than_its_masters_is_told_so(place, port, given):
    with launch.launched(ServerChoice("local"), 10) as another:
        account = another.functions
        wrong = {**given, "LOADTEST_DSN": str(account), "LOADTEST_PASSWORD": account.password}
        with working(place, "worker", "--master-port", port, env=wrong):
            started = bench(place, port, "--workers", "1", env=given, server=given["LOADTEST_DSN"])
            ran = ended(started, LONG_S)
    assert ran.code == 3, ran
    assert f":{account.port}) than its master watches (" in ran.err
    assert "set its LOADTEST_DSN to that one" in ran.err


def test_a_worker_elsewhere_needs_a_server_that_it_can_reach(place):
    elsewhere = ("worker", "--master-host", "192.0.2.1")
    assert "no server: set LOADTEST_DSN to mysql://user@host:port/" in place.refused(3, *elsewhere)
    nowhere = {"LOADTEST_DSN": f"mysql://a@127.0.0.1:{process_group.free_port()}/b"}
    assert "nothing listens on 127.0.0.1" in place.refused(3, *elsewhere, env=nowhere)
    assert "malformed DSN" in place.refused(2, *elsewhere, env={"LOADTEST_DSN": "nonsense"})
