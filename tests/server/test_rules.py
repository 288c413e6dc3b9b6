"""Servers and accounts with rules of their own: worked with, or refused before the run with a reason."""

from contextlib import contextmanager
from dataclasses import replace

import pymysql
import pytest

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server import connections, launch, reset
from loadtest.server.choice import ServerChoice
from loadtest.server.restrictions import check_tls, refused
from tests.places import sentence

PLAIN, OTHER = "rules_plain", "loadtest_rules"


@pytest.fixture
def account(target):
    """An ordinary one with a schema of its own; called with what its CREATE USER says more."""
    with connections.session(target.admin) as cursor:
        cursor.execute(f"CREATE DATABASE {OTHER}")

        def make(more: str = "") -> Dsn:
            cursor.execute(f"CREATE USER {PLAIN} IDENTIFIED BY 'secret' {more}")
            cursor.execute(f"GRANT ALL ON {OTHER}.* TO {PLAIN}")
            return replace(target.functions, user=PLAIN, password="secret", database=OTHER)

        yield make
        cursor.execute(f"DROP DATABASE {OTHER}")
        cursor.execute(f"DROP USER IF EXISTS {PLAIN}")


@contextmanager
def ruled(target, **variables):
    """The server's defaults, for everybody who connects within."""
    with connections.session(target.admin) as cursor:
        before = {}
        try:
            for name, value in variables.items():
                cursor.execute(f"SELECT @@GLOBAL.{name}")
                before[name] = cursor.fetchone()[0]
                cursor.execute(f"SET GLOBAL {name} = %s", (value,))
            yield
        finally:
            for name, value in reversed(before.items()):
                cursor.execute(f"SET GLOBAL {name} = %s", (value,))


def on_each(both, mysql=(), mariadb=()):
    """Cases for the servers that know the variable; the first is the fixture ``target``'s parameter."""
    return [
        *((flavour, *case) for case in both for flavour in ("mysql", "mariadb")),
        *(("mysql", *case) for case in mysql),
        *(("mariadb", *case) for case in mariadb),
    ]


WORKED_WITH = on_each(
    [
        ({"sql_mode": "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE"},),
        ({"sql_mode": "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ONLY_FULL_GROUP_BY"},),
        ({"sql_mode": ""},),
        ({"default_storage_engine": "MEMORY"},),
        ({"autocommit": 0},),
        ({"init_connect": "SET autocommit = 0"},),
        ({"wait_timeout": 1, "interactive_timeout": 1},),
        ({"sql_safe_updates": 1},),
        ({"character_set_server": "utf16"},),
    ],
    mysql=[
        ({"sql_require_primary_key": 1},),
        ({"sql_generate_invisible_primary_key": 1},),
        ({"max_execution_time": 1},),
    ],
)


@pytest.mark.parametrize(("target", "variables"), WORKED_WITH, indirect=["target"], ids=str)
def test_a_servers_own_rules_are_worked_with(target, account, variables):
    dsn = account()
    with ruled(target, **variables), launch.launched(ServerChoice.parse(dsn.url()), 90) as given:
        reset.reset(given)
        with connections.session(target.admin) as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {OTHER}.loadtest_rows")
            assert cursor.fetchone() == (5000,)


def test_connections_of_the_harness_do_not_follow_the_defaults_for_applications(target):
    limits = {"wait_timeout": 1, "sql_select_limit": 1, "sql_mode": "ANSI_QUOTES"}
    limits["max_statement_time" if target.flavour == "mariadb" else "max_execution_time"] = 1
    with ruled(target, **limits), connections.session(target.admin) as cursor:
        for name, value in limits.items():
            cursor.execute(f"SELECT @@SESSION.{name}")
            assert cursor.fetchone()[0] != value, name


def refusal(dsn):
    with pytest.raises(ServerUnavailable) as caught, launch.launched(ServerChoice.parse(dsn.url()), 90):
        pass
    return sentence(str(caught.value))


FORBIDDEN = on_each(
    [
        ({"read_only": 1}, "(1290 ER_OPTION_PREVENTS_STATEMENT); name a server that can be written to"),
        ({"max_allowed_packet": 1024}, "max_allowed_packet"),
        ({"sql_select_limit": 1}, "1 rows where there are 5 (sql_select_limit?)"),
        ({"init_connect": "SELECT 1 FROM nowhere"}, "init_connect command failed"),
    ],
    mysql=[
        ({"read_only": 1, "super_read_only": 1}, "name a server that can be written to"),
        ({"transaction_read_only": 1}, "READ ONLY transaction (1792"),
        ({"max_user_connections": 1}, f"gives '{PLAIN}' no more connections (1203"),
        ({"offline_mode": 1}, "offline mode"),
    ],
    mariadb=[({"tx_read_only": 1}, "READ ONLY transaction (1792")],
)


@pytest.mark.parametrize(("target", "variables", "said"), FORBIDDEN, indirect=["target"], ids=str)
def test_what_a_rule_forbids_is_said_in_the_servers_words_and_not_as_a_missing_right(
    target, account, variables, said
):
    dsn = account()
    with ruled(target, **variables):
        message = refusal(dsn)
    assert said in message
    assert "grant" not in message.lower()


def test_a_missing_right_is_still_said_as_one():
    error = pymysql.OperationalError(1142, "CREATE command denied to user 'a'@'b' for table 'c'")
    message = refused(error, "'a' may not create tables", "grant it CREATE")
    assert message == "'a' may not create tables (1142 ER_TABLEACCESS_DENIED_ERROR): grant it CREATE"


def test_the_limit_of_an_account_is_what_functions_can_have(target, account, monkeypatch):
    dsn = account("WITH MAX_USER_CONNECTIONS 10")
    with launch.launched(ServerChoice.parse(dsn.url()), 90) as given:
        assert given.functions_max_connections == 9, "the monitor has one"
        assert any("has 10 of the 90 connections at most" in warning for warning in given.warnings)
    monkeypatch.setenv("LOADTEST_ADMIN_DSN", target.admin.url())
    with launch.launched(ServerChoice.parse(dsn.url()), 90) as given:
        assert given.functions_max_connections == 10


# TLS only


@pytest.mark.parametrize(
    ("variables", "more"), [({"require_secure_transport": 1}, ""), ({}, "REQUIRE SSL")], ids=str
)
def test_where_only_tls_is_let_in_functions_have_to_come_with_it(target, account, variables, more):
    dsn = account(more)
    with ruled(target, **variables), launch.launched(ServerChoice.parse(dsn.url()), 90) as given:
        reset.reset(given)
        check_tls(given, "on")
        with pytest.raises(ServerUnavailable) as caught:
            check_tls(given, "off")
    said = sentence(str(caught.value))
    assert f"lets '{PLAIN}' in with TLS only" in said
    assert said.endswith("add --tls on")


def test_a_run_on_such_a_server_is_refused_before_it_begins_and_the_option_is_named(place, mariadb_target):
    env = {"LOADTEST_DSN": mariadb_target.functions.url(), "LOADTEST_ADMIN_DSN": mariadb_target.admin.url()}
    words = ("--headless", "-u", "5", "--duration", "1s")
    locustfile = launch.__file__.replace("server/launch.py", "../locustfiles/clients.py")
    with ruled(mariadb_target, require_secure_transport=1):
        ran = place.run("-f", locustfile, *words, module="locust", env=env)
    assert ran.code == 3, ran
    assert "add --tls on" in ran.err
    assert place.files() == {}
