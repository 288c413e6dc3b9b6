"""The table of errors in docs/manager.md: each row against a real server."""

import time

import pymysql
import pytest

from loadtest.manager import AnswerLost, ConnectionManager, Managed, NoConnection, QueryTimeout
from loadtest.manager.errors import UNKNOWN
from loadtest.manager.fate import Fate, fate
from loadtest.manager.liveness import is_readable
from tests.manager.acting import INSERT, killed_in_the_middle, own_id, relayed
from tests.waiting import wait_until

# Before sending


def test_a_port_that_refuses_is_tried_until_the_deadline(config):
    """2003: as of a server that restarts. With a margin in which this machine may stand still."""
    db = ConnectionManager({**config, "port": 1}, policy=Managed(margin_s=4.0))
    started = time.monotonic()
    with pytest.raises(NoConnection, match="tries") as raised, db.invocation(5.5):
        db.query("SELECT 1")
    assert raised.value.args[0] == 2003
    assert db.stats.refused_count > 3
    assert time.monotonic() - started < 5.5


def test_an_error_that_waiting_cannot_cure_comes_as_it_is_and_is_not_its_own_cause(config):
    """Else whoever follows its causes never ends."""
    db = ConnectionManager({**config, "password": "wrong"})
    with pytest.raises(pymysql.OperationalError) as raised, db.invocation(5.0):
        db.query("SELECT 1")
    assert raised.value.args[0] == 1045
    seen, error = [], raised.value
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__


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


class OutOfStep(pymysql.connections.Connection):
    """Its packets do not come in their order, from when it is told so."""

    in_step = True

    def _execute_command(self, command, sql):
        super()._execute_command(command, sql)
        if not self.in_step:
            self._next_seq_id = 5


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_packet_out_of_its_order(config, ledger, in_transaction):
    """No number at all, and the statement ran."""
    db = ConnectionManager(config, library=OutOfStep)
    db.query("SELECT 1")

    def write():
        db.get_client().in_step = False
        db.query(INSERT, ("ran",))

    with pytest.raises(AnswerLost, match=r"sequence number wrong.*may have run, or not") as raised:
        if in_transaction:
            with db.transaction():
                write()
        else:
            write()
    assert isinstance(raised.value.__cause__, pymysql.InternalError)
    wait_until(lambda: ledger() == ([] if in_transaction else ["ran"]))
    assert db.query("SELECT 1") == [(1,)]
    db.quit()


class OwnError(Exception):
    pass


class ProgrammingError(OwnError):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (pymysql.InternalError("Packet sequence number wrong"), Fate.UNKNOWN),
        (pymysql.OperationalError(), Fate.UNKNOWN),
        (OwnError("no number"), Fate.UNKNOWN),
        (pymysql.OperationalError(2027, "Malformed packet"), Fate.UNKNOWN),
        (pymysql.ProgrammingError("not enough arguments for format string"), Fate.DEFINITE),
        (ProgrammingError("of another library"), Fate.DEFINITE),
        (pymysql.InterfaceError(0, ""), Fate.NOT_SENT),
        (pymysql.OperationalError(2006, "gone"), Fate.NOT_SENT),
        (pymysql.ProgrammingError(1146, "no table"), Fate.DEFINITE),
    ],
    ids=repr,
)
def test_what_an_error_says_of_its_statement(error, expected):
    assert fate(error) is expected


def test_arguments_that_do_not_fit_are_an_error_of_the_caller_s(made):
    db = made()
    identity = own_id(db)
    with pytest.raises(pymysql.ProgrammingError, match="not enough arguments"):
        db.query("SELECT %s, %s", (1,))
    assert own_id(db) == identity


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
        db.query("INSERT INTO loadtest_ledger (invocation, amount) SELECT 'slow', SLEEP(20)")
    assert raised.value.args[0] in UNKNOWN
    # MySQL's SLEEP just ends early, and the row comes in; MariaDB gives the statement up.
    wait_until(lambda: ledger() == (["slow"] if target.flavour == "mysql" else []))


def test_a_statement_that_outlives_its_time(made):
    """The caller gets its error in time, the connection is replaced, the next query works."""
    db = made()
    identity, started = own_id(db), time.monotonic()
    with pytest.raises(QueryTimeout, match="no answer within 0"):
        db.query("SELECT SLEEP(10)", timeout_s=0.3)
    assert time.monotonic() - started < 8.0
    assert own_id(db) != identity
    assert db.query("SELECT SLEEP(0.5)", timeout_s=20.0) == [(0,)]
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
    db = made()
    with pytest.raises(QueryTimeout):
        db.query("SELECT SLEEP(5)", timeout_s=0.4, idempotent=True)
    assert db.stats.connects_count == 1


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
