import socket
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable, UsageError
from loadtest.server import connections, launch, reset
from loadtest.server.choice import ServerChoice
from tests.server.pressure import full, open_connections, start


@pytest.fixture
def schema(target):
    """A schema apart, so that dropping our tables there leaves the session's own in peace."""
    with connections.session(target.admin) as cursor:
        cursor.execute("CREATE DATABASE loadtest_given")
        yield replace(target.admin, database="loadtest_given", port=target.functions.port)
        cursor.execute("DROP DATABASE loadtest_given")


@pytest.fixture
def account(target, schema):
    """Makes accounts with certain rights."""
    made = []
    with connections.session(target.admin) as cursor:

        def make(name, *grants):
            cursor.execute(f"CREATE USER {name} IDENTIFIED BY 'secret'")
            made.append(name)
            for grant in grants:
                cursor.execute(f"GRANT {grant} TO {name}")
            return Dsn(schema.host, schema.port, name, "secret", schema.database)

        yield make
        for name in made:
            cursor.execute(f"DROP USER {name}")


def refusal(dsn):
    text = dsn if isinstance(dsn, str) else dsn.url()
    began = time.monotonic()
    with pytest.raises(ServerUnavailable) as caught, launch.launched(ServerChoice.parse(text), 90):
        pass
    assert time.monotonic() - began < 20.0  # 5 s, and as long as a busy machine stands still
    message = str(caught.value)
    assert "\n" not in message
    assert "secret" not in message
    return message


def tables(target):
    with connections.session(target.admin) as cursor:
        cursor.execute("SHOW TABLES FROM loadtest_given")
        return {row[0] for row in cursor.fetchall()}


ALL = "ALL ON loadtest_given.*"


def test_a_given_server_is_used_as_it_is_and_our_tables_are_dropped_afterwards(target, account):
    dsn = account("plain", ALL)
    with launch.launched(ServerChoice.parse(dsn.url()), 12345) as given:
        assert given.kind == "given"
        assert given.path == "host"
        assert given.max_connections == 90
        assert given.admin == given.functions == dsn
        assert given.functions_max_connections == 89
        assert tables(target) == {"loadtest_rows", "loadtest_ledger"}
        assert any("holds one of the 90 connections" in warning for warning in given.warnings)
        reset.reset(given)
    assert tables(target) == set()


def test_our_tables_are_dropped_when_the_run_fails_too(target, account):
    dsn = account("plain", ALL)
    with pytest.raises(KeyboardInterrupt), launch.launched(ServerChoice.parse(dsn.url()), 90):
        raise KeyboardInterrupt
    assert tables(target) == set()


def test_an_admin_account_is_kept_apart(account, monkeypatch):
    dsn, admin = account("plain", ALL), account("keeper", ALL, "PROCESS ON *.*")
    monkeypatch.setenv("LOADTEST_ADMIN_DSN", admin.url())
    with launch.launched(ServerChoice.parse(dsn.url()), 90) as given:
        assert given.admin.user == "keeper"
        assert not any("monitor" in warning for warning in given.warnings)
        monkeypatch.setattr(reset, "GIVEN_RESET_S", 0.3)
        with open_connections(given, 2) as left:
            reset.reset(given)  # waits, and kills nobody on a server that is not ours
            left[0].ping()


def test_an_admin_account_that_cannot_see_the_functions_is_refused(account, monkeypatch):
    dsn, admin = account("plain", ALL), account("blind", ALL)
    monkeypatch.setenv("LOADTEST_ADMIN_DSN", admin.url())
    assert "'blind' cannot see the connections of 'plain': GRANT PROCESS" in refusal(dsn)


def test_connections_of_others_are_a_warning(target, account):
    dsn = account("plain", ALL)
    with open_connections(target, 3), launch.launched(ServerChoice.parse(dsn.url()), 90) as given:
        assert any("connections of other clients are on the server" in warning for warning in given.warnings)


def test_missing_rights_are_named(target, account):
    reader = account("reader", "SELECT ON loadtest_given.*")
    message = refusal(reader)
    assert "'reader' may not create and fill tables in 'loadtest_given' (1142" in message
    assert tables(target) == set()


def test_functions_without_the_right_to_write_are_refused(target, account, monkeypatch):
    dsn, admin = account("reader", "SELECT ON loadtest_given.*"), account("keeper", ALL, "PROCESS ON *.*")
    monkeypatch.setenv("LOADTEST_ADMIN_DSN", admin.url())
    assert "'reader' may not read and write the tables" in refusal(dsn)
    assert tables(target) == set()


def test_a_wrong_password_is_said(account):
    dsn = replace(account("plain", ALL), password="secret-and-wrong")
    assert "refuses the password of 'plain' (1045)" in refusal(dsn)


def test_a_missing_password_comes_from_the_environment(account, monkeypatch):
    dsn = replace(account("plain", ALL), password="")
    assert "put it into LOADTEST_PASSWORD" in refusal(dsn)
    monkeypatch.setenv("LOADTEST_PASSWORD", "secret")
    with launch.launched(ServerChoice.parse(dsn.url()), 90) as given:
        assert given.functions.password == "secret"


def test_a_database_that_is_not_there_is_said(account):
    message = refusal(replace(account("plain", ALL), database="nowhere"))
    assert "'plain' cannot use the database 'nowhere'" in message


def test_a_full_server_is_said(target, account):
    dsn = account("plain", ALL)
    with full(target):
        assert "has no connection left (1040)" in refusal(dsn)


def test_a_port_where_nothing_listens_is_said():
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert f"nothing listens on 127.0.0.1:{port}" in refusal(f"mysql://a:b@127.0.0.1:{port}/c")


def test_an_unknown_host_is_said():
    assert "the host 'nowhere.invalid' is unknown here" in refusal("mysql://a:b@nowhere.invalid/c")


@pytest.fixture
def mute_port():
    """Of a server that takes connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        yield mute.getsockname()[1]


def test_a_server_that_says_nothing_is_given_up_after_5_s(mute_port):
    assert f"127.0.0.1:{mute_port} did not answer in 5 s" in refusal(f"mysql://a:b@127.0.0.1:{mute_port}/c")


def test_so_it_is_where_the_connections_own_time_is_over_first(mute_port):
    said = rf"127\.0\.0\.1:{mute_port} did not answer in 0\.2 s"
    with (
        pytest.raises(ServerUnavailable, match=said),
        connections.session(Dsn("127.0.0.1", mute_port, "a", "b"), 0.2),
    ):
        pass


def test_something_that_is_no_mysql_server_is_said():
    with closing(socket.create_server(("127.0.0.1", 0))) as other:

        def greet():
            client, _ = other.accept()
            client.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            client.close()

        threading.Thread(target=greet, daemon=True).start()
        port = other.getsockname()[1]
        assert f"no connection to 127.0.0.1:{port}" in refusal(f"mysql://a:b@127.0.0.1:{port}/c")


@pytest.mark.parametrize(
    "text", ["mysql://host/db", "postgres://a:b@c/d", "mysql://a@host", "mysql://a@b:x/c"]
)
def test_a_malformed_dsn_is_a_usage_error(text):
    with pytest.raises(UsageError, match="malformed DSN"):
        start(text, 90)
