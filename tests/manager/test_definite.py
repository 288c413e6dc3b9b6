"""A statement failed, and certainly took no effect; against real servers."""

from contextlib import contextmanager

import pymysql
import pytest

from loadtest.manager import Managed
from loadtest.server.connections import connect
from tests.manager.acting import in_a_moment, own_id
from tests.waiting import wait_until


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
    holders = []
    db = made(
        max_query_retries=retries,
        session_variables={"innodb_lock_wait_timeout": 1},
        on_query_retry=lambda *_: holders[0].rollback(),
    )
    with locking(target, "UPDATE fates SET n = 5 WHERE id = 2") as other:
        holders.append(other)
        if retries:
            assert db.query("UPDATE fates SET n = n + 1").affected_rows == 3
            assert db.stats.query_retries_count == 1
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
            wait_until(lambda: waits_for_a_lock(admin))
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
