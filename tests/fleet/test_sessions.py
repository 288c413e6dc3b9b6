"""A workload on the connections of `direct`, `cached` and `ideal`, with real servers."""

import threading
from contextlib import closing

import pymysql
import pytest

from loadtest.fleet.book import Book
from loadtest.fleet.clock import Clock
from loadtest.fleet.connection import Meter, MeteredConnection
from loadtest.fleet.pool import Pool, Pooled
from loadtest.fleet.strategies import Cached, Plain
from loadtest.fleet.workload import Work, WrongAnswer
from loadtest.server import connections
from tests.waiting import wait_until


def work(kind, work_s=0.05, number=0):
    return Work(kind, work_s, 0, number, Meter(0))


def ask_as_admin(target, sql):
    with connections.session(target.admin) as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@pytest.fixture
def opened():
    """Connections of functions, in order of opening."""
    return []


@pytest.fixture
def connect(target, opened):
    def connect():
        opened.append(pymysql.connect(**target.functions.connect_arguments(), autocommit=True))
        return opened[-1]

    yield connect
    for connection in opened:
        if connection.open:
            connection.close()


@pytest.mark.parametrize("kind", ["few-rows", "select-1", "ledger"])
def test_a_workload_works_for_itself_beside_its_statements(connect, kind):
    done = work(kind)
    done(Plain(connect()))
    assert done.worked_s >= 0.05


def test_a_sleep_is_the_servers_work(connect):
    done = work("sleep")
    done(Plain(connect()))
    assert done.worked_s == 0.0


def test_a_sleep_that_was_interrupted_is_no_answer(target, connect):
    connection = connect()
    identity = connection.thread_id()
    sleeps = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'"

    def interrupt():
        wait_until(lambda: (identity,) in ask_as_admin(target, sleeps))
        ask_as_admin(target, f"KILL QUERY {identity}")

    kill = threading.Thread(target=interrupt)
    kill.start()
    # MySQL says so with a 1 for an answer, MariaDB with 1317.
    with pytest.raises((WrongAnswer, pymysql.err.OperationalError), match="interrupted"):
        work("sleep", 20.0)(Plain(connection))
    kill.join()


def test_rows_that_are_missing_are_no_answer(connect):
    connection, one = connect(), work("few-rows", number=3)
    connection.begin()
    with closing(connection.cursor()) as cursor:
        cursor.execute("DELETE FROM loadtest_rows WHERE group_id = %s LIMIT 1", (one.group,))
    with pytest.raises(WrongAnswer, match="4 rows instead of 5"):
        one(Plain(connection))
    connection.rollback()


def test_a_transaction_that_fails_leaves_nothing(connect):
    session = Plain(connect())
    insert = "INSERT INTO loadtest_ledger (invocation, amount) VALUES ('half', 1)"
    with pytest.raises(pymysql.err.ProgrammingError), session.transaction() as transaction:
        transaction.query(insert)
        transaction.query("SELECT nonsense FROM")
    assert session.query("SELECT COUNT(*) FROM loadtest_ledger WHERE invocation = 'half'") == ((0,),)


def test_cached_connects_again_when_the_server_has_dropped_it(target, connect, opened):
    function = Cached(connect)
    function.invoke(work("select-1"), None)
    ask_as_admin(target, f"KILL {opened[0].thread_id()}")
    function.invoke(work("select-1"), None)
    function.invoke(work("select-1"), None)
    assert len(opened) == 2


def test_cached_does_not_connect_again_for_an_error_of_the_statement(connect, opened):
    function = Cached(connect)
    for _ in range(2):
        with pytest.raises(pymysql.err.ProgrammingError):
            function.invoke(lambda session: session.query("SELECT nonsense FROM"), None)
    assert len(opened) == 1


def test_the_pool_fills_the_place_of_a_connection_that_was_lost(target, connect, opened):
    pool = Pool(connect, 1)
    function = Pooled(pool, Meter(0))
    ask_as_admin(target, f"KILL {opened[0].thread_id()}")
    with pytest.raises(pymysql.err.OperationalError):
        function.invoke(work("select-1"), None)
    function.invoke(work("select-1"), None)
    function.invoke(work("select-1"), None)
    assert len(opened) == 2


def test_the_pool_does_not_lend_what_a_function_was_cut_in(connect, opened):
    def cut(_session):
        raise SystemExit

    function = Pooled(Pool(connect, 1), Meter(0))
    with pytest.raises(SystemExit):
        function.invoke(cut, None)
    function.invoke(work("select-1"), None)
    assert len(opened) == 2
    assert not opened[0].open


def test_the_pool_keeps_a_connection_after_an_error_of_the_statement(connect, opened):
    function = Pooled(Pool(connect, 1), Meter(0))
    with pytest.raises(pymysql.err.ProgrammingError):
        function.invoke(lambda session: session.query("SELECT nonsense FROM"), None)
    function.invoke(work("select-1"), None)
    assert len(opened) == 1


def test_a_statement_that_is_larger_than_a_socket_takes_at_once_arrives_whole(target):
    server, text = target.functions.connect_arguments(), "x" * 8_000_000
    book = Book(Clock(0.0), 0, list, list)
    with closing(MeteredConnection(book, Meter(0), 0.0, **server, ssl_disabled=True)) as connection:
        assert Plain(connection).query("SELECT LENGTH(%s)", (text,)) == ((len(text),),)
