"""Real functions against a real server: what the rows say of them, and what they leave on the server."""

import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from loadtest.results.parquet import read_rows
from loadtest.server import connections
from tests.fleet.real.packages import installed
from tests.server.pressure import full
from tests.swarm.locusts import run, running
from tests.waiting import wait_until

FUNCTIONS = Path(__file__).parent / "functions"
EXAMPLES = Path(__file__).parent.parent.parent.parent / "examples"
LEAVES = f"""#!{sys.executable}
import os
from http.client import HTTPConnection

API = "/2018-06-01/runtime/invocation"
service = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
service.request("GET", API + "/next")
answer = service.getresponse()
answer.read()
service.request("POST", f"{{API}}/{{answer.headers['Lambda-Runtime-Aws-Request-Id']}}/response", b"1")
service.getresponse().read()
"""
# Where other tests take the CPU, each that finds no idle container waits for one to come up, and one or the
# other invocation for a machine that stands still.
FEW = {"rate": 8.0, "duration_s": 2.5, "function_timeout_s": 15.0}
MANY = {**FEW, "rate": 20.0, "duration_s": 3.0}


def strategy(function, name="shop"):
    return f"{name}=lambda:python:{FUNCTIONS}/app.{function}"


def rows_of(repetition, kind):
    return read_rows(repetition, kind)[0].to_pylist()


def named(name):
    """Processes that run the function of this name."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == name:
                found.append(process.pid)
    return found


def test_each_arrival_is_answered_by_a_process_and_each_connect_is_a_connection(mariadb_target, tmp_path):
    ran = run(mariadb_target, tmp_path / "r", strategy("direct"), rtt_ms=5.0, **FEW)
    rows = ran.invocations
    assert len(rows) > 15
    assert ran.errors() == {""}
    assert {row["part"] for row in rows} == {"shop"}
    assert len(ran.connections) == len(rows)
    fates = [life["fate"] for life in ran.connections]
    assert fates.count("closed") >= len(fates) - 1, "the last goodbye may be under way"
    assert all(row["connects_count"] == 1 for row in rows)
    # A handshake has three round trips of 5 ms, and what is measured is not longer than the whole.
    assert all(0.015 <= row["connect_s"] <= row["finished_s"] - row["started_s"] for row in rows)
    cold = [row for row in rows if row["cold"]]
    assert all(row["cold_start_s"] > 0.02 for row in cold), "a Python that starts"
    assert {row["cold_start_s"] for row in rows if not row["cold"]} == {0.0}
    assert {(row["query_s"], row["manage_s"]) for row in rows} == {(None, None)}, "nobody can tell"
    starts = {start["container"]: start for start in rows_of(ran.repetition, "starts")}
    assert {row["container"]: row["cold_start_s"] for row in cold} == {
        number: start["init_s"] for number, start in starts.items()
    }
    seconds = ran.repetition.csv_rows(ran.repetition.generator)
    used_s = sum(
        float(second["functions_cpu_ratio"]) * (float(second["at_s"]) - float(before["at_s"]))
        for before, second in pairwise(seconds)
    )
    assert used_s > 0.03 * len(starts), "each has started a Python"


def test_what_is_reaped_leaves_zombies_as_the_server_counts_them(mariadb_target, tmp_path):
    with running(mariadb_target, tmp_path / "r", strategy("cached"), reap_probability=0.4, **MANY) as (
        locust, repetition, _,
    ):  # fmt: skip
        assert locust.wait(60) == 0
    zombies = [life for life in rows_of(repetition, "connections") if life["fate"] == "zombie"]
    # They were there until the run's end, when their sockets went with its process.
    samples = [sample for sample in repetition.csv_rows(repetition.samples) if not sample["error"]]
    fullest = max(samples, key=lambda sample: int(sample["sleeping_count"]))
    left = [life for life in zombies if life["reaped_s"] < float(fullest["at_s"]) - 0.5]
    assert len(left) > 5
    assert int(fullest["sleeping_count"]) >= len({life["server_id"] for life in left})


def test_a_function_with_an_extension_closes_its_connection_when_it_is_told_and_no_other(
    mariadb_target, tmp_path
):
    mixed = f"tidy=lambda:python:{EXAMPLES}/python-sigterm/app.handler:0.5+{strategy('cached')}:0.5"
    often = {**MANY, "reap_probability": 0.3, "graceful_ratio": 1.0}
    ran = run(mariadb_target, tmp_path / "r", mixed, **often)
    assert ran.errors() == {""}
    parts = {row["container"]: row["part"] for row in ran.invocations}
    fates = {part: [] for part in ("tidy", "shop")}
    for life in ran.connections:
        if life["fate"] != "open":
            fates[parts[life["container"]]].append(life["fate"])
    assert min(map(len, fates.values())) > 5
    assert set(fates["shop"]) == {"zombie"}
    # None, where there is a core for each: it has half a second.
    assert fates["tidy"].count("zombie") <= len(fates["tidy"]) / 2


@pytest.mark.nightly
def test_connections_of_a_reaped_container_may_be_closed_for_it(mariadb_target, tmp_path):
    ran = run(
        mariadb_target, tmp_path / "r", strategy("cached"), reap_probability=0.4, zombie_ratio=0.0, **FEW
    )
    fates = [life["fate"] for life in ran.connections]
    assert fates.count("closed") > 5
    assert set(fates) <= {"closed", "open"}


def test_a_full_server_is_an_error_with_the_servers_code(mariadb_target, tmp_path):
    with full(mariadb_target):
        ran = run(mariadb_target, tmp_path / "r", strategy("direct"), **FEW)
    assert ran.errors() == {"1040 ER_CON_COUNT_ERROR"}
    assert ran.connections == []


@pytest.mark.nightly
def test_tls_passes_through(mariadb_target, tmp_path):
    with full(mariadb_target):
        ran = run(mariadb_target, tmp_path / "full", strategy("encrypted"), **FEW)
    assert ran.errors() == {"1040 ER_CON_COUNT_ERROR"}, "as the function says it"
    ran = run(mariadb_target, tmp_path / "r", strategy("encrypted"), **FEW)
    assert ran.errors() == {""}
    assert len(ran.connections) == len(ran.invocations)


def test_who_outlives_the_timeout_is_killed_and_its_statement_runs_on(mariadb_target, tmp_path):
    short = {**FEW, "rate": 4.0, "duration_s": 2.0, "function_timeout_s": 1.0}
    most = 0
    with running(mariadb_target, tmp_path / "r", strategy("slow"), **short) as (locust, repetition, _):
        with connections.session(mariadb_target.admin) as cursor:
            while locust.poll() is None:
                most = max(most, sleeping(cursor))
                time.sleep(0.05)
        assert locust.wait(60) == 0
    rows = rows_of(repetition, "invocations")
    assert {row["error"] for row in rows} == {"timeout"}
    assert {life["fate"] for life in rows_of(repetition, "connections")} == {"zombie"}
    assert len({row["container"] for row in rows}) == len(rows), "a new environment for each"
    living = [sum(one["started_s"] <= row["started_s"] < one["finished_s"] for one in rows) for row in rows]
    assert most > max(living), "more statements than functions"


def sleeping(cursor):
    cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(5)%'")
    return cursor.fetchone()[0]


@pytest.mark.nightly
def test_a_function_that_outgrows_its_memory_is_killed(mariadb_target, tmp_path):
    (tmp_path / "app.py").write_text(
        "import time\nkept = []\n"
        "def handler(event, context):\n    kept.append(b'x' * 150_000_000)\n    time.sleep(8)\n"
    )
    few = {"rate": 2.0, "arrivals": "even", "duration_s": 2.0, "function_timeout_s": 9.0}
    function = f"fat=lambda:python:{tmp_path}/app.handler"
    ran = run(mariadb_target, tmp_path / "r", function, **few)
    assert ran.errors() == {"Runtime.ExitError"}
    (tmp_path / "function.toml").write_text("memory_mb = 512\ntimeout = '1s'\n")
    ran = run(mariadb_target, tmp_path / "r2", function, **few)
    assert ran.errors() == {"timeout"}, "its own, which is shorter than the run's"
    assert all(row["finished_s"] - row["started_s"] < 6 for row in ran.invocations)


def test_a_function_that_crashes_is_started_anew(mariadb_target, tmp_path):
    ran = run(mariadb_target, tmp_path / "r", strategy("exits"), **{**FEW, "rate": 5.0})
    assert ran.errors() == {"Runtime.ExitError"}
    assert len({row["container"] for row in ran.invocations}) == len(ran.invocations)


@pytest.mark.nightly
def test_one_that_never_asks_for_another_is_killed_at_its_timeout(mariadb_target, tmp_path):
    script = tmp_path / "bootstrap"
    script.write_text(LEAVES + "import time\ntime.sleep(60)\n")
    script.chmod(0o755)
    # Eighteen, of which a few are there at a time, even if each takes seconds to come up.
    few = {"rate": 2.0, "arrivals": "even", "duration_s": 9.0, "function_timeout_s": 3.0}
    ran = run(mariadb_target, tmp_path / "r", f"idle=lambda:provided:{script}", **few)
    assert ran.errors() == {""}, "it has answered"
    assert len({row["container"] for row in ran.invocations}) == len(ran.invocations)
    seconds = ran.repetition.csv_rows(ran.repetition.generator)
    most = max(int(row["containers_count"]) for row in seconds)
    assert most < len(ran.invocations), "those whose timeout was over are gone"
    assert not named("idle")


@pytest.mark.parametrize("users", [None, 3], ids=["open model", "closed model"])
def test_a_container_is_busy_until_its_runtime_asks_for_the_next(mariadb_target, tmp_path, users):
    script = tmp_path / "bootstrap"
    once, first = LEAVES.replace("service.request", "while True:\n  service.request", 1).split("\n  ", 1)
    looped = once + "\n  " + first.replace("\n", "\n  ")
    script.write_text(looped + "import time; time.sleep(0.6)\n")
    script.chmod(0o755)
    model = {"rate": 10.0, "arrivals": "even"} if users is None else {"model": "closed", "containers": users}
    ran = run(mariadb_target, tmp_path / "r", f"late=lambda:provided:{script}", duration_s=3.0, **model)
    assert ran.errors() == {""}
    by_container = {}
    for row in sorted(ran.invocations, key=lambda row: row["started_s"]):
        by_container.setdefault(row["container"], []).append(row)
    pairs = [pair for rows in by_container.values() for pair in pairwise(rows)]
    assert pairs
    # Seen late, where the machine is busy.
    assert all(after["started_s"] - before["finished_s"] >= 0.3 for before, after in pairs)
    took_s = [after["finished_s"] - after["started_s"] for _, after in pairs]
    assert min(took_s) < 0.3, "its invoker has its answer"


@pytest.mark.nightly
def test_whatever_a_container_has_opened_is_left_when_it_is_reaped(mariadb_target, tmp_path):
    leaky = {**FEW, "rate": 10.0, "reap_probability": 0.3}
    ran = run(mariadb_target, tmp_path / "r", strategy("leaks"), **leaky)
    assert ran.errors() == {""}
    assert len(ran.connections) == len(ran.invocations)
    lives = {}
    for life in ran.connections:
        lives.setdefault(life["container"], []).append(life["fate"])
    assert max(map(len, lives.values())) > 1
    assert all(len(set(fates)) == 1 for fates in lives.values()), "all of a container's share its fate"
    assert {"zombie", "open"} >= {fate for fates in lives.values() for fate in fates}


INITS = """
import pathlib, sys
tries = pathlib.Path(__file__).with_name("tries")
with tries.open("a") as file:  # several may come up at once
    file.write("x")
{what}
def handler(event, context): ...
"""
STEADY = {"rate": 4.0, "arrivals": "even", "duration_s": 2.0, "function_timeout_s": 15.0}


CONNECTS_MEANWHILE = """
import os, threading
import pymysql

def connect():
    pymysql.connect(
        host=os.environ["MYSQL_HOST"], port=int(os.environ["MYSQL_PORT"]), user=os.environ["MYSQL_USER"],
        password=os.environ["MYSQL_PASSWORD"], ssl_disabled=True,
    )

connecting = threading.Thread(target=connect)
connecting.start()
def handler(event, context):
    connecting.join()
"""


@pytest.mark.nightly
def test_while_it_is_frozen_no_time_counts_as_connecting(mariadb_target, tmp_path):
    (tmp_path / "app.py").write_text(CONNECTS_MEANWHILE)
    few = {"rate": 1.0, "arrivals": "even", "duration_s": 2.0, "rtt_ms": 300.0, "provisioned": 1}
    ran = run(mariadb_target, tmp_path / "r", f"meanwhile=lambda:python:{tmp_path}/app.handler", **few)
    assert ran.errors() == {""}
    first = min(ran.invocations, key=lambda row: row["started_s"])
    assert not first["cold"]
    # A handshake takes at least 3 round trips, some of them before the freeze, which lasts longer.
    assert 0 < first["connect_s"] < first["finished_s"] - first["started_s"] + 0.6


@pytest.mark.parametrize("how", ["raise RuntimeError", "sys.exit(3)"])
def test_an_init_phase_that_fails_is_run_again_by_its_invocation(mariadb_target, tmp_path, how):
    (tmp_path / "app.py").write_text(INITS.format(what=f"if tries.read_text() == 'x': {how}"))
    ran = run(mariadb_target, tmp_path / "r", f"again=lambda:python:{tmp_path}/app.handler", **STEADY)
    assert ran.errors() == {""}


@pytest.mark.nightly
def test_one_that_fails_twice_is_its_invocations_error(mariadb_target, tmp_path):
    (tmp_path / "app.py").write_text(INITS.format(what="raise RuntimeError"))
    ran = run(mariadb_target, tmp_path / "r", f"again=lambda:python:{tmp_path}/app.handler", **STEADY)
    assert ran.errors() == {"RuntimeError"}
    assert len({row["container"] for row in ran.invocations}) == len(ran.invocations)
    assert len((tmp_path / "tries").read_text()) >= len(ran.invocations) + 1
    assert rows_of(ran.repetition, "starts") == [], "none has come up"


@pytest.mark.nightly
def test_one_that_ends_after_its_answer_is_started_anew_for_the_next(mariadb_target, tmp_path):
    script = tmp_path / "bootstrap"
    script.write_text(LEAVES)
    script.chmod(0o755)
    function = f"leaves=lambda:provided:{script}"
    ran = run(mariadb_target, tmp_path / "r", function, **FEW)
    assert ran.errors() == {""}
    assert len({row["container"] for row in ran.invocations}) == len(ran.invocations)


MANAGED = {"provisioned": 2, "processes_per_environment": 3}


def test_an_environment_with_several_processes_serves_as_many_at_once_and_throttles_the_rest(
    mariadb_target, tmp_path
):
    held = {**FEW, **MANAGED, "rate": 100.0, "work_ms": 100.0}
    ran = run(
        mariadb_target, tmp_path / "r", f"lmi=lambda:python:{EXAMPLES}/python-cached/app.handler", **held
    )
    assert ran.errors() == {"", "throttled"}
    served = [row for row in ran.invocations if row["error"] == ""]
    assert len({row["container"] for row in served}) == 6
    assert not any(row["cold"] for row in ran.invocations), "none is started because an arrival comes"
    most = max(
        sum(one["started_s"] <= row["started_s"] < one["finished_s"] for one in served) for row in served
    )
    assert most == 6
    assert len(ran.connections) == 6, "each process has one of its own, and nobody is reaped"
    assert {row["connect_s"] for row in served} == {None}


@pytest.mark.nightly
def test_one_of_several_processes_that_is_too_slow_goes_on_and_serves_again(mariadb_target, tmp_path):
    (tmp_path / "app.py").write_text(
        "import os, time\n"
        "def handler(event, context):\n"
        "    time.sleep(4.5 if event['id'].endswith('/0') else 0)\n"
        "    return os.getpid()\n"
    )
    slow = {"rate": 4.0, "arrivals": "even", "duration_s": 9.0, "function_timeout_s": 3.0}
    ran = run(mariadb_target, tmp_path / "r", f"lmi=lambda:python:{tmp_path}/app.handler", **slow, **MANAGED)
    rows = sorted(ran.invocations, key=lambda row: row["due_s"])
    timed_out = [row for row in rows if row["error"] == "timeout"]
    assert len(timed_out) == 4, "the first arrival of each client"
    later = [
        row for row in rows if row["due_s"] > timed_out[-1]["due_s"] + 5.0 and row["error"] != "throttled"
    ]
    assert {row["error"] for row in later} == {""}
    assert {row["container"] for row in timed_out} & {row["container"] for row in later}, "it is back"


def test_real_and_emulated_functions_share_a_server(mariadb_target, tmp_path):
    mixed = f"{strategy('cached')}:0.5+direct:0.5"
    ran = run(mariadb_target, tmp_path / "r", mixed, **FEW)
    assert ran.errors() == {""}
    assert {row["part"] for row in ran.invocations} == {"shop", "direct"}
    assert ran.repetition.arm == "shop:0.5+direct:0.5"


@pytest.mark.nightly
def test_the_published_module_itself_is_an_arm(mariadb_target, tmp_path):
    folder = installed(EXAMPLES / "node-serverless-mysql", tmp_path / "function")
    function = f"published=lambda:node:{folder}/index.handler"
    ran = run(mariadb_target, tmp_path / "r", function, **FEW)
    assert ran.errors() == {""}
    # As published: it keeps its connection, and asks the server for its limit and its process list.
    assert len(ran.connections) == len({row["container"] for row in ran.invocations})
    assert max(row["overhead_queries_count"] for row in ran.invocations) >= 2


def test_nothing_is_left_running_even_if_locust_is_killed(mariadb_target, tmp_path):
    function = strategy("cached", name="orphan")
    with running(mariadb_target, tmp_path / "r", function, **{**FEW, "duration_s": 60.0}) as (locust, _, _):
        wait_until(lambda: named("orphan"), 40, "functions")
        locust.kill()
        locust.wait(20)
        wait_until(lambda: not named("orphan"), what="the end of all")


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_provisioned_containers_are_there_before_the_load(mariadb_target, tmp_path, processes):
    ran = run(mariadb_target, tmp_path / "r", strategy("cached"), processes, provisioned=4, **FEW)
    assert ran.errors() == {""}
    seconds = ran.repetition.csv_rows(ran.repetition.generator)
    first = {row["worker"]: int(row["containers_count"]) for row in reversed(seconds)}
    assert sum(first.values()) >= 4  # more, where the first row came late
    is_late = any("provisioned" in reason for reason in ran.meta.get("wrong_load", []))
    assert is_late or not min(ran.invocations, key=lambda row: row["due_s"])["cold"]
    # More than were provisioned, where several come at once after the machine stood still.
    assert sum(row["cold"] for row in ran.invocations) < len(ran.invocations) / 2


@pytest.mark.nightly
def test_provisioned_ones_of_a_mixed_fleet_are_divided_by_shares(mariadb_target, tmp_path):
    mixed = f"{strategy('cached')}:0.5+direct:0.5"
    ran = run(mariadb_target, tmp_path / "r", mixed, provisioned=4, **FEW)
    assert sum(row["cold"] for row in ran.invocations) < len(ran.invocations) / 2
    firsts = {row["part"]: row["cold"] for row in sorted(ran.invocations, key=lambda row: -row["due_s"])}
    assert firsts == {"shop": False, "direct": False}


@pytest.mark.nightly
def test_containers_that_are_not_ready_in_time_make_the_repetition_invalid(mariadb_target, tmp_path):
    (tmp_path / "late.py").write_text("import time\ntime.sleep(6)\ndef handler(event, context): ...\n")
    function = f"late=lambda:python:{tmp_path}/late.handler"
    with running(mariadb_target, tmp_path / "r", function, provisioned=2, **FEW) as (locust, repetition, _):
        assert locust.wait(60) == 0
    reasons = repetition.read_meta()["wrong_load"]
    assert reasons[-1].startswith("2 of the provisioned containers were not there at the start")
