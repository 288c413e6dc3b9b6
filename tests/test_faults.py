"""``loadtest bench --fault``, as a user runs it."""

import csv
import json
import signal
from contextlib import suppress
from itertools import pairwise

import numpy as np
import psutil
import pymysql
import pytest

from loadtest.report.courses import course_of
from loadtest.report.frame_reader import read_repetition
from loadtest.results.parquet import read_rows
from loadtest.results.run_folder import RunFolder
from loadtest.server import connections
from loadtest.settings.fault import KINDS, faults_in, parse_fault
from tests.places import END_S, SERVERS, ended, sentence
from tests.waiting import wait_until

SMALL = (
    "bench", "quick", "--server", "local", "--strategies", "cached", "--rate", "60", "--repetitions", "1",
    "--reruns", "0",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name", "at_s", "duration_s", "values"),
    [
        ("kill@5", "kill", 5.0, 2.0, {}),
        ("kill@5+500ms", "kill", 5.0, 0.5, {}),
        ("kill-connections:share=0.5@1m", "kill-connections", 60.0, 0.0, {"share": 0.5}),
        (" connections:limit=30@1.5+10 ", "connections", 1.5, 10.0, {"limit": 30.0}),
        ("delay@2", "delay", 2.0, 5.0, {"ms": 50.0}),
    ],
)
def test_a_fault_is_a_name_its_values_and_its_time(text, name, at_s, duration_s, values):
    fault = parse_fault(text)
    assert (fault.name, fault.at_s, fault.duration_s, fault.values) == (name, at_s, duration_s, values)


def test_faults_are_carried_out_by_time():
    assert [f.name for f in faults_in(["stop@8", "kill@2"], 20.0)] == ["kill", "stop"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["kill"], "write NAME[:key=value…]@SECOND[+DURATION]"),
        (["@5"], "write NAME"),
        (["kil@5"], "there is no 'kil' (did you mean kill?); see loadtest faults"),
        (["kill@soon"], "'soon' is no time"),
        (["kill@5+"], "write NAME"),
        (["kill@-1"], "'-1' is no time"),
        (["delay:ms@5"], "'ms' is none of its values; it takes ms=NUMBER"),
        (["delay:s=5@5"], "'s=5' is none of its values; it takes ms=NUMBER"),
        (["kill:ms=5@5"], "it takes no values"),
        (["delay:ms=x@5"], "ms cannot be 'x': a number from 1 to 60000"),
        (["delay:ms=nan@5"], "ms cannot be 'nan'"),
        (["kill-connections:share=2@5"], "share cannot be '2': a number from 0.01 to 1"),
        (["connections:limit=30.5@5"], "limit cannot be '30.5': a whole number from 1 to 100000"),
        (["delay:ms=5:ms=6@5"], "it has a value twice"),
        (["kill@29"], "would last until second 31 of a load of 30 s"),
        (["kill@5+5", "freeze@7"], "overlap"),
        (["reset@5", "half-close@5"], "overlap"),
    ],
)
def test_a_wrong_fault_is_one_sentence(place, texts, said):
    words = [word for text in texts for word in ("--fault", text)]
    assert said in place.refused(2, "bench", "quick", "--duration", "30s", *words)


def test_faults_of_a_scenario_file_are_taken_and_the_command_line_goes_over_them(place):
    (place.folder / "mine.toml").write_text('duration = "30s"\nfaults = ["kil@5"]\n')
    assert "there is no 'kil'" in place.refused(2, "bench", "mine.toml")
    (place.folder / "mine.toml").write_text('duration = "30s"\nfaults = ["kill@5"]\n')
    assert "there is no 'sto'" in place.refused(2, "bench", "mine.toml", "--fault", "sto@5")


@pytest.mark.parametrize("words", [(), ("--processes", "1"), ("--workers", "1")])
def test_a_load_that_would_have_no_worker_left_loses_none(place, words):
    said = place.refused(2, "bench", "quick", "--fault", "worker@1", *words)
    assert "'worker@1' kills a worker, and this load has none to lose" in said


def test_a_real_function_resolves_names_itself(place):
    words = ("--strategies", "mine=lambda:python:./mine.handler", "--fault", "dns@1")
    assert "a real one has a resolver of its own" in place.refused(2, "bench", "quick", *words)


def test_only_a_server_in_docker_has_a_disk_that_can_be_full(place):
    said = place.refused(2, "bench", "quick", "--server", "local", "--fault", "disk-full@1")
    assert "'disk-full@1' cannot be on this server: it takes a disk of limited size" in said
    said = place.refused(
        2, "bench", "quick", "--duration", "9s", "--fault", "disk-full@1", "--fault", "kill@5"
    )
    assert "'kill@5' one whose data outlives its process: make two runs" in said


def test_a_failover_is_the_last_fault_and_not_on_a_given_server(place, mariadb_target):
    words = ("--duration", "9s", "--fault", "failover@1", "--fault", "reset@5")
    assert "'failover@1' has to be the last one" in place.refused(2, "bench", "quick", *words)
    words = ("--server", mariadb_target.functions.url(), "--fault", "failover@1")
    ran = place.run("bench", "quick", *words)
    assert ran.code == 2
    assert "'failover@1' cannot be on a given server: it takes a second one" in ran.err


def test_a_deployment_is_not_for_environments_of_several_processes(place):
    words = ("--provisioned", "3", "--processes-per-environment", "2", "--fault", "deploy@1")
    assert "'deploy@1' is for processes-per-environment 1" in place.refused(2, "bench", "quick", *words)


@pytest.mark.parametrize("command", ["web", "capacity"])
def test_commands_that_take_no_faults_say_so(place, command):
    (place.folder / "mine.toml").write_text('strategies = ["managed"]\nfaults = ["kill@5"]\n')
    assert "has faults, which only loadtest bench takes" in place.refused(2, command, "mine.toml")


def test_workers_elsewhere_cannot_reach_a_relay(place):
    said = place.refused(2, "bench", "quick", "--workers", "2", "--fault", "reset@3")
    assert "'reset@3' takes a relay, which workers elsewhere cannot reach" in said


def test_workers_elsewhere_hear_of_no_faults_in_the_load_itself(place):
    said = place.refused(2, "bench", "quick", "--workers", "2", "--fault", "rotate-password@1")
    assert "'rotate-password@1' is also of the load's own processes, and workers elsewhere do not" in said


@pytest.mark.nightly
def test_a_rotated_password_is_learnt_by_the_manager_only_and_put_back_on_a_given_server(
    place, mariadb_target
):
    functions, admin = mariadb_target.functions, mariadb_target.admin
    ran = place.run(
        *SMALL[:2], *SMALL[6:], "--strategies", "direct,managed", "--server", functions.url(), "--duration",
        "4s", "--fault", "rotate-password@1", "--out", "run", env={"LOADTEST_ADMIN_DSN": admin.url()},
    )  # fmt: skip
    assert ran.code == 0, ran.err
    faults = json.loads((place.folder / "run" / "summary.json").read_text())["faults"]
    (direct,), (managed,) = faults["direct"], faults["managed"]
    assert "1045 ER_ACCESS_DENIED_ERROR" in direct["errors"]
    # One that comes in the moment between the server's change and the secret's is denied by both.
    assert managed["errors"].get("1045 ER_ACCESS_DENIED_ERROR", 0) < sum(direct["errors"].values()) / 4
    connections.connect(functions).close()
    assert not any("Lt1-" in path.read_text("utf-8", "replace") for path in place.folder.rglob("*.json"))
    assert place.left() == []


@pytest.mark.nightly
def test_a_given_server_has_its_password_back_when_the_run_is_interrupted(place, mariadb_target):
    functions, admin = mariadb_target.functions, mariadb_target.admin

    def is_changed():
        try:
            connections.connect(functions).close()
        except pymysql.OperationalError as error:
            return error.args[0] == 1045
        return False

    process = place.start(
        *SMALL[:2], *SMALL[4:], "--server", functions.url(), "--duration", "40s", "--fault",
        "rotate-password@1", env={"LOADTEST_ADMIN_DSN": admin.url()},
    )  # fmt: skip
    wait_until(is_changed, END_S, what="another password")
    process.send_signal(signal.SIGINT)
    ran = ended(process, END_S)
    assert ran.code == 130
    assert not is_changed()
    assert place.left() == []


def rows_of(place, arm, kind="invocations"):
    repetition = RunFolder(place.folder / "run").repetitions(arm)[0]
    return repetition, read_rows(repetition, kind)[0].to_pylist()


def ran_on(place, target, *words):
    """A small bench of `cached` on a given server: what it said, its repetition, its invocations."""
    ran = place.run(
        *SMALL[:2], *SMALL[4:], "--server", target.functions.url(), *words, "--out", "run",
        env={"LOADTEST_ADMIN_DSN": target.admin.url()},
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return ran.out, *rows_of(place, "cached")


@pytest.mark.nightly
def test_a_deployment_replaces_every_container(place, mariadb_target):
    _, repetition, rows = ran_on(place, mariadb_target, "--duration", "4s", "--fault", "deploy@2")
    (fault,) = repetition.read_meta()["faults"]
    old = {row["container"] for row in rows if row["started_s"] < fault["began_s"]}
    # Told of within some 20 ms, and a second on a very busy machine.
    late = {row["container"] for row in rows if row["started_s"] > fault["ended_s"] + 1.0}
    assert old
    assert late
    assert not old & late


def test_a_worker_that_is_killed_makes_the_repetition_invalid_and_is_named(place, mariadb_target):
    ran = place.run(
        *SMALL[:2], *SMALL[4:10], "--server", mariadb_target.functions.url(), "--duration", "4s",
        "--processes", "2", "--fault", "worker@1", "--out", "run",
        env={"LOADTEST_ADMIN_DSN": mariadb_target.admin.url()},
    )  # fmt: skip
    summary = json.loads((place.folder / "run" / "summary.json").read_text())
    (repetition,) = summary["arms"]["cached"]["repetitions"]  # and none that was run again
    assert not repetition["valid"], ran
    assert any(
        "worker 1 (on " in text and "was lost before the end" in text for text in repetition["reasons"]
    )
    assert [one["fault"] for one in rows_of(place, "cached")[0].read_meta()["faults"]] == ["worker@1"]
    assert place.left() == []


@pytest.mark.nightly
def test_a_name_that_cannot_be_resolved_keeps_out_who_connects_and_nobody_else(place, mariadb_target):
    ran = place.run(
        *SMALL[:2], *SMALL[6:], "--strategies", "direct,ideal", "--server", mariadb_target.functions.url(),
        "--duration", "4s", "--fault", "dns@1+1", "--out", "run",
        env={"LOADTEST_ADMIN_DSN": mariadb_target.admin.url()},
    )  # fmt: skip
    assert ran.code == 0, ran.err
    faults = json.loads((place.folder / "run" / "summary.json").read_text())["faults"]
    (direct,), (ideal,) = faults["direct"], faults["ideal"]
    assert "2003 CR_CONN_HOST_ERROR" in direct["errors"]
    assert "2003 CR_CONN_HOST_ERROR" not in ideal["errors"]
    _, rows = rows_of(place, "direct")
    assert not any(row["error"] for row in rows if row["due_s"] > max(r["due_s"] for r in rows) - 0.5)


@pytest.mark.nightly
def test_after_a_failover_a_cached_connection_writes_no_more_and_the_manager_does(place, mariadb_target):  # noqa: ARG001 - for mariadbd
    ran = place.run(
        *SMALL[:4], *SMALL[6:], "--strategies", "cached,managed", "--workload", "ledger", "--duration", "6s",
        "--fault", "failover@1+1", "--out", "run",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    summary = json.loads((place.folder / "run" / "summary.json").read_text())
    (cached,), (managed,) = summary["faults"]["cached"], summary["faults"]["managed"]
    refused = "1290 ER_OPTION_PREVENTS_STATEMENT"
    # Both are refused while there is no other server; afterwards the manager needs one error to know it.
    assert 0 < managed["errors"][refused] < cached["errors"][refused] / 1.5
    _, rows = rows_of(place, "managed")
    ended_s = max(row["due_s"] for row in rows)
    assert [row for row in rows if row["due_s"] > ended_s - 1.0 and not row["error"]]
    for arm in ("cached", "managed"):
        (repetition,) = summary["arms"][arm]["repetitions"]
        integrity = repetition["integrity"]
        assert integrity["acknowledged_count"] > 0
        assert integrity["lost_count"] == integrity["doubled_count"] == 0
    assert any("new connections went to another server" in text for text in summary["warnings"])
    assert place.left() == []


@pytest.mark.nightly
def test_a_monitor_that_is_killed_leaves_a_gap_and_a_run_that_is_whole(place, mariadb_target):
    said, repetition, rows = ran_on(place, mariadb_target, "--duration", "6s", "--fault", "monitor@1+2")
    assert not any(row["error"] for row in rows)
    (fault,) = repetition.read_meta()["faults"]
    with repetition.samples.open() as file:
        sampled_s = [float(row["at_s"]) for row in csv.DictReader(file)]
    assert sampled_s == sorted(sampled_s)
    # It is told within some 50 ms, and takes a while to start.
    assert max(after - before for before, after in pairwise(sampled_s)) > 1.5
    assert [at_s for at_s in sampled_s if at_s < fault["began_s"]]
    assert [at_s for at_s in sampled_s if at_s > fault["ended_s"]]
    assert "nobody watched the server during fault monitor@1+2" in said.replace("\n  ", " ")
    (course,) = [course_of("01", read_repetition(repetition))]
    assert np.isnan(course.pressure.working_count).any(), "a gap in the plot"


def test_a_process_that_is_not_ours_is_not_ended(place, mariadb_target):
    ran = place.run(
        *("bench", "quick", "--strategies", "cached", "--fault", "kill@1+1"),
        *("--server", mariadb_target.functions.url()),
    )
    assert ran.code == 2
    assert "'kill@1+1' cannot be on this server: its process is not ours" in ran.err
    assert not (place.folder / "results").exists() or not any((place.folder / "results").iterdir())


def test_the_list_has_every_fault_with_its_values(place):
    said = place.run("faults").out
    for name, kind in KINDS.items():
        assert f"\n{name} " in said
        assert all(f"{key}={value.default:g}" in said for key, value in kind.values.items())


def test_a_killed_server_is_survived_by_the_run_and_shown_in_its_report(place, mariadb_target):  # noqa: ARG001 - for mariadbd
    ran = place.run(
        *SMALL, "--workload", "ledger", "--duration", "8s", "--fault", "kill@2+1",
        "--fault", "delay:ms=5@6+1", "--out", "run", timeout_s=180.0,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "the server was lost" not in ran.err
    summary = json.loads((place.folder / "run" / "summary.json").read_text())
    killed, delayed = summary["faults"]["cached"]
    assert (killed["fault"], delayed["fault"]) == ("kill@2+1", "delay:ms=5@6+1")
    assert killed["ended_s"] - killed["began_s"] >= 1.0
    assert set(killed["errors"]) & {"2003 CR_CONN_HOST_ERROR", "2013 CR_SERVER_LOST"}
    assert summary["arms"]["cached"]["repetitions"][0]["integrity"]["acknowledged_count"] > 0
    assert "kill@2+1" in ran.out
    assert any("passed through a relay" in text for text in summary["warnings"])
    for name in ("report.html", "report.md"):
        assert "connects/s" in (place.folder / "run" / name).read_text()
    assert place.left() == []


def is_frozen(place):
    with suppress(psutil.Error):
        return any(process.status() == psutil.STATUS_STOPPED for process in place.processes(*SERVERS))
    return False


@pytest.mark.nightly
def test_a_server_that_does_not_come_back_ends_the_run(
    place,
    mariadb_target,  # noqa: ARG001 - for mariadbd
):
    """Its data is taken away while it is down, so that the new start fails."""
    process = place.start(*SMALL, "--duration", "20s", "--fault", "kill@1+3", "--out", "run")
    wait_until(lambda: place.processes(*SERVERS), what="a server")
    (data,) = wait_until(lambda: list(place.tmp.glob("loadtest-*/data")), what="its data")
    wait_until(lambda: any(place.folder.glob("run/arms/*/*/repetition.json")), what="the load")
    wait_until(lambda: not place.processes(*SERVERS), what="the kill")
    data.rename(data.with_name("gone"))
    ran = ended(process, END_S)
    assert ran.code == 3, ran
    assert "fault kill@1+3: the server did not answer within" in ran.err
    summary = json.loads((place.folder / "run" / "summary.json").read_text())
    assert [one["fault"] for one in summary["faults"]["cached"]] == ["kill@1+3, not undone"]
    assert place.left() == []


@pytest.mark.nightly
def test_a_server_that_is_frozen_when_the_run_is_interrupted_is_taken_down(place, mariadb_target):  # noqa: ARG001 - for mariadbd
    process = place.start(*SMALL, "--duration", "40s", "--fault", "freeze@1+30")
    wait_until(lambda: is_frozen(place), what="a freeze")
    process.send_signal(signal.SIGINT)
    ran = ended(process, END_S)
    assert ran.code == 130
    assert place.left() == []
    assert "interrupted by SIGINT" in sentence(ran.err.splitlines()[-1])
