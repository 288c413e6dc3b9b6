"""Text of statements: escaped, formatted, and as it was sent."""

import datetime

import pymysql
import pytest

from loadtest.manager import ConnectionManager
from tests.manager.acting import killed_in_the_middle, own_id

VALUES = [
    "O'Neil",
    'a"b\\c\n%',
    7,
    2.5,
    True,
    None,
    b"\x00'\xff",
    datetime.date(2026, 11, 25),
    ["x", "y"],
    (1, 2),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_an_escaped_value_is_what_a_connection_would_send(made, value):
    db = made()
    db.connect()
    assert db.escape(value) == db.get_client().escape(value)


@pytest.mark.parametrize("value", VALUES[:-2], ids=repr)
def test_an_escaped_value_comes_back_from_the_server(made, value):
    db = made()
    got = db.query(f"SELECT {db.escape(value)}".replace("'2026", "DATE'2026"))[0][0]
    assert got == value


def test_a_mapping_has_no_literal():
    with pytest.raises(TypeError, match="name its values"):
        ConnectionManager.escape({"a": 1})


@pytest.mark.parametrize(
    ("name", "qualified", "escaped"),
    [
        ("id", True, "`id`"),
        ("shop.id", True, "`shop`.`id`"),
        ("shop.id", False, "`shop.id`"),
        ("i`d", True, "`i``d`"),
        (["a", "t.b"], True, "`a`, `t`.`b`"),
    ],
)
def test_an_escaped_name_is_one_name(name, qualified, escaped):
    assert ConnectionManager.escape_id(name, qualified=qualified) == escaped


def test_an_escaped_name_is_the_column_that_it_names(made):
    db = made()
    odd = "we`ird; DROP"
    assert db.query(f"SELECT {db.escape_id(odd)} FROM (SELECT 5 AS {db.escape_id(odd)}) AS t") == [(5,)]


@pytest.mark.parametrize(
    ("sql", "args", "expected"),
    [
        ("SELECT 1 % 2", None, "SELECT 1 % 2"),
        ("SELECT %s, %s", (1, "a'b"), "SELECT 1, 'a\\'b'"),
        ("SELECT %s", ["x"], "SELECT 'x'"),
        ("SELECT %(a)s, %(b)s", {"a": None, "b": b"\x01"}, "SELECT NULL, X'01'"),
        ("SELECT 1 IN %s", [(1, 2)], "SELECT 1 IN (1,2)"),
    ],
)
def test_format_fills_in_as_pymysql_does(made, sql, args, expected):
    db = made()
    db.connect()
    assert db.format(sql, args) == expected
    with db.get_client().cursor() as cursor:
        assert cursor.mogrify(sql, args) == expected


@pytest.mark.parametrize(
    ("sql", "args", "sent"),
    [
        ("SELECT 1 IN %s", ([1, 2],), "SELECT 1 IN (1,2)"),
        ("SELECT %(a)s", {"a": "O'Neil"}, "SELECT 'O\\'Neil'"),
        ("SELECT %s", (datetime.date(2026, 11, 25),), "SELECT '2026-11-25'"),
        ("SELECT %s", (b"\x00a",), "SELECT X'0061'"),
        ("SELECT %s", (None,), "SELECT NULL"),
    ],
    ids=["a list", "a dict", "a date", "bytes", "None"],
)
def test_the_final_statement_is_on_results_and_on_errors_when_asked_for(made, sql, args, sent):
    db = made(return_final_sql_query=True)
    assert db.query(sql, args).sql == sent
    with pytest.raises(pymysql.MySQLError) as raised:
        db.query(f"{sql} FROM nowhere", args)
    assert raised.value.sql == f"{sent} FROM nowhere"


def test_the_final_statement_without_arguments(made):
    assert made(return_final_sql_query=True).query("SELECT 5 % 3").sql == "SELECT 5 % 3"


def test_the_final_statement_is_also_on_a_lost_answer(made, admin):
    db = made(return_final_sql_query=True)
    with killed_in_the_middle(admin, own_id(db)), pytest.raises(pymysql.OperationalError) as raised:
        db.query("SELECT SLEEP(%s)", (20,))
    assert raised.value.sql == "SELECT SLEEP(20)"


def test_nobody_gets_the_final_statement_who_did_not_ask(made):
    db = made()
    assert db.query("SELECT %s", (1,)).sql is None
    with pytest.raises(pymysql.MySQLError) as raised:
        db.query("SELECT nothing FROM nowhere")
    assert not hasattr(raised.value, "sql")
