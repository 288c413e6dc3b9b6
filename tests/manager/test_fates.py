"""The table of errors in docs/manager.md: each row against a real server."""

import os
import secrets
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pymysql
import pytest

from loadtest.manager import AnswerLost, ConnectionManager, Managed, NoConnection, QueryTimeout
from loadtest.manager.errors import UNKNOWN
from loadtest.manager.liveness import is_readable
from loadtest.server.reach import connect, session
from tests.manager.acting import in_a_moment, killed_in_the_middle, own_id, relayed
from tests.server.pressure import server_process
from tests.waiting import wait_until

INSERT = "INSERT INTO loadtest_ledger (invocation, amount) VALUES (%s, 1)"
SOON = Managed(patience_s=0.5)


# Refused


@contextmanager
def account(admin, target, limits="MAX_USER_CONNECTIONS 0"):
    """A new account with limits of its own."""
    name, password = f"limited_{secrets.token_hex(4)}", secrets.token_hex(8)
    admin.execute(f"CREATE USER {name}@'%%' IDENTIFIED BY %s WITH {limits}", (password,))
    admin.execute(f"GRANT ALL ON {target.functions.database}.* TO {name}@'%'")
    try:
        yield {
            **target.functions.connect_arguments(),
            "user": name,
            "password": password,
            "ssl_disabled": True,
        }
    finally:
        admin.execute(f"DROP USER {name}@'%'")


def test_the_limit_of_an_account_is_waited_out(admin, target):
    with account(admin, target, "MAX_USER_CONNECTIONS 2") as config:
        assert_waited_out(config, 1226)


def test_the_limit_of_every_account_is_waited_out(mysql_target):
    """MariaDB lets nobody change this one at run time."""
    with session(mysql_target.admin) as admin, account(admin, mysql_target) as config:
        admin.execute("SET GLOBAL max_user_connections = 2")
        try:
            assert_waited_out(config, 1203)
        finally:
            admin.execute("SET GLOBAL max_user_connections = 0")


def assert_waited_out(config, code):
    """With two connections taken, the most that there may be."""
    taken = [pymysql.connect(**config) for _ in range(2)]
    with pytest.raises(NoConnection) as raised:
        ConnectionManager(config, policy=SOON).query("SELECT 1")
    assert raised.value.args[0] == code
    db = ConnectionManager(config)
    with in_a_moment(taken.pop().close):
        assert db.query("SELECT 1") == [(1,)]
    db.quit()
    taken.pop().close()


def test_a_limit_that_counts_by_the_hour_is_not_waited_out(admin, target):
    """1226, too; only its text tells."""
    with account(admin, target, "MAX_CONNECTIONS_PER_HOUR 1") as config:
        pymysql.connect(**config).close()
        db, started = ConnectionManager(config), time.monotonic()
        with pytest.raises(pymysql.OperationalError) as raised:
            db.query("SELECT 1")
        assert raised.value.args[0] == 1226
        assert db.stats.refused_count == 1
        assert time.monotonic() - started < 2.0


def test_the_limit_of_an_account_counts_its_own_connections_only(admin, target):
    """Others crowd the server to three quarters: that is not this account's pressure, nor the reverse."""
    others = [connect(target.functions) for _ in range(60)]
    try:
        with account(admin, target, "MAX_USER_CONNECTIONS 4") as config:
            policy = Managed(idle_ratio=0.0, calm_ratio=0.8, look_every_s=0.0, look_every_count=1)
            db = ConnectionManager(config, policy=policy)
            held = [pymysql.connect(**config) for _ in range(2)]
            invoke(db)
            assert db.get_client() is not None  # 3 of its own 4, not 63
            held.append(pymysql.connect(**config))
            invoke(db)
            assert db.get_client() is None  # 4 of 4, not 64 of 90
    finally:
        for connection in others:
            connection.close()
        for connection in held:
            connection.close()
        db.quit()


def invoke(db, times=2):
    for _ in range(times):
        with db.invocation():
            db.query("SELECT 1")


# Definite: the statement took no effect


@pytest.fixture
def rows(admin):
    """A table of three rows, 0 each."""
    admin.execute("DROP TABLE IF EXISTS fates")
    admin.execute("CREATE TABLE fates (id INT PRIMARY KEY, n INT NOT NULL, filler INT NOT NULL DEFAULT 0)")
    admin.execute("INSERT INTO fates (id, n) VALUES (1, 0), (2, 0), (3, 0)")
    yield lambda: values(admin)
    admin.execute("DROP TABLE fates")


def values(cursor):
    cursor.execute("SELECT n FROM fates ORDER BY id")
    return [row[0] for row in cursor.fetchall()]


@contextmanager
def locking(target, *statements):
    """Somebody else's open transaction."""
    other = connect(target.functions)
    other.begin()
    try:
        with other.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            yield other
    finally:
        other.rollback()
        other.close()


@pytest.mark.parametrize("retries", [0, 3])
def test_a_lock_wait_timeout(made, target, rows, retries):
    """1205."""
    db = made(max_query_retries=retries, session_variables={"innodb_lock_wait_timeout": 1})
    with locking(target, "UPDATE fates SET n = 5 WHERE id = 2") as other:
        if retries:
            with in_a_moment(other.rollback, 1.4):
                assert db.query("UPDATE fates SET n = n + 1").affected_rows == 3
            assert rows() == [1, 1, 1]
        else:
            with pytest.raises(pymysql.OperationalError) as raised:
                db.query("UPDATE fates SET n = n + 1")
            assert raised.value.args[0] == 1205
            other.rollback()
            assert rows() == [0, 0, 0]
    assert db.query("SELECT 1") == [(1,)]


@pytest.mark.parametrize("retries", [0, 3])
def test_a_deadlock(made, target, rows, admin, retries):
    """1213: InnoDB takes the transaction that has changed least, which is ours."""
    admin.execute("INSERT INTO fates (id, n) VALUES " + ", ".join(f"({i}, 0)" for i in range(10, 300)))
    db = made(max_query_retries=retries)
    with locking(target, "UPDATE fates SET filler = 1 WHERE id >= 2") as other:

        def cross():
            wait_until(lambda: waits_for_a_lock(admin))
            with other.cursor() as cursor:
                cursor.execute("UPDATE fates SET filler = 1 WHERE id = 1")
            other.commit()

        with in_a_moment(cross):
            if retries:
                assert db.query("UPDATE fates SET n = n + 1 WHERE id <= 2").affected_rows == 2
            else:
                with pytest.raises(pymysql.OperationalError) as raised:
                    db.query("UPDATE fates SET n = n + 1 WHERE id <= 2")
                assert raised.value.args[0] == 1213
    assert rows()[:3] == ([1, 1, 0] if retries else [0, 0, 0])
    assert db.stats.query_retries_count == (1 if retries else 0)


def waits_for_a_lock(admin):
    admin.execute("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
    return admin.fetchone()[0] == 1


@pytest.mark.parametrize("retries", [0, 3])
def test_an_interrupted_statement(made, target, rows, admin, retries):
    """1317."""
    db = made(Managed(lease_s=30), max_query_retries=retries, query_retry_backoff=lambda *_: 0.3)
    identity = own_id(db)
    with locking(target, "UPDATE fates SET n = 5 WHERE id = 2") as other:

        def interrupt():
            admin.execute(f"KILL QUERY {identity}")
            other.rollback()

        with in_a_moment(interrupt):
            if retries:
                assert db.query("UPDATE fates SET n = n + 1").affected_rows == 3
            else:
                with pytest.raises(pymysql.MySQLError) as raised:
                    db.query("UPDATE fates SET n = n + 1")
                assert raised.value.args[0] == 1317
    assert rows() == ([1, 1, 1] if retries else [0, 0, 0])
    assert own_id(db) == identity


# Before sending


def test_a_port_that_refuses_is_tried_until_the_deadline(config):
    """2003: as of a server that restarts."""
    db = ConnectionManager({**config, "port": 1})
    started = time.monotonic()
    with pytest.raises(NoConnection, match="tries") as raised, db.invocation(0.8):
        db.query("SELECT 1")
    assert raised.value.args[0] == 2003
    assert db.stats.refused_count > 3
    assert time.monotonic() - started < 0.8


def test_a_name_that_does_not_resolve_is_not_tried_again():
    """2003, too."""
    db = ConnectionManager(host="nowhere.invalid", user="me", password="p")
    with pytest.raises(pymysql.OperationalError) as raised:
        db.query("SELECT 1")
    assert raised.value.args[0] == 2003
    assert db.stats.refused_count == 1


class Treacherous(pymysql.connections.Connection):
    """Its path is reset between the look at the socket and the write."""

    before_the_write = None  # is called, and its effect waited for

    def _execute_command(self, command, sql):
        if self.before_the_write is not None:
            action, self.before_the_write = self.before_the_write, None
            action()
            wait_until(lambda: is_readable(self._sock))
        super()._execute_command(command, sql)


def test_a_statement_that_could_not_be_written_runs_once_on_another_connection(target, config, ledger):
    """2006: no whole statement reached the server, so it is sent again, a write as well."""
    with relayed(target.functions) as relay:
        db = ConnectionManager({**config, "port": relay.port}, library=Treacherous)
        db.connect()
        db.get_client().before_the_write = relay.reset
        assert db.query(INSERT, ("once",)).affected_rows == 1
        assert ledger() == ["once"]
        assert db.stats.connects_count == 2
        db.quit()


def test_not_so_in_a_transaction(target, config, ledger):
    with relayed(target.functions) as relay:
        db = ConnectionManager({**config, "port": relay.port}, library=Treacherous)
        with pytest.raises(pymysql.OperationalError) as raised, db.transaction() as transaction:
            transaction.query(INSERT, ("undone",))
            db.get_client().before_the_write = relay.reset
            transaction.query(INSERT, ("never",))
        assert raised.value.args[0] == 2006
        assert ledger() == []


# Unknown


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_reset_in_the_middle_of_an_answer(target, config, ledger, idempotent):
    """2013 after the statement ran: only the caller knows whether it may run twice."""
    with relayed(target.functions) as relay:
        db = ConnectionManager({**config, "port": relay.port})
        db.connect()
        relay.cut_after = 3
        if idempotent:
            assert db.query(INSERT, ("twice",), idempotent=True).affected_rows == 1
            assert ledger() == ["twice", "twice"]
        else:
            with pytest.raises(AnswerLost, match="may have run, or not") as raised:
                db.query(INSERT, ("ran",))
            assert raised.value.args[0] == 2013
            assert ledger() == ["ran"]
        assert db.query("SELECT 1") == [(1,)]
        db.quit()


def test_a_kill_in_the_middle(made, admin, target, ledger):
    """2013, as MySQL shows it; MariaDB documents 1927."""
    db = made()
    with killed_in_the_middle(admin, own_id(db)), pytest.raises(AnswerLost) as raised:
        db.query("INSERT INTO loadtest_ledger (invocation, amount) SELECT 'slow', SLEEP(3)")
    assert raised.value.args[0] in UNKNOWN
    # MySQL's SLEEP just ends early, and the row comes in; MariaDB gives the statement up.
    wait_until(lambda: ledger() == (["slow"] if target.flavour == "mysql" else []))


def test_a_statement_that_outlives_its_time(made):
    """The caller gets its error in time, the connection is replaced, the next query works."""
    db = made()
    identity, started = own_id(db), time.monotonic()
    with pytest.raises(QueryTimeout, match="no answer within 0"):
        db.query("SELECT SLEEP(3)", timeout_s=0.3)
    assert time.monotonic() - started < 1.5
    assert own_id(db) != identity
    assert db.query("SELECT SLEEP(0.5)", timeout_s=3.0) == [(0,)]
    assert db.query("SELECT SLEEP(0.5)") == [(0,)]


def test_what_was_lost_stays_unknown_where_no_connection_is_to_be_had_afterwards(target, config, ledger):
    """Nobody may say that nothing was sent."""
    with relayed(target.functions) as relay:
        db = ConnectionManager({**config, "port": relay.port}, policy=Managed(patience_s=0.3))
        db.connect()
        relay.cut_after = 3
        relay.accepts = False
        with pytest.raises(AnswerLost, match="may have run, or not") as raised:
            db.query(INSERT, ("ran",), idempotent=True)
        assert isinstance(raised.value.__cause__, NoConnection)
        assert ledger() == ["ran"]


def test_a_statement_that_ran_out_of_time_is_not_sent_again(made):
    """The first one is still running, with its locks."""
    db, started = made(), time.monotonic()
    with pytest.raises(QueryTimeout):
        db.query("SELECT SLEEP(5)", timeout_s=0.4, idempotent=True)
    assert time.monotonic() - started < 0.8


def test_a_procedure_is_not_retried_since_half_of_it_may_stay(made, admin, target, ledger):
    database = target.functions.database
    admin.execute(f"DROP PROCEDURE IF EXISTS {database}.half")
    admin.execute(
        f"CREATE PROCEDURE {database}.half() BEGIN INSERT INTO loadtest_ledger (invocation, amount) VALUES "
        "('half', 1); SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if'; END"
    )
    try:
        db = made(max_query_retries=3, query_retry_backoff=lambda *_: 0.0)
        with pytest.raises(pymysql.MySQLError, match="as if"):
            db.query("CALL half()")
        assert ledger() == ["half"]
    finally:
        admin.execute(f"DROP PROCEDURE {database}.half")


# Servers that go


@contextmanager
def frozen(target):
    process = server_process(target)
    os.kill(process.pid, signal.SIGSTOP)
    # One thread takes the signal and stops the others: on a busy machine they go on for a while.
    wait_until(lambda: all(state == "T" for state in thread_states(process.pid)))
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def thread_states(pid):
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return [stat.rpartition(")")[2].split()[0] for stat in stats]


def test_a_frozen_server_is_told_before_the_deadline(own_mariadb):
    """To a statement under way and to a connect alike: its kernel still accepts."""
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    db, fresh = ConnectionManager(config, manage=False), ConnectionManager(config)
    invoke(db)
    with frozen(own_mariadb):
        for manager, kind in ((db, QueryTimeout), (fresh, NoConnection)):
            started = time.monotonic()
            with pytest.raises(kind), manager.invocation(1.0):
                manager.query("SELECT 1")
            assert time.monotonic() - started < 1.0
    for manager in (db, fresh):
        invoke(manager)
        manager.quit()


def test_a_transaction_does_not_wait_for_a_frozen_server_beyond_the_deadline(own_mariadb):
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    db = ConnectionManager(config, manage=False)
    invoke(db)
    with frozen(own_mariadb):
        started = time.monotonic()
        with pytest.raises(pymysql.OperationalError), db.invocation(0.8), db.transaction():
            pass
        assert time.monotonic() - started < 1.6
    db.quit()


def test_the_end_of_an_invocation_does_not_wait_for_a_frozen_server(own_mariadb):
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    db = ConnectionManager(config, policy=Managed(look_timeout_s=0.2))
    invoke(db, 1)
    with db.invocation():
        db.query("SELECT 1")
        with frozen(own_mariadb):
            started = time.monotonic()
            db.end()
            assert time.monotonic() - started < 1.0
    assert db.get_client() is None


def test_a_server_that_restarts_is_waited_for(own_mariadb):
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    db = ConnectionManager(config, manage=False, policy=Managed(lease_s=60))
    db.connect()
    with restarted(own_mariadb, after_s=0.5), db.invocation(20.0):
        assert db.query("SELECT 1") == [(1,)]
    assert db.stats.expired_count == 1
    assert db.stats.refused_count > 0
    db.quit()


@contextmanager
def restarted(target, *options, after_s=0.0):
    """The server is stopped, and starts again ``after_s`` into the block; gone when that ends."""
    process = server_process(target)
    # The first start removed its init file; what else is given comes last, which counts.
    command = [*(part for part in process.cmdline() if not part.startswith("--init-file")), *options]
    process.terminate()
    process.wait(20)
    servers = []

    def start():
        servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    with in_a_moment(start, after_s):
        yield
    servers[0].terminate()
    servers[0].wait(20)


# Passwords


def test_a_password_that_was_rotated_is_fetched_again(admin, target):
    """1045, once, with credentials that are asked for."""
    with account(admin, target) as config:
        stored, asked = {"now": config["password"]}, []
        cached = {"password": config["password"]}

        def credentials(refused):
            """A cache that is emptied when the server refuses what is in it."""
            asked.append(refused and refused.args[0])
            if refused:
                cached["password"] = stored["now"]
            return dict(cached)

        db = ConnectionManager({**config, "password": ""}, credentials=credentials)
        assert db.query("SELECT 1") == [(1,)]
        db.quit()
        stored["now"] = secrets.token_hex(8)
        admin.execute(
            "SET PASSWORD FOR " + config["user"] + f"@'%' = {password_literal(target, stored['now'])}"
        )
        assert db.query("SELECT 1") == [(1,)]
        assert asked == [None, None, 1045]
        db.quit()


def password_literal(target, password):
    return f"PASSWORD('{password}')" if target.flavour == "mariadb" else f"'{password}'"


def test_credentials_that_stay_wrong_are_tried_once(config):
    asked = []
    db = ConnectionManager(config, credentials=lambda _: asked.append(1) or {"password": "wrong"})
    with pytest.raises(pymysql.OperationalError) as raised:
        db.query("SELECT 1")
    assert raised.value.args[0] == 1045
    assert len(asked) == 2
    assert db.stats.refused_count == 1


# The path


def test_a_blocked_host_is_told_at_once(own_mariadb):
    """1129: only FLUSH HOSTS helps. 127.0.0.1 itself is never blocked."""
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    with restarted(own_mariadb, "--skip-name-resolve=0", "--max-connect-errors=1"):
        with ConnectionManager(config).invocation(20.0) as db:
            db.connect()
            db.quit()
        for _ in range(3):
            leave_in_the_handshake(own_mariadb.functions, "127.0.0.2")
        db, started = ConnectionManager(config, bind_address="127.0.0.2"), time.monotonic()
        with pytest.raises(pymysql.OperationalError) as raised:
            db.query("SELECT 1")
        assert raised.value.args[0] == 1129
        assert db.stats.refused_count == 1
        assert time.monotonic() - started < 2.0


def leave_in_the_handshake(dsn, source):
    with socket.create_connection((dsn.host, dsn.port), source_address=(source, 0)) as sock:
        sock.recv(100)
