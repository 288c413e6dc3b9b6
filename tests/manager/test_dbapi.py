"""`db.connection()`: PyMySQL's cursors over a managed connection, on real servers."""

import threading
import time
from contextlib import suppress

import pymysql
import pytest
from pymysql.cursors import DictCursor, SSCursor, SSDictCursor

from loadtest.manager import AnswerLost, Classic, ConnectionManager, Managed, SessionLost, TransactionLost
from loadtest.server.connections import session
from tests.manager.acting import INSERT, in_a_moment, is_there, killed, killed_in_the_middle, own_id
from tests.waiting import wait_until

KEEPS = Managed(lease_s=60)


@pytest.fixture
def db(made):
    db = made(KEEPS, manage=False)
    with db.invocation(60.0):
        yield db


@pytest.fixture
def connection(db):
    with db.connection() as connection:
        yield connection


# Cursors


def test_nothing_is_connected_before_the_first_statement(made):
    db = made()
    connection = db.connection()
    assert db.get_client() is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    assert db.get_client() is not None


def test_a_cursor_is_pymysql_s_own_in_all_that_it_tells(connection, config):
    own = pymysql.connect(**config)
    told = []
    for one in (connection, own):
        with one.cursor() as cursor:
            count = cursor.execute("SELECT id, payload FROM loadtest_rows WHERE id < %s ORDER BY id", (5,))
            rows = [cursor.fetchone(), cursor.fetchmany(2), cursor.fetchall(), cursor.fetchone()]
            told.append((type(cursor), count, cursor.rowcount, cursor.description, rows))
    own.close()
    assert told[0] == told[1]


@pytest.mark.parametrize("cursorclass", [DictCursor, SSDictCursor])
def test_rows_can_be_mappings(connection, cursorclass):
    with connection.cursor(cursorclass) as cursor:
        cursor.execute("SELECT 1 AS a, 'x' AS b UNION SELECT 2, 'y'")
        assert cursor.fetchall() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_the_config_s_cursorclass_is_the_default(made):
    with made(cursorclass=DictCursor).connection() as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1 AS a")
        assert cursor.fetchall() == [{"a": 1}]


@pytest.mark.usefixtures("ledger")
def test_executemany_inserts_in_one_statement(connection, admin):
    with connection.cursor() as cursor:
        assert cursor.executemany(INSERT, [("a",), ("b",), ("c",)]) == 3
        assert cursor.rowcount == 3
    admin.execute("SELECT COUNT(*) FROM loadtest_ledger")
    assert admin.fetchone() == (3,)


def test_a_procedure_s_result_sets_come_one_after_the_other(connection, admin):
    admin.execute("DROP PROCEDURE IF EXISTS two_sets")
    admin.execute("CREATE PROCEDURE two_sets(IN n INT) BEGIN SELECT n; SELECT n + 1, n + 2; END")
    cursor = connection.cursor()
    cursor.execute("CALL two_sets(%s)", (4,))
    sets = [cursor.fetchall()]
    while cursor.nextset():
        sets.append(cursor.fetchall())
    cursor.execute("SELECT 7")
    assert cursor.fetchone() == (7,)
    assert sets == [((4,),), ((5, 6),), []]
    cursor.callproc("two_sets", (8,))
    assert cursor.fetchall() == ((8,),)
    admin.execute("DROP PROCEDURE two_sets")


def test_a_stream_reads_rows_as_they_come_and_makes_the_connection_busy(db, connection):
    cursor = connection.cursor(SSCursor)
    cursor.execute("SELECT id FROM loadtest_rows ORDER BY id LIMIT %s", (1200,))
    assert [column[0] for column in cursor.description] == ["id"]
    assert (cursor.fetchone(), cursor.fetchmany(2), cursor.fetchmany()) == ((1,), [(2,), (3,)], [(4,)])
    with pytest.raises(RuntimeError, match="busy"):
        db.query("SELECT 1")
    assert [row[0] for row in cursor] == list(range(5, 1201))
    assert cursor.fetchone() is None
    assert cursor.nextset() is None
    assert db.query("SELECT 1") == [(1,)]


def test_a_stream_that_is_closed_before_its_end_takes_its_connection_along(db, connection):
    before = own_id(db)
    with connection.cursor(SSCursor) as cursor:
        cursor.execute("SELECT id FROM loadtest_rows")
        cursor.fetchone()
    assert own_id(db) != before
    with pytest.raises(pymysql.ProgrammingError, match="execute"):
        cursor.fetchone()


def test_warnings_ping_and_another_database(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT 1 / 0")
    assert connection.show_warnings()[0][1] == 1365
    connection.ping()
    connection.select_db("information_schema")
    cursor.execute("SELECT DATABASE()")
    assert cursor.fetchone() == ("information_schema",)


def test_what_it_does_not_have_is_said(connection):
    with pytest.raises(AttributeError, match=r"'kill'.*get_client"):
        connection.kill(1)
    with pytest.raises(pymysql.NotSupportedError, match="SSCursor"):
        connection.query("SELECT 1", unbuffered=True)


def test_errors_of_the_library_are_at_the_connection_as_pep_249_wants(connection):
    with pytest.raises(connection.ProgrammingError):
        connection.cursor().execute("SELECT nothing FROM nowhere")
    assert connection.Error is pymysql.Error


# Transactions


def test_autocommit_is_the_manager_s_and_can_be_switched_off(db, connection, ledger):
    cursor = connection.cursor()
    cursor.execute(INSERT, ("at once",))
    assert ledger() == ["at once"]
    connection.autocommit(False)
    cursor.execute(INSERT, ("later",))
    assert ledger() == ["at once"]
    connection.commit()
    assert ledger() == ["at once", "later"]
    cursor.execute(INSERT, ("never",))
    connection.rollback()
    assert not connection.get_autocommit()
    connection.close()
    db.query(INSERT, ("by the manager",))
    assert ledger() == ["at once", "by the manager", "later"]


def test_a_transaction_is_begun_and_ended(connection, ledger):
    cursor = connection.cursor()
    connection.begin()
    cursor.execute(INSERT, ("undone",))
    connection.rollback()
    connection.begin()
    cursor.execute(INSERT, ("kept",))
    connection.commit()
    assert ledger() == ["kept"]


def test_closing_rolls_back_and_keeps_the_connection(db, ledger):
    identity = own_id(db)
    with pytest.raises(KeyError), db.connection() as connection:
        connection.begin()
        connection.cursor().execute(INSERT, ("undone",))
        raise KeyError
    assert ledger() == []
    assert own_id(db) == identity
    with pytest.raises(pymysql.Error, match="Already closed"):
        connection.close()
    with pytest.raises(pymysql.InterfaceError, match="closed"):
        connection.cursor()


@pytest.mark.parametrize("begin", ["begin()", "BEGIN", "autocommit"])
def test_a_lease_lasts_as_long_as_a_transaction_may(made, ledger, begin):
    """Else the second of two statements with two seconds of work between them would find it gone."""
    db = made(Managed(lease_s=1))
    with db.invocation(30.0), db.connection() as connection:
        cursor = connection.cursor()
        if begin == "autocommit":
            connection.autocommit(False)
        elif begin == "BEGIN":
            cursor.execute("/* one's own */ BEGIN")
        else:
            connection.begin()
        cursor.execute(INSERT, ("first",))
        time.sleep(2.2)
        cursor.execute(INSERT, ("second",))
        connection.commit()
    assert ledger() == ["first", "second"]


def test_nothing_of_a_lost_transaction_goes_on_over_another_connection(connection, admin, ledger):
    connection.begin()
    cursor = connection.cursor()
    cursor.execute(INSERT, ("lost",))
    killed(admin, connection.thread_id())
    for _ in range(2):
        with pytest.raises(TransactionLost):
            cursor.execute(INSERT, ("not sent",))
    with pytest.raises(TransactionLost):
        connection.commit()
    connection.rollback()
    cursor.execute(INSERT, ("anew",))
    assert ledger() == ["anew"]


def test_nor_when_another_user_of_the_manager_found_out(db, connection, admin, ledger):
    connection.begin()
    connection.cursor().execute(INSERT, ("lost",))
    killed(admin, connection.thread_id())
    with pytest.raises(TransactionLost):
        db.query("SELECT 1")
    assert db.query("SELECT 1") == [(1,)]
    with pytest.raises(TransactionLost):
        connection.cursor().execute(INSERT, ("not sent",))
    assert ledger() == []


def test_a_lost_answer_in_a_transaction_is_told_once_and_the_rest_refused(connection, admin, ledger):
    connection.begin()
    cursor = connection.cursor()
    cursor.execute(INSERT, ("lost",))
    with killed_in_the_middle(admin, connection.thread_id()), pytest.raises(AnswerLost):
        cursor.execute("SELECT SLEEP(20)")
    with pytest.raises(TransactionLost):
        cursor.execute(INSERT, ("not sent",))
    connection.rollback()
    assert ledger() == []


def test_an_error_leaves_a_transaction_open_that_a_rollback_ends(connection, ledger, target):
    """Without autocommit: no error of MySQL says so, and the row would stay locked."""
    with session(target.admin) as other:
        connection.cursor().execute(INSERT, ("there",))
        connection.autocommit(False)
        with pytest.raises(pymysql.IntegrityError):
            connection.cursor().execute("INSERT INTO loadtest_rows SELECT * FROM loadtest_rows WHERE id = 1")
        connection.rollback()
        other.execute("SET SESSION innodb_lock_wait_timeout = 1")
        other.execute("UPDATE loadtest_rows SET payload = payload WHERE id = 1")
        other.connection.rollback()
    assert ledger() == ["there"]


def test_what_a_procedure_wrote_before_it_failed_is_committed_or_rolled_back_as_asked(
    connection, admin, ledger
):
    admin.execute("DROP PROCEDURE IF EXISTS writes_and_fails")
    admin.execute(
        "CREATE PROCEDURE writes_and_fails(IN what TEXT) BEGIN "
        "INSERT INTO loadtest_ledger (invocation, amount) VALUES (what, 1); SIGNAL SQLSTATE '45000'; END"
    )
    connection.autocommit(False)
    for what, end in (("undone", connection.rollback), ("kept", connection.commit)):
        with pytest.raises(pymysql.MySQLError):
            connection.cursor().execute("CALL writes_and_fails(%s)", (what,))
        end()
    admin.execute("DROP PROCEDURE writes_and_fails")
    assert ledger() == ["kept"]


def test_a_helper_s_connection_leaves_the_callers_transaction_alone(db, connection, ledger):
    connection.begin()
    connection.cursor().execute(INSERT, ("one",))
    with db.connection() as helpers:
        helpers.cursor().execute("SELECT 1")
        for end in (helpers.commit, helpers.rollback):
            with pytest.raises(pymysql.ProgrammingError, match="began"):
                end()
    connection.cursor().execute(INSERT, ("two",))
    connection.commit()
    with db.transaction() as transaction:
        transaction.query(INSERT, ("three",))
        with db.connection() as helpers:
            helpers.cursor().execute(INSERT, ("four",))
    assert ledger() == ["four", "one", "three", "two"]


def test_a_transaction_that_somebody_else_ended_is_not_taken_for_committed(db, connection, ledger):
    connection.begin()
    connection.cursor().execute(INSERT, ("undone",))
    db.query("ROLLBACK")
    with pytest.raises(TransactionLost):
        connection.commit()
    connection.rollback()
    assert ledger() == []


def test_after_a_deadlock_nothing_runs_on_its_own(connection, target, ledger):
    with session(target.admin) as other:
        other.execute("BEGIN")
        other.execute("UPDATE loadtest_rows SET payload = payload WHERE id > 100")  # the heavier one
        connection.begin()
        cursor = connection.cursor()
        cursor.execute("UPDATE loadtest_rows SET payload = payload WHERE id = 1")

        def wait_for_us():
            with suppress(pymysql.MySQLError):
                other.execute("UPDATE loadtest_rows SET payload = payload WHERE id = 1")

        with in_a_moment(wait_for_us, 0.0):
            time.sleep(0.3)
            with pytest.raises(pymysql.OperationalError) as told:
                cursor.execute("UPDATE loadtest_rows SET payload = payload WHERE id = 101")
        other.connection.rollback()
    assert told.value.args[0] == 1213
    for action in (lambda: cursor.execute(INSERT, ("on its own",)), connection.commit):
        with pytest.raises(TransactionLost, match="deadlock"):
            action()
    connection.rollback()
    cursor.execute(INSERT, ("anew",))
    assert ledger() == ["anew"]


def test_autocommit_off_ends_with_its_invocation(made, ledger):
    db = made(KEEPS)
    for _ in range(2):
        with db.invocation(30.0):
            db.query("SELECT 1")
    with db.invocation(30.0):
        connection = db.connection()
        connection.autocommit(False)
        connection.query("DO 0")
    with db.invocation(30.0):
        db.query(INSERT, ("kept",))
    assert ledger() == ["kept"]


def test_each_connection_has_its_own_autocommit(db, connection, ledger):
    connection.autocommit(False)
    connection.cursor().execute("DO 0")
    connection.rollback()
    with db.connection() as other:
        other.cursor().execute(INSERT, ("at once",))
        assert ledger() == ["at once"]


def test_a_lost_first_statement_counts_as_a_lost_transaction(connection, admin, ledger):
    connection.autocommit(False)
    connection.cursor().execute("DO 0")
    connection.rollback()
    with killed_in_the_middle(admin, connection.thread_id()), pytest.raises(AnswerLost):
        connection.cursor().execute("DO SLEEP(20)")
    with pytest.raises(TransactionLost):
        connection.cursor().execute(INSERT, ("not sent",))
    connection.rollback()
    assert ledger() == []


def test_a_write_under_way_at_the_end_of_the_invocation_is_not_told_as_committed(made, ledger):
    db = made(KEEPS)
    told = []

    def work(connection):
        try:
            connection.cursor().execute(
                "INSERT INTO loadtest_ledger (invocation, amount) SELECT 'a', SLEEP(1)"
            )
            connection.commit()
        except pymysql.MySQLError as error:
            told.append(error)

    with db.invocation(30.0):
        connection = db.connection()
        connection.autocommit(False)
        connection.cursor().execute("DO 0")
        connection.rollback()
        thread = threading.Thread(target=work, args=(connection,))
        thread.start()
        time.sleep(0.3)
    thread.join()
    assert len(told) == 1
    assert ledger() == []


@pytest.mark.parametrize("end", ["rollback", "close"])
def test_rows_that_nobody_read_are_no_obstacle(db, connection, ledger, end):
    connection.begin()
    connection.cursor().execute(INSERT, ("undone",))
    cursor = connection.cursor(SSCursor)
    cursor.execute("SELECT id, payload FROM loadtest_rows")
    cursor.fetchone()
    getattr(connection, end)()
    assert db.query("SELECT 1") == [(1,)]
    assert ledger() == []


@pytest.mark.parametrize("closes", [True, False])
def test_in_a_transaction_they_are_read_over_and_it_goes_on(connection, ledger, closes):
    connection.begin()
    connection.cursor().execute(INSERT, ("kept",))
    cursor = connection.cursor(SSCursor)
    cursor.execute("SELECT id, payload FROM loadtest_rows")
    cursor.fetchone()
    if closes:
        cursor.close()
    connection.commit()
    assert ledger() == ["kept"]


def test_a_stream_s_cursor_says_what_it_lacks(connection):
    with pytest.raises(AttributeError, match="'callproc'"):
        connection.cursor(SSCursor).callproc("p")


# Losses outside of one


def test_outside_a_transaction_a_dead_connection_is_replaced(connection, admin):
    before = connection.thread_id()
    killed(admin, connection.thread_id())
    cursor = connection.cursor()
    cursor.execute("SELECT CONNECTION_ID()")
    assert cursor.fetchone()[0] != before


def test_autocommit_is_off_on_the_new_connection_as_well(connection, admin, ledger):
    connection.autocommit(False)
    cursor = connection.cursor()
    cursor.execute("DO 1")
    connection.rollback()
    killed(admin, connection.thread_id())
    cursor.execute(INSERT, ("later",))
    assert ledger() == []
    connection.rollback()


def test_what_a_session_held_is_not_lost_in_silence(connection, admin):
    cursor = connection.cursor()
    cursor.execute("SET @a = 1")
    killed(admin, connection.thread_id())
    with pytest.raises(SessionLost):
        cursor.execute("SELECT @a")


def test_a_statement_gets_no_longer_than_the_invocation_has_left(made):
    db = made(Managed(lease_s=60, margin_s=0.2))
    started = time.monotonic()
    with db.invocation(1.5), db.connection() as connection, pytest.raises(AnswerLost):
        connection.cursor().execute("SELECT SLEEP(20)")
    assert time.monotonic() - started < 15


def test_what_stays_open_does_not_survive_the_invocation(made, ledger, admin):
    db = made(KEEPS)
    with db.invocation(30.0):
        connection = db.connection()
        connection.begin()
        connection.cursor().execute(INSERT, ("undone",))
        identity = connection.thread_id()
    wait_until(lambda: not is_there(admin, identity))
    with pytest.raises(TransactionLost):
        connection.cursor().execute("SELECT 1")
    assert ledger() == []


def test_classic_has_it_too(made):
    with made(Classic()).connection() as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == ((1,),)


def test_another_library_has_its_own():
    with pytest.raises(TypeError, match="needs PyMySQL"):
        ConnectionManager(library=lambda **_: None).connection()


def test_a_commit_whose_answer_is_lost_may_have_taken_effect(connection, admin):
    connection.begin()
    connection.cursor().execute("SELECT 1")
    killed(admin, connection.thread_id())
    with pytest.raises(AnswerLost, match="may have run"):
        connection.commit()
    connection.rollback()
    connection.cursor().execute("SELECT 1")
