"""`loadtest doctor`: who holds a database's connections, and what this machine has."""

import time
import tomllib
from contextlib import ExitStack

import pytest

from loadtest.commands.checkup_text import checkup_text, scenario_text
from loadtest.dsn import Dsn
from loadtest.server import connections
from loadtest.server.checkup import Checkup, Held, check_up
from loadtest.settings.scenario import plan_with
from tests.server.pressure import open_connections
from tests.waiting import wait_until

VARIABLES = {"max_connections": "90", "wait_timeout": "28800"}
SERVER = "mysql://root@127.0.0.1:3306/shop"


def checkup(held=(), sees_all=True, **counters):
    known = {"Uptime": 100_000, "Max_used_connections": 60, "Connection_errors_max_connections": 0}
    return Checkup("MySQL 9.7.0", VARIABLES, {**known, **counters}, list(held), sees_all)


def asleep(number, for_s, host="10.0.1.7"):
    return Held(number, "app", host, "Sleep", for_s)


def test_it_tells_the_probable_zombies_from_what_sleeps_for_a_moment():
    held = [
        asleep(1, 3_600.0),
        asleep(2, 601.0),
        asleep(3, 599.0),
        Held(4, "app", "10.0.1.8", "Query", 9_000.0),
    ]
    found = checkup(held)
    assert [one.id for one in found.zombies(600.0)] == [1, 2]
    text = checkup_text(found, 600.0, SERVER, now_s=1_700_000_000.0)
    assert "2 connections have slept for 10 min or longer" in text
    assert "  app from 10.0.1.7: 1, 2\n" in text
    assert "4 connected beside us, 3 of them asleep" in text


def test_without_any_it_says_so():
    assert "probably no zombies" in checkup_text(checkup([asleep(1, 5.0)]), 600.0, SERVER)


@pytest.mark.parametrize(
    ("counters", "said"),
    [
        ({}, "at most 60 at once since its start (67%)"),
        ({"Max_used_connections": 91}, "it has been full since its start"),
        ({"Max_used_connections": 80}, "the next spike may not fit"),
        ({"Connection_errors_max_connections": 1204}, "1,204 connects since its start, because it was full"),
        ({"Threads_connected": 12}, "up for 1 d 3 h"),
    ],
)
def test_it_says_how_near_the_limit_it_has_been(counters, said):
    assert said in checkup_text(checkup(**counters), 600.0, SERVER)


def test_many_zombies_get_advice_and_an_account_that_sees_little_gets_some():
    text = checkup_text(
        checkup([asleep(n, 700.0) for n in range(40)], False, Threads_connected=77), 600.0, SERVER
    )
    assert "Zombies hold 44% of all connections. A lease ends them" in text
    assert "sees its own connections only, 41 of 77: grant it PROCESS" in text


def test_its_scenario_has_as_many_connections_at_once(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(scenario_text(checkup(Max_used_connections=64)), "utf-8")
    plan = plan_with(str(file), {})
    assert (plan.model, plan.containers, plan.max_connections) == ("closed", 64, 90)
    assert tomllib.loads(file.read_text())["strategies"] == ["cached", "managed"]


@pytest.mark.parametrize("full", [False, True])
def test_a_peak_beyond_the_limit_is_the_limit(full):
    assert checkup(Max_used_connections=91 if full else 5).peak_count == (90 if full else 5)


def test_forty_planted_zombies_are_named_and_nothing_is_written(target):
    with ExitStack() as stack:
        planted = stack.enter_context(open_connections(target, 40))
        ids = {connection.thread_id() for connection in planted}
        with connections.session(target.admin) as cursor:
            before = _written(cursor)
            wait_until(
                lambda: ids <= {one.id for one in check_up(target.admin).zombies(1.0)},
                what="forty that sleep",
            )
            found = check_up(target.admin)
            assert _written(cursor) == before
    zombies = {one.id for one in found.zombies(1.0)}
    assert ids <= zombies
    text = checkup_text(found, 1.0, SERVER)
    assert all(str(number) in text for number in sorted(ids))
    group = found.groups()[0]
    assert (group.account, group.host) == (target.functions.user, "127.0.0.1")
    assert group.asleep_count >= 40


def _written(cursor):
    cursor.execute(
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_insert', 'Com_update', 'Com_create_table')"
    )
    return dict(cursor.fetchall())


def test_an_account_without_rights_sees_its_own_and_is_told_so(target):
    with connections.session(target.admin) as cursor:
        cursor.execute("CREATE USER 'poor'@'%' IDENTIFIED BY 'pOor1234'")
        cursor.execute(f"GRANT SELECT ON {target.functions.database}.* TO 'poor'@'%'")
        cursor.execute("GRANT SELECT ON `x, PROCESS`.* TO 'poor'@'%'")  # a database, and no right
        try:
            poor = Dsn(
                target.functions.host, target.functions.port, "poor", "pOor1234", target.functions.database
            )
            with open_connections(target, 5):
                found = check_up(poor)
        finally:
            cursor.execute("DROP USER 'poor'@'%'")
    assert not found.sees_all
    assert found.held == []


def test_the_command_takes_its_password_from_the_environment(inside, mariadb_target, monkeypatch):
    admin = mariadb_target.admin
    monkeypatch.setenv("LOADTEST_PASSWORD", admin.password)
    named = f"mysql://{admin.user}@{admin.host}:{admin.port}/{admin.database}"
    code, out, _ = inside.run("doctor", named, "--asleep", "1h")
    assert code == 0
    assert out.startswith("server    MariaDB ")
    assert admin.password not in out
    assert f"loadtest doctor {named} --scenario" in out
    code, out, _ = inside.run("doctor", named, "--scenario")
    assert code == 0
    assert tomllib.loads(out)["max-connections"] == 90


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--scenario"], 2, "--scenario is of a database"),
        (["mysql://u@127.0.0.1:1/d"], 3, "nothing listens on 127.0.0.1:1"),
        (["postgres://u@h/d"], 2, "malformed DSN"),
        (["mysql://u@127.0.0.1:1/d", "--asleep", "long"], 2, "asleep: not a duration"),
    ],
)
def test_what_cannot_be_is_said(inside, words, code, said):
    assert said in inside.refused(code, "doctor", *words)


def test_without_a_database_it_says_what_this_machine_has(inside, monkeypatch):
    began_s = time.monotonic()
    code, out, _ = inside.run("doctor")
    assert code == 0
    assert time.monotonic() - began_s < 60
    found = {line[:12].strip(): line[13:] for line in out.splitlines()}
    assert found.keys() >= {"Python", "open files", "Docker", "a server", "haproxy", "node", "chromium"}
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    _, out, _ = inside.run("doctor")
    assert "node         missing, which is for real functions in Node: apt-get install nodejs npm" in out
