"""Which statements bind a client of a proxy to one connection."""

import time

import pytest
from pymysql.constants import COMMAND

from loadtest.fleet.book import Book
from loadtest.fleet.clock import Clock
from loadtest.fleet.connection import Meter
from loadtest.fleet.connector import Connector, Route
from loadtest.fleet.pinning import cause_of

STATEMENTS = {
    "prepared statement": ["PREPARE s FROM 'SELECT 1'"],
    "user variable": ["SET @a = 1", "set  @a:=1", "SELECT @a := 1", "SELECT id INTO @a FROM t"],
    "user variable ": [
        "/*!40101 SET @x=1 */", "SET sql_mode='', @a=1", "(select 1 into @x)", "set /*x*/ @a=1",
        "SELECT a, @n := @n + 1 FROM t",
    ],
    "open transaction ": [
        "SET SESSION autocommit=0", "SET @@autocommit=0", "start /**/ transaction", "XA START 1", "--\nbegin",
        "/**/ /* two */ begin",
    ],
    "SET ": ["SET time_zone='+00:00', innodb_lock_wait_timeout=5"],
    " ": [
        "select 'get_lock('", "SELECT 1 /* get_lock( */", "SELECT 1 -- into @x", "SELECT ' into @x'",
        "select \"it''s @a := 1\"", "# begin\nSELECT 1", "SELECT @@session.sql_mode, 'a:=1'",
    ],
    "temporary table": ["CREATE TEMPORARY TABLE t (a INT)", "/* why */ create temporary table t (a int)"],
    "GET_LOCK": ["SELECT GET_LOCK('a', 1)", "DO get_lock ('a', 1)"],
    "LOCK TABLES": ["LOCK TABLES t READ", "lock table t write", "FLUSH TABLES t WITH READ LOCK"],
    "open transaction": ["BEGIN", "START TRANSACTION READ ONLY", "SET autocommit = 0"],
    "SET": ["SET SESSION group_concat_max_len = 9", "SET unique_checks=0", "SET @@session.sql_notes=0"],
    "": [
        "SELECT 1", "SELECT '@a'", "SET NAMES utf8mb4", "SET SESSION sql_mode = ''", "SET time_zone='+0:00'",
        "SET SESSION wait_timeout = 1", "SET @@session.wait_timeout=1", "SET AUTOCOMMIT = 1", "COMMIT",
        "INSERT INTO t VALUES ('begin')", "SET GLOBAL max_connections = 1", "-- begin\nSELECT 1", "",
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET character set utf8mb4",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "cause"), [(sql, cause) for cause, statements in STATEMENTS.items() for sql in statements]
)
def test_the_cause_of_a_pin(sql, cause):
    found = cause_of(COMMAND.COM_QUERY, sql), cause_of(COMMAND.COM_QUERY, sql.encode())
    assert found == (cause.strip(), cause.strip())


def test_many_comments_take_no_time_to_speak_of():
    began_s = time.process_time()
    for text in (
        "/**/" * 400 + "select 1",
        "/*" * 400 + "select 1",
        "'" * 801 + "select 1",
        "--\n" * 300 + "x",
    ):
        cause_of(COMMAND.COM_QUERY, text)
    assert time.process_time() - began_s < 1.0  # backtracking over 22 of them took 15 s


def test_a_prepared_statement_of_the_protocol_pins_and_a_ping_does_not():
    assert cause_of(COMMAND.COM_STMT_PREPARE, b"SELECT 1") == "prepared statement"
    assert cause_of(COMMAND.COM_PING, "") == ""


@pytest.mark.parametrize("shares", [True, False])
def test_a_connection_records_each_cause_once_and_each_transaction(mariadb_target, shares):
    pins, clock = [], Clock(time.monotonic())
    book = Book(clock, 3, lambda _: None, lambda _: None, pins.append)
    arguments = {**mariadb_target.functions.connect_arguments(), "ssl_disabled": True, "autocommit": True}
    connection = Connector(Route(book, 0.0, arguments, None, shares), Meter(7))()
    with connection.cursor() as cursor:
        for sql in ("SET @a = 1", "SET @a = 2", "BEGIN", "SELECT 1", "COMMIT", "BEGIN", "COMMIT"):
            cursor.execute(sql)
    connection.close()
    expected = ["user variable", "open transaction", "open transaction"] if shares else []
    assert [pin.cause for pin in pins] == expected
    assert {(pin.worker, pin.container) for pin in pins} <= {(3, 7)}
