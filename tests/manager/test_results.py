"""More than one result set, more than one row of arguments; against real servers."""

import types
from contextlib import contextmanager

import pymysql
import pytest
from pymysql.constants import CLIENT
from pymysql.cursors import DictCursor, SSCursor

from loadtest.manager import AnswerLost, Classic, ConnectionManager, Managed, TransactionLost
from tests.manager.acting import INSERT, killed_in_the_middle, own_id, relayed
from tests.waiting import wait_until

MANY = "INSERT INTO loadtest_ledger (invocation, amount) VALUES (%s, %s)"
PAIR = "SELECT 1 AS a UNION SELECT 2; SELECT 'x' AS b"


@contextmanager
def procedure(admin, target, name, body):
    database = target.functions.database
    admin.execute(f"DROP PROCEDURE IF EXISTS {database}.{name}")
    admin.execute(f"CREATE PROCEDURE {database}.{name}() BEGIN {body}; END")
    try:
        yield
    finally:
        admin.execute(f"DROP PROCEDURE {database}.{name}")


# Result sets


@pytest.mark.parametrize("policy", [Managed(), Classic()], ids=["managed", "classic"])
def test_a_procedure_s_further_result_sets_come_with_the_first(made, admin, target, policy):
    with procedure(admin, target, "pair", PAIR):
        result = made(policy).query("CALL pair()")
        assert result == [(1,), (2,)]
        assert [list(further) for further in result.more] == [[("x",)]]


@pytest.mark.parametrize("cursorclass", [DictCursor, SSCursor])
def test_whatever_the_cursor(made, admin, target, cursorclass):
    with procedure(admin, target, "pair", PAIR):
        (further,) = made(cursorclass=cursorclass).query("CALL pair()").more
        assert further == ([{"b": "x"}] if cursorclass is DictCursor else [("x",)])


def test_a_procedure_with_one_result_set_or_none_has_no_more(made, admin, target, ledger):
    with procedure(admin, target, "one", "SELECT 5"):
        assert made().query("CALL one()").more == ()
    with procedure(admin, target, "none", INSERT % "'in'"):
        result = made().query("CALL none()")
        assert (result, result.more, result.affected_rows) == ([], (), 1)
    assert ledger() == ["in"]


def test_several_statements_in_one_text_have_a_result_each(made, ledger):
    db = made(client_flag=CLIENT.MULTI_STATEMENTS)
    first = db.query("SELECT 1; SELECT 2")
    assert (list(first), list(first.more[0])) == ([(1,)], [(2,)])
    changed = db.query("; ".join([INSERT % "'a'", "SELECT 3", INSERT % "'b'"]))
    assert changed.affected_rows == 1
    assert [(list(more), more.has_rows, more.affected_rows) for more in changed.more] == [
        ([(3,)], True, 1),
        ([], False, 1),
    ]
    assert ledger() == ["a", "b"]
    assert db.query("SELECT 4") == [(4,)]


def test_an_error_in_a_later_one_is_raised_and_the_connection_stays_of_use(made, admin, target):
    with procedure(admin, target, "breaks", "SELECT 1; SELECT nothing FROM nowhere"):
        db = made()
        identity = own_id(db)
        with pytest.raises(pymysql.ProgrammingError):
            db.query("CALL breaks()")
        assert own_id(db) == identity


def test_another_library_s_result_sets_are_there_too(config, admin, target):
    library = types.SimpleNamespace(
        connect=lambda defer_connect=False, **arguments: _Wrapped(pymysql.connect(**arguments)),  # noqa: ARG005
        MySQLError=pymysql.MySQLError,
    )
    with procedure(admin, target, "pair", PAIR):
        db = ConnectionManager(config, library=library)
        result = db.query("CALL pair()")
        assert [list(result), *map(list, result.more)] == [[(1,), (2,)], [("x",)]]
        assert db.executemany("SELECT %s", [(1,), (2,)]).affected_rows == 2
        db.quit()


class _Wrapped:
    """Not a PyMySQL connection, but like one."""

    def __init__(self, inner):
        self.cursor, self.close = inner.cursor, inner.close


# Many rows


def rows_of(count):
    return [(f"{number:04d}", 1) for number in range(count)]


def questions(db):
    return int(db.query("SHOW SESSION STATUS LIKE 'Questions'")[0][1])


def test_an_insert_takes_many_rows_in_one_statement(made, ledger):
    db = made()
    before = questions(db)
    result = db.executemany(MANY, rows_of(100))
    assert (result.affected_rows, list(result), result.has_rows) == (100, [], False)
    assert questions(db) - before == 2
    assert ledger() == [name for name, _ in rows_of(100)]


def test_no_rows_send_nothing(made):
    db = made()
    before = questions(db)
    for empty in ([], (), iter([])):
        assert db.executemany(INSERT, empty).affected_rows == 0
    assert questions(db) - before == 1


def test_rows_may_be_mappings_and_come_from_a_generator(made, ledger):
    sql = "INSERT INTO loadtest_ledger (invocation, amount) VALUES (%(name)s, %(amount)s)"
    assert made().executemany(sql, ({"name": f"é'{n}", "amount": n} for n in range(3))).affected_rows == 3
    assert ledger() == ["é'0", "é'1", "é'2"]


@pytest.fixture
def in_small_parts(monkeypatch):
    """As with more than 1 MB of rows: two to four rows a statement."""
    monkeypatch.setattr("pymysql.cursors.Cursor.max_stmt_length", 120)


@pytest.mark.usefixtures("in_small_parts")
def test_of_several_parts_all_take_effect_or_none(made, ledger):
    db = made()
    assert db.executemany(MANY, rows_of(9)).affected_rows == 9
    assert ledger() == [name for name, _ in rows_of(9)]
    with pytest.raises(pymysql.MySQLError, match="no number") as raised:
        db.executemany(MANY, [*(("new" + name, 1) for name, _ in rows_of(9)), ("last", "no number")])
    assert len(ledger()) == 9
    assert "of " in raised.value.__notes__[0]
    assert db.query("SELECT 1") == [(1,)]


@pytest.mark.usefixtures("in_small_parts")
def test_parts_whose_connection_breaks_are_not_sent_again(made, ledger, admin):
    db = made()
    db.query("SELECT 1")
    rows = [("a", 0), ("b", 0), ("c", 20)]
    sql = "INSERT INTO loadtest_ledger (invocation, amount) VALUES (CONCAT(%s, SLEEP(%s)), 1)"
    with killed_in_the_middle(admin, db.get_client().thread_id(), "%SLEEP(20)%"):
        with pytest.raises((AnswerLost, TransactionLost)):
            db.executemany(sql, rows)
    wait_until(lambda: ledger() == [])
    assert db.stats.connects_count == 1


def test_one_part_whose_answer_was_lost_is_not_sent_again(target, config, ledger):
    with relayed(target.functions) as relay:
        db = ConnectionManager({**config, "port": relay.port})
        db.connect()
        relay.cut_after = 3
        with pytest.raises(AnswerLost):
            db.executemany(MANY, rows_of(3))
        assert len(ledger()) == 3
        db.quit()


@pytest.mark.usefixtures("in_small_parts")
def test_in_a_transaction_they_belong_to_it(made, ledger):
    db = made()
    with pytest.raises(KeyError), db.transaction() as transaction:
        assert transaction.executemany(MANY, rows_of(9)).affected_rows == 9
        assert db.executemany(INSERT, [("more",), ("and more",)]).affected_rows == 2
        raise KeyError
    assert ledger() == []
    with db.invocation():
        db.query("BEGIN")
        db.executemany(MANY, rows_of(9))
        db.query("ROLLBACK")
    assert ledger() == []
    first, second = db.transaction().executemany(MANY, rows_of(9)).query("SELECT 1").commit()
    assert (first.affected_rows, list(second)) == (9, [(1,)])
    assert len(ledger()) == 9


@pytest.mark.usefixtures("in_small_parts")
def test_with_autocommit_off_they_wait_for_the_caller_s_commit(made, ledger):
    db = made(autocommit=False)
    with db.invocation():
        db.executemany(MANY, rows_of(9))
        assert ledger() == []
        db.query("COMMIT")
    assert len(ledger()) == 9


def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(made, ledger):
    db = made()
    with pytest.raises((pymysql.ProgrammingError, TypeError)):
        db.executemany(INSERT, [("a",), ("b", "c")])
    assert ledger() == []
