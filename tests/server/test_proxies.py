"""Proxies in front of a real server: MySQL Router, HAProxy, and one that the user names."""

import re
import socket
import ssl
import time
import urllib.error
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pymysql
import pytest

from loadtest.errors import ServerUnavailable, UsageError
from loadtest.manager import BehindProxy, ConnectionManager, Managed
from loadtest.manager.decision import Keep
from loadtest.server import census, compose, connections, haproxy, proxy_status
from loadtest.server.proxies import launched_proxies
from loadtest.settings.via import via_in
from tests.waiting import wait_until

FEW = 3  # clients, each of which has run a statement


@pytest.fixture(scope="module")
def router(router_image, mysql_target):  # noqa: ARG001 - asked for what it checks
    with launched_proxies([via_in("router")], mysql_target, "off") as proxies:
        yield proxies["router"]


@pytest.fixture
def queue(haproxies, target):  # noqa: ARG001 - asked for what it checks
    with launched_proxies([via_in("haproxy")], target, "off") as proxies:
        yield proxies["haproxy"]


def unchecked():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def arguments(proxy):
    """As functions connect through it."""
    tls = {"ssl": unchecked()} if proxy.tls == "on" else {"ssl_disabled": True}
    return {**proxy.dsn.connect_arguments(), **tls, "autocommit": True}


@pytest.fixture
def client(router):
    """Makes clients of the Router, which are gone at the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(pymysql.connect(**arguments(router))))


def ran(connection, *statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            cursor.fetchall()
    return connection


def on_the_server(target):
    with connections.session(target.admin) as cursor:
        return census.take(cursor, target).connections_count


def pinned_count(target, router):
    with connections.session(target.admin) as cursor:
        asleep_count = census.take(cursor, target).sleeping_count
    return asleep_count - proxy_status.ask(router.status).idle_count


# MySQL Router


def test_clients_of_router_share_the_servers_connections(mysql_target, router, client):
    clients = [ran(client(), "SELECT 1") for _ in range(20)]
    status = proxy_status.ask(router.status)
    assert status.clients_count == len(clients)
    assert on_the_server(mysql_target) <= 3
    assert status.idle_count >= 1


@pytest.mark.parametrize(
    ("cause", "count"),
    {
        "SELECT 1": 0,
        "SET SESSION wait_timeout = 1": 0,
        "SET SESSION sql_mode = 'ANSI'": 0,
        "SET NAMES latin1": 0,
        "SET @mine = 1": FEW,
        "CREATE TEMPORARY TABLE mine (id INT)": FEW,
        "SELECT GET_LOCK(CONCAT('lock', RAND()), 0)": FEW,
        "LOCK TABLES loadtest_rows READ": FEW,
        "PREPARE mine FROM 'SELECT 1'": FEW,
        "START TRANSACTION WITH CONSISTENT SNAPSHOT": FEW,
    }.items(),
    ids=lambda value: str(value),
)
def test_what_pins_a_connection_of_the_server_to_one_client(mysql_target, router, client, cause, count):
    wait_until(lambda: pinned_count(mysql_target, router) <= 0)
    clients = [ran(client(), cause) for _ in range(FEW)]
    wait_until(lambda: pinned_count(mysql_target, router) >= count)
    time.sleep(0.3)  # for one that would still come
    assert pinned_count(mysql_target, router) == count
    assert proxy_status.ask(router.status).clients_count == len(clients)


@pytest.mark.usefixtures("router_image")
def test_what_router_adds_to_a_statement_when_a_connection_changes_hands(mysql_target):
    """It makes the connection of one client ready for the other: docs/proxy.md names the count."""

    # A Router of its own, whose pool has no connection for each of the two, unless the second one comes
    # before the first has given its own back.
    with ExitStack() as stack:
        cursor = stack.enter_context(connections.session(mysql_target.admin))

        def questions_count():
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
            return int(cursor.fetchone()[1])

        proxies = stack.enter_context(launched_proxies([via_in("router")], mysql_target, "off"))
        one, other = (
            stack.enter_context(closing(pymysql.connect(**arguments(proxies["router"])))) for _ in range(2)
        )
        cost = []
        for client in (one, other) * 25:
            before = questions_count()
            ran(client, "SELECT 1")
            cost.append(questions_count() - before - 1)  # the second question about it counts, too
    # On a busy machine a client now and then finds its own again (1) or gets a new one (2). The count is the
    # whole server's: once the first client's was 4, nobody knows of what.
    assert min(cost) >= 1, cost
    assert Counter(one for one in cost if one > 1).most_common(1)[0][0] == 3, cost


def test_a_lease_ends_no_client_of_router(mysql_target, client):
    """Only connections that lie in its pool: the client has another one without noticing."""
    connection = ran(client(), "SET SESSION wait_timeout = 1", "SELECT 1")
    wait_until(lambda: on_the_server(mysql_target) == 0)
    ran(connection, "SELECT 1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@SESSION.wait_timeout")
        assert cursor.fetchone() == (1,)


def test_the_manager_keeps_its_connection_behind_router_and_elsewhere_its_lease(mysql_target, router):
    stats = {}
    direct = {**mysql_target.functions.connect_arguments(), "ssl_disabled": True}
    for name, config in (("router", arguments(router)), ("server", direct)):
        db = ConnectionManager(config)
        for _ in range(FEW):
            with db.invocation(3.0):
                db.query("SELECT 1")
            time.sleep(1.2)  # longer than its lease
        stats[name] = db.stats.connects_count
        db.quit()
    assert stats == {"router": 1, "server": FEW}


def test_managers_elsewhere_keep_their_policy_whatever_others_met(mysql_target, router):
    """All that choose nothing share their options: a fleet has thousands."""
    behind = ConnectionManager(arguments(router))
    elsewhere = ConnectionManager({**mysql_target.functions.connect_arguments(), "ssl_disabled": True})
    for db in (behind, elsewhere, behind, elsewhere):
        with db.invocation(3.0):
            db.query("SELECT 1")
    # A container's first invocation closes, behind a proxy it keeps.
    assert (behind.stats.connects_count, elsewhere.stats.connects_count) == (1, 2)
    assert ConnectionManager(arguments(router))._options is ConnectionManager({"host": "x"})._options
    behind.quit()
    elsewhere.quit()


def test_only_routers_greeting_changes_the_policy():
    policy = Managed(max_retries=4, patience_s=1.5, lease_s=2, margin_s=0.3)
    assert policy.for_server("9.7.4-2") is policy
    assert policy.for_server("11.8.1-MariaDB") is policy
    assert policy.for_server("9.7.4-router") == BehindProxy(2, 4, 1.5, 0.3)
    assert BehindProxy().for_server("9.7.4-router") == BehindProxy()


def test_a_policy_of_ones_own_is_not_replaced():
    class Mine(Managed):
        def decide(self, situation):
            del situation
            return Keep()

    policy = Mine()
    assert policy.for_server("9.7.4-router") is policy


def test_a_manager_that_comes_to_a_server_again_has_its_policy_again(mysql_target, router):
    db = ConnectionManager(arguments(router))
    with db.invocation(3.0):
        db.query("SELECT 1")
    db.quit()
    db.config({**mysql_target.functions.connect_arguments(), "ssl_disabled": True})
    with db.invocation(3.0):
        db.query("SELECT 1")
        assert db.query("SELECT @@SESSION.wait_timeout") == [(1,)]
    time.sleep(1.2)
    with db.invocation(3.0):
        db.query("SELECT 1")
    assert db.stats.connects_count == 3
    db.quit()


@pytest.mark.parametrize(
    "wrong", [{"lease_s": 0}, {"max_retries": -1}, {"patience_s": -1}, {"margin_s": "1"}]
)
def test_a_policy_that_cannot_be_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BehindProxy(**wrong)


def test_router_is_refused_in_front_of_mariadb(mariadb_target):
    with (
        pytest.raises(ServerUnavailable, match="does not work with mariadb: take MySQL, or leave out --via"),
        launched_proxies([via_in("router")], mariadb_target, "off"),
    ):
        pass


def test_a_missing_image_of_router_is_said_with_the_variable_that_names_another(mysql_target, monkeypatch):
    monkeypatch.setenv("MYSQL_ROUTER_IMAGE", "127.0.0.1:1/none:9.7")
    with (
        pytest.raises(ServerUnavailable, match="check the network and MYSQL_ROUTER_IMAGE, or leave out"),
        launched_proxies([via_in("router")], mysql_target, "off"),
    ):
        pass


@pytest.mark.usefixtures("haproxies", "router_image")
def test_a_proxy_is_gone_afterwards(mysql_target):
    def listening(proxy):
        port = proxy.dsn.port
        return {c.pid for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN"}

    with launched_proxies([via_in("router"), via_in("haproxy")], mysql_target, "off") as proxies:
        (routers_pid,) = listening(proxies["router"])
        container = re.search(r"[0-9a-f]{64}", Path(f"/proc/{routers_pid}/cgroup").read_text())[0]
        pids = {routers_pid, *listening(proxies["haproxy"])}
        for proxy in proxies.values():
            assert proxy_status.ask(proxy.status).clients_count == 0
    assert container not in compose.docker(["ps", "--all", "--quiet", "--no-trunc"]).split()
    assert not any(map(psutil.pid_exists, pids))
    for proxy in proxies.values():
        with pytest.raises(OSError, match=r"refused|No such file"):
            proxy_status.ask(proxy.status)


def test_what_proxies_say_is_for_their_owner(router, queue):
    for port in (router.dsn.port, urlsplit(router.status).port, queue.dsn.port):
        listening = [
            c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr.port == port and not c.raddr
        ]
        assert set(listening) == {"127.0.0.1"}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        proxy_status.ask(re.sub("//.*@", "//monitor:guessed@", router.status))
    folder = Path(queue.status).parent
    assert folder.stat().st_mode & 0o077 == 0


# HAProxy


def test_haproxy_lets_in_as_many_as_there_are_connections_and_the_others_wait(target, queue):
    most = target.functions_max_connections - haproxy.RESERVE
    with ExitStack() as stack:
        for _ in range(most):
            stack.enter_context(closing(pymysql.connect(**arguments(queue))))
        with pytest.raises(pymysql.err.OperationalError, match="timed out"):
            pymysql.connect(**arguments(queue), connect_timeout=1, read_timeout=1)
        waits = socket.create_connection((queue.dsn.host, queue.dsn.port))
        try:
            wait_until(lambda: proxy_status.ask(queue.status).waiting_count == 1)
            seen = proxy_status.ask(queue.status)
            assert (seen.connections_count, seen.clients_count, seen.idle_count) == (most, most + 1, None)
        finally:
            waits.close()
    wait_until(lambda: proxy_status.ask(queue.status).connections_count == 0)


def test_without_haproxy_the_package_is_named(target, monkeypatch, tmp_path):
    monkeypatch.setattr(haproxy, "PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(ServerUnavailable, match=r"haproxy is not installed .*apt-get install haproxy"),
        launched_proxies([via_in("haproxy")], target, "off"),
    ):
        pass


# A proxy of the user's own


def address(dsn):
    return f"mysql://{dsn.user}@{dsn.host}:{dsn.port}/{dsn.database}"


def test_a_proxy_of_ones_own_is_used_as_it_is(target, queue, monkeypatch):
    monkeypatch.setenv("LOADTEST_PASSWORD", target.functions.password)
    via = via_in(f"mine={address(queue.dsn)}")
    with launched_proxies([via], target, "on") as proxies:
        assert proxies["mine"] == (queue.dsn, "on", "given", "")


def test_a_proxy_of_another_server_is_refused(target, mysql_target, mariadb_target, monkeypatch):
    other = mysql_target if target is mariadb_target else mariadb_target
    monkeypatch.setenv("LOADTEST_PASSWORD", other.functions.password)
    with (
        pytest.raises(UsageError, match="proxy 'mine' leads to another server or database than --server"),
        launched_proxies([via_in(f"mine={address(other.functions)}")], target, "off"),
    ):
        pass


def test_a_proxy_of_another_database_of_the_same_server_is_refused(mysql_target, monkeypatch):
    """Also if it has tables like ours, of an earlier run."""
    monkeypatch.setenv("LOADTEST_PASSWORD", mysql_target.admin.password)
    other = replace(mysql_target.admin, port=mysql_target.functions.port, database="other")
    with connections.session(mysql_target.admin) as cursor:
        cursor.execute("CREATE DATABASE other")
        try:
            cursor.execute("CREATE TABLE other.loadtest_rows AS SELECT * FROM loadtest.loadtest_rows")
            with (
                pytest.raises(UsageError, match="leads to another server or database"),
                launched_proxies([via_in(f"mine={address(other)}")], mysql_target, "off"),
            ):
                pass
        finally:
            cursor.execute("DROP DATABASE other")


@pytest.mark.usefixtures("haproxies")
def test_haproxy_starts_where_few_files_may_be_open(mariadb_target, monkeypatch):
    monkeypatch.setattr(haproxy, "open_files_limit", lambda: 4096)
    with launched_proxies([via_in("haproxy")], mariadb_target, "off") as proxies:
        (configuration,) = Path(proxies["haproxy"].status).parent.glob("*.cfg")
        assert "maxconn 1998\n" in configuration.read_text("utf-8")


def test_a_proxy_that_does_not_answer_is_said(mariadb_target, monkeypatch):
    monkeypatch.setenv("LOADTEST_PASSWORD", "x")
    with (
        pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:1"),
        launched_proxies([via_in("mine=mysql://a@127.0.0.1:1/d")], mariadb_target, "off"),
    ):
        pass
