"""`db.stream`: results that do not fit into memory."""

import gc
import os
import time
import tracemalloc

import psutil
import pymysql
import pytest

from loadtest.manager import (
    AnswerLost,
    Classic,
    ConnectionManager,
    Managed,
    QueryTimeout,
    Stats,
    Stream,
    TransactionLost,
)
from loadtest.manager.options import Options
from loadtest.manager.session import Session
from loadtest.manager.stream import ROWS_AT_ONCE
from tests.waiting import wait_until

MANY = "SELECT a.id, a.payload FROM loadtest_rows a JOIN (SELECT id FROM loadtest_rows LIMIT 10) b"  # 50,000


def test_fifty_thousand_rows_come_in_order_and_in_flat_memory(made):
    db = made()
    with db.invocation(60.0):
        tracemalloc.start()
        try:
            with db.stream(MANY) as rows:
                count = sum(1 for _ in rows)
            streamed = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            assert len(db.query(MANY)) == count == 50_000
            whole = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert streamed < whole / 10


def test_rows_that_are_read_slowly_are_not_lost_with_the_lease(made):
    """MariaDB counts from the moment when it has sent all of them, though some lie in buffers for long."""
    db = made(Managed(lease_s=1))
    with db.invocation(60.0), db.stream("SELECT id, payload FROM loadtest_rows LIMIT 5000") as rows:
        next(rows)
        time.sleep(2.5)
        assert sum(1 for _ in rows) == 4999


def test_the_connection_is_kept_once_all_rows_were_read(made):
    db = made()
    with db.invocation(30.0):
        connection = db.get_client()
        assert [len(row) for row in db.stream("SELECT id, payload FROM loadtest_rows LIMIT 1200")] == [
            2
        ] * 1200
        connection = db.get_client()
        db.query("SELECT 1")
        assert db.get_client() is connection is not None


def test_it_is_busy_until_it_was_read_or_closed(made):
    db = made()
    with db.invocation(30.0):
        rows = db.stream(MANY)
        next(rows)
        with pytest.raises(RuntimeError, match="read a stream to its end, or close it"):
            db.query("SELECT 1")
        rows.close()
        assert list(rows) == []
        assert db.query("SELECT 1 AS one")


def test_one_that_is_closed_in_the_middle_takes_its_connection_along(made):
    db = made()
    with db.invocation(30.0):
        with db.stream(MANY) as rows:
            next(rows)
            assert db.get_client() is not None
        assert db.get_client() is None


def test_the_end_of_an_invocation_ends_it(made):
    db = made()
    with db.invocation(30.0):
        rows = db.stream(MANY)
        next(rows)
    assert db.get_client() is None, "frozen with an answer under way, it would be of no use"
    with pytest.raises(RuntimeError, match="read all of it within its invocation"):
        list(rows)
    with db.invocation(30.0):
        assert db.query("SELECT 1")


def test_a_few_rows_that_were_fetched_already_outlive_it(made):
    db = made()
    with db.invocation(30.0):
        rows = db.stream("SELECT id FROM loadtest_rows LIMIT 10")
        next(rows)
        rest = list(rows)
    assert len(rest) == 9 < ROWS_AT_ONCE


def test_an_error_of_the_server_is_the_servers_and_the_connection_stays(made):
    db = made()
    with db.invocation(30.0):
        db.query("SELECT 1")
        connection = db.get_client()
        with pytest.raises(pymysql.ProgrammingError, match="doesn't exist"):
            db.stream("SELECT * FROM nothing_here")
        assert db.query("SELECT 1")
        assert db.get_client() is connection


def test_a_connection_that_is_lost_among_the_rows_is_said(made, admin):
    db = made()
    with db.invocation(30.0):
        rows = db.stream("SELECT a.id, a.payload, SLEEP(0.0001) FROM loadtest_rows a")
        next(rows)
        admin.execute(f"KILL {db.get_client().thread_id()}")
        with pytest.raises((AnswerLost, pymysql.OperationalError)):
            list(rows)
        assert db.query("SELECT 1")


def test_no_answer_takes_longer_than_its_time(made):
    db = made()
    with db.invocation(30.0), pytest.raises(QueryTimeout, match="not all rows came"):
        list(db.stream("SELECT SLEEP(5)", timeout_s=0.3))


def test_arguments_and_dictionaries_are_as_with_query(config):
    db = ConnectionManager({**config, "cursorclass": pymysql.cursors.DictCursor})
    with db.invocation(30.0):
        assert list(db.stream("SELECT %s AS a", ("x",))) == [{"a": "x"}]
    db.quit()


def test_it_works_with_the_published_algorithm_as_well(made):
    db = made(Classic())
    with db.invocation(30.0):
        assert len(list(db.stream("SELECT id FROM loadtest_rows LIMIT 3"))) == 3


def test_another_library_is_told_what_to_do():
    session = Session(object(), (Exception,), Options(), Stats())
    with pytest.raises(TypeError, match="a stream needs PyMySQL"):
        Stream(session, "SELECT 1", None, lambda: None, lambda: None, ())


def test_no_descriptor_is_left(made):
    db, process = made(), psutil.Process()
    with db.invocation(30.0):
        db.query("SELECT 1")
    before = process.num_fds()
    for _ in range(5):
        with db.invocation(30.0):
            next(db.stream(MANY))
        gc.collect()
    assert process.num_fds() <= before


INSERT = "INSERT INTO loadtest_ledger (invocation, amount) VALUES (%s, 1)"


def test_after_a_deadlock_nothing_of_its_transaction_runs_on_its_own(made, ledger):
    """The server has rolled back all of it: what follows would be half of a transaction."""
    db = made()
    with db.invocation(30.0):
        with pytest.raises(TransactionLost), db.transaction() as t:
            t.query(INSERT, ("one",))
            with pytest.raises(pymysql.OperationalError, match="as if"):
                db.stream(
                    "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if by deadlock'"
                )
            t.query(INSERT, ("two",))
    assert ledger() == []


def test_a_transaction_without_autocommit_is_known_after_a_stream_as_after_a_query(config, admin):
    for read in ("query", "stream"):
        db = ConnectionManager({**config, "autocommit": False})
        with db.invocation(30.0):
            list(getattr(db, read)("SELECT id FROM loadtest_rows LIMIT 1"))
            admin.execute(f"KILL {db.get_client().thread_id()}")
            wait_until(db._session.is_dead, what="the end of the connection")
            with pytest.raises(TransactionLost):
                db.query("SELECT 1")
        db.quit()


def test_a_long_stream_leaves_a_lease_that_has_just_begun(made):
    db = made(Managed(lease_s=1))
    with db.invocation(60.0):
        rows = db.stream(MANY)
        next(rows)
        time.sleep(1.2)
        assert len(list(rows)) == 49_999
        connection = db.get_client()
        db.query("SELECT 1")
        assert db.get_client() is connection


def test_a_lock_that_a_stream_takes_lengthens_the_lease_as_with_a_query(made):
    db = made(Managed(lease_s=1))
    with db.invocation(60.0):
        assert len(list(db.stream("SELECT GET_LOCK('streamed', 1)"))) == 1
        time.sleep(1.6)
        assert db.query("SELECT IS_USED_LOCK('streamed') = CONNECTION_ID()") == [(1,)]


def test_a_child_of_a_fork_reads_none_of_its_parents_rows(made):
    db = made()
    with db.invocation(60.0):
        rows = db.stream(MANY)
        next(rows)
        for _ in range(ROWS_AT_ONCE - 1):  # what was fetched before the fork is both their own
            next(rows)
        child = os.fork()
        if child == 0:
            try:
                next(rows)
            except RuntimeError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert sum(1 for _ in rows) == 50_000 - ROWS_AT_ONCE


def test_rows_of_a_procedure_are_read_to_their_end(made, admin):
    admin.execute("CREATE PROCEDURE loadtest_streamed() SELECT id FROM loadtest_rows LIMIT 700")
    try:
        db = made()
        with db.invocation(30.0):
            assert len(list(db.stream("CALL loadtest_streamed()"))) == 700
            connection = db.get_client()
            db.query("SELECT 1")
            assert db.get_client() is connection
    finally:
        admin.execute("DROP PROCEDURE loadtest_streamed")
