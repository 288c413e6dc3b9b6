"""A session's own locks, variables, tables: they end with their invocation, never lost in silence."""

import time

import pymysql
import pytest

from loadtest.manager import Classic, Managed, SessionLost, TransactionLost
from loadtest.manager.liveness import is_readable
from loadtest.manager.session_state import NOTHING, STATE, TABLE_LOCKS, begins_transaction, state_of
from tests.manager.acting import INSERT, often, own_id
from tests.waiting import wait_until

LEAVING = [
    "SELECT GET_LOCK('a', 1)",
    "select get_lock (%s, 0)",
    "DO GET_LOCK('a', 1)",
    "SELECT 1 FROM t WHERE x = 5 AND get_lock('a', 1)",
    "SET @a = 1",
    "SET@a = 1",
    "SELECT @n := @n + 1 FROM t",
    "SELECT COUNT(*) INTO @n FROM t",
    "SELECT n FROM t\ninto  @n",
    "CALL p(%s, @result)",
    "SET SESSION sql_mode = ''",
    "set sql_mode = ''",
    "SET @@session.sql_mode = ''",
    "SET autocommit = 0",
    "SET NAMES latin1",
    "SET ROLE ALL",
    "SET GLOBAL a = 1, SESSION b = 2",
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "PREPARE p FROM 'SELECT 1'",
    "CREATE TEMPORARY TABLE t (a INT)",
    "create or replace  temporary table t (a INT)",
    "USE shop",
    "HANDLER t OPEN",
    "LOCK INSTANCE FOR BACKUP",
    "/* why */ SET @a = 1",
    "/*!40101 SET NAMES utf8 */",
    "/*M!100000 SET @a = 1 */",
    "-- why\n  # and\n SET @a = 1",
    "SELECT 1; SET @a = 1",
    "SELECT 1" + " " * 3000 + "INTO @a",
    b"SET @a = 1",
    bytearray(b"SET @a = 1"),
]
LOCKING = [
    "LOCK TABLES t WRITE",
    "lock table t read",
    "FLUSH TABLES WITH READ LOCK",
    "FLUSH LOCAL TABLES t FOR EXPORT",
]
NOT_LEAVING = [
    "SELECT 1",
    "",
    ";",
    "UPDATE t SET a = 1 WHERE b = 2",
    "INSERT INTO t SET a = %s",
    "INSERT INTO people VALUES ('someone@example.com')",
    "SELECT @@wait_timeout, @a",
    "SELECT RELEASE_LOCK('a')",
    "CREATE TABLE temporary_things (a INT)",
    "SET GLOBAL max_connections = 9",
    "SET @@GLOBAL.max_connections = 9",
    "SET PERSIST max_connections = 9",
    "SET PASSWORD = 'p'",
    "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
    "SHOW TABLES",
    "FLUSH TABLES",
    "UNLOCK TABLES",
    "CALL p(1)",
    "SELECT locks, used FROM t",
    "SELECT settings FROM t",
    "/* SET @a = 1 */ SELECT 1",
    "(SELECT 1) UNION (SELECT 2)",
]


@pytest.mark.parametrize(
    ("sql", "begins"),
    [
        ("BEGIN", True),
        ("begin work", True),
        ("START  TRANSACTION READ ONLY", True),
        ("/* mine */ start\ntransaction", True),
        (b"BEGIN", True),
        ("BEGINNING", False),
        ("START SLAVE", False),
        ("SELECT 'BEGIN'", False),
        ("", False),
    ],
)
def test_which_statements_begin_a_transaction(sql, begins):
    assert begins_transaction(sql) is begins


@pytest.mark.parametrize(
    ("sql", "state"),
    [
        *((sql, STATE) for sql in LEAVING),
        *((sql, TABLE_LOCKS) for sql in LOCKING),
        *((sql, NOTHING) for sql in NOT_LEAVING),
    ],
    ids=lambda part: str(part)[:40].strip(),
)
def test_what_leaves_a_state_is_told_from_its_text(sql, state):
    assert state_of(sql) == state


@pytest.mark.parametrize("manage", [True, False])
@pytest.mark.parametrize(
    "sql",
    ["SELECT GET_LOCK('one', 0)", "LOCK TABLES loadtest_ledger READ", "SET @a = 5", "SET autocommit = 0"],
)
def test_a_container_does_not_freeze_with_it(made, admin, target, sql, manage):
    admin.execute(f"GRANT LOCK TABLES ON {target.functions.database}.* TO {target.functions.user}@'%'")
    db = made(manage=manage)
    often(db)
    with db.invocation():
        assert db.query("SELECT @a") == [(None,)]
        db.query(sql)
        assert own_id(db) == own_id(db)
    assert db.get_client() is None
    with made().invocation() as another:
        assert another.query("SELECT GET_LOCK('one', 2)") == [(1,)]
    often(db)
    assert db.get_client() is not None  # it was that invocation's affair


def test_a_lock_outlasts_the_lease_between_two_slow_steps(made):
    db = made(Managed(lease_s=1))
    with db.invocation(10.0):
        identity = own_id(db)
        db.query("SELECT GET_LOCK('slow', 0)")
        time.sleep(1.3)
        assert db.query("SELECT IS_USED_LOCK('slow')") == [(identity,)]


def killed(db, admin):
    admin.execute(f"KILL {db.get_client().thread_id()}")
    wait_until(lambda: is_readable(db.get_client()._sock))


@pytest.mark.parametrize("looked_at", [True, False], ids=["dead when looked at", "dead when sent"])
def test_a_lock_that_is_gone_is_told_before_anything_is_sent(made, admin, ledger, monkeypatch, looked_at):
    db = made()
    with db.invocation():
        db.query("SELECT GET_LOCK('gone', 0)")
        killed(db, admin)
        if not looked_at:
            monkeypatch.setattr("loadtest.manager.session.is_readable", lambda _: False)
            db.get_client()._force_close()  # as if the write failed
        with pytest.raises(SessionLost, match=r"locks, variables, temporary tables.*was not sent"):
            db.query(INSERT, ("as if locked",))
        assert ledger() == []
        assert db.query("SELECT 1") == [(1,)]  # it was told: now it begins again


def test_nor_does_a_transaction_begin_on_another_connection(made, admin, monkeypatch, ledger):
    db = made()
    with db.invocation():
        db.query("SET @a = 1")
        killed(db, admin)
        monkeypatch.setattr("loadtest.manager.session.is_readable", lambda _: False)
        with pytest.raises(SessionLost), db.transaction() as transaction:
            transaction.query(INSERT, ("without @a",))
    assert ledger() == []


def test_within_a_transaction_it_is_the_transaction_that_is_lost(made, admin):
    db = made()
    with db.invocation(), pytest.raises(TransactionLost), db.transaction() as transaction:
        transaction.query("SET @a = 1")
        killed(db, admin)
        db.query("SELECT @a")
    assert db.get_client() is None


def test_a_statement_with_a_state_behind_it_is_not_retried(made):
    db = made(max_query_retries=3)
    with db.invocation():
        db.query("SET @a = 1")
        with pytest.raises(pymysql.MySQLError, match="as if"):
            db.query("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if'")
    assert db.stats.query_retries_count == 0


def test_the_first_one_that_meets_a_dead_connection_goes_over_another(made, monkeypatch, admin):
    """Nothing was held yet."""
    db = made(Managed(lease_s=1))
    with db.invocation(5.0):
        identity = own_id(db)
        killed(db, admin)
        monkeypatch.setattr("loadtest.manager.session.is_readable", lambda _: False)
        db.query("SET @a = CONNECTION_ID()")
        assert db.query("SELECT @a <> %s", (identity,)) == [(1,)]


def test_under_locked_tables_many_rows_do_not_begin_a_transaction(made, admin, target, ledger):
    """Its BEGIN would unlock them."""
    admin.execute(f"GRANT LOCK TABLES ON {target.functions.database}.* TO {target.functions.user}@'%'")
    db = made()
    with db.invocation():
        db.query("LOCK TABLES loadtest_ledger WRITE")
        assert db.executemany(INSERT, [("a",), ("b",)]).affected_rows == 2
        with pytest.raises(pymysql.MySQLError) as raised:
            db.query("SELECT * FROM loadtest_rows LIMIT 1")
        assert raised.value.args[0] == 1100  # not among the locked ones: they still are
    assert ledger() == ["a", "b"]


def test_classic_hands_it_on_as_the_published_module_does(made):
    db = made(Classic())
    with db.invocation():
        db.query("SET @a = 5")
    with db.invocation():
        assert db.query("SELECT @a") == [(5,)]
