import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace

import psutil
import pymysql
import pytest

from loadtest.server import census, connections, reset
from tests.server.pressure import open_connections, server_process
from tests.waiting import wait_until


def code_of(caught):
    return caught.value.args[0]


def count(target):
    with connections.session(target.admin) as cursor:
        return census.take(cursor, target).connections_count


def test_at_max_connections_the_next_connect_gets_1040_and_the_harness_still_gets_in(target):
    reset.reset(target)
    with open_connections(target, target.max_connections):
        with pytest.raises(pymysql.err.OperationalError) as caught:
            connections.connect(target.functions)
        assert code_of(caught) == 1040
        for _ in range(3):
            assert count(target) == target.max_connections
        with connections.session(target.admin), connections.session(target.admin):
            assert count(target) == target.max_connections


def test_with_the_monitor_connected_functions_get_what_the_target_says(target):
    reset.reset(target)
    with connections.session(target.admin), ExitStack() as stack:
        for _ in range(target.functions_max_connections):
            stack.enter_context(closing(connections.connect(target.functions)))
        with pytest.raises(pymysql.err.OperationalError, match="1040"):
            connections.connect(target.functions)
    assert target.functions_max_connections == {"mysql": 89, "mariadb": 90}[target.flavour]


def test_every_refused_connect_is_counted_and_on_mysql_nothing_else_is(target):
    reset.reset(target)
    stranger = replace(target.functions, password="wrong")

    def refused():
        with connections.session(target.admin) as cursor:
            return census.take(cursor, target).refused_count

    def refuse(_):
        with pytest.raises(pymysql.err.OperationalError, match="1040"):
            connections.connect(target.functions)

    before = refused()
    with open_connections(target, target.max_connections), ThreadPoolExecutor(8) as pool:
        list(pool.map(refuse, range(80)))
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        connections.connect_plain(stranger)
    socket.create_connection((stranger.host, stranger.port)).close()
    wrong_passwords = {"mysql": 0, "mariadb": 1}[target.flavour]
    assert refused() == before + 80 + wrong_passwords


def test_the_functions_account_has_no_right_to_the_extra_connection(target):
    with connections.session(target.functions) as cursor:
        cursor.execute("SHOW GRANTS")
        grants = " ".join(row[0] for row in cursor.fetchall())
    assert "SUPER" not in grants
    assert "CONNECTION" not in grants
    assert grants.count("GRANT") == 2


def test_the_functions_account_is_turned_away_at_mysqls_admin_address(mysql_target):
    dsn, admin = mysql_target.functions, mysql_target.admin
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connections.connect(type(dsn)(admin.host, admin.port, dsn.user, dsn.password, dsn.database))
    assert code_of(caught) == 1227


def test_everything_that_listens_listens_on_loopback_only(target):
    process = server_process(target)
    listening = {c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == {target.functions.port, target.admin.port}


def test_what_is_asked_of_a_target_is_json_and_has_its_numbers(target):
    variables = target.variables
    assert variables["max_connections"] == target.max_connections == 90
    assert variables["back_log"] == 1000
    assert variables["wait_timeout"] == 28800
    assert variables["connect_timeout"] == 10
    assert isinstance(variables["tls"], bool)
    assert target.path == "host"


def test_a_group_has_five_rows_and_the_ledger_shows_doubled_writes(target):
    with connections.session(target.functions) as cursor:
        for group in (1, 500, 1000):
            cursor.execute("SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (group,))
            assert len(cursor.fetchall()) == 5
        cursor.execute("SELECT COUNT(*) FROM loadtest_rows")
        assert cursor.fetchone() == (5000,)
        cursor.execute("INSERT INTO loadtest_ledger (invocation, amount) VALUES ('a', 1), ('a', 1)")
    reset.reset(target)
    with connections.session(target.functions) as cursor:
        cursor.execute("SELECT COUNT(*) FROM loadtest_ledger")
        assert cursor.fetchone() == (0,)


def test_a_reset_ends_connections_of_functions_and_mends_the_rows(target):
    with open_connections(target, 5) as left:
        left[0].cursor().execute("UPDATE loadtest_rows SET payload = 'spoilt' WHERE id = 7")
        with left[1].cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO loadtest_ledger (invocation, amount) VALUES ('open', 1)")
        reset.reset(target)
        wait_until(lambda: count(target) == 0)
    with connections.session(target.functions) as cursor:
        cursor.execute(
            "SELECT COUNT(*), COUNT(DISTINCT payload) FROM loadtest_rows WHERE payload LIKE 'row %'"
        )
        assert cursor.fetchone() == (5000, 5000)
        cursor.execute("SELECT COUNT(*) FROM loadtest_ledger")
        assert cursor.fetchone() == (0,)
