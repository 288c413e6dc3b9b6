"""`db.stream`: results that do not fit into memory."""

import gc
import tracemalloc

import psutil
import pymysql
import pytest

from loadtest.manager import AnswerLost, Classic, ConnectionManager, QueryTimeout, Stats, Stream
from loadtest.manager.options import Options
from loadtest.manager.session import Session
from loadtest.manager.stream import ROWS_AT_ONCE

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
        Stream(session, "SELECT 1", None, lambda: None, ())


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
