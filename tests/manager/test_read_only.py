"""A writer that became read-only, as after a failover: its kept connections are replaced; real servers."""

import pymysql
import pytest

from loadtest.manager import Classic, Managed
from loadtest.manager.fate import is_read_only
from tests.manager.acting import INSERT, often, own_id

RUNNING = "server is running with the --{} option so it cannot execute this statement"


@pytest.mark.parametrize(
    ("code", "text", "in_transaction", "expected"),
    [
        (1290, "The MySQL " + RUNNING.format("read-only"), False, True),
        (1290, "The MySQL " + RUNNING.format("super-read-only"), True, True),
        (1290, "The MariaDB " + RUNNING.format("read-only"), False, True),
        (1290, "The MySQL " + RUNNING.format("secure-file-priv"), False, False),
        (1290, "The MariaDB " + RUNNING.format("skip-grant-tables"), False, False),
        (1792, "Cannot execute statement in a READ ONLY transaction.", False, True),
        (1792, "Cannot execute statement in a READ ONLY transaction.", True, False),
        (1836, "Running in read-only mode", True, True),
        (1874, "InnoDB is in read only mode.", False, True),
        (1142, "INSERT command denied to user", False, False),
    ],
)
def test_what_says_that_a_server_is_only_to_be_read(code, text, in_transaction, expected):
    assert is_read_only(pymysql.OperationalError(code, text), in_transaction) is expected


class Failover:
    """After ``over()`` the server is only to be read; at the connect ``back_at`` it writes again."""

    def __init__(self, admin):
        self._admin = admin
        self.back_at = None
        self._connects_count = 0

    def over(self):
        self._connects_count = 0
        self._admin.execute("SET GLOBAL read_only = 1")

    def back(self):
        self._admin.execute("SET GLOBAL read_only = 0")

    def connecting(self, _refused):
        self._connects_count += 1
        if self._connects_count == self.back_at:
            self.back()
        return {}


@pytest.fixture
def failover(admin):
    happening = Failover(admin)
    yield happening
    happening.back()


POLICY = Managed(lease_s=60)


def test_a_statement_on_a_kept_connection_goes_to_the_new_writer(made, failover, ledger):
    db = made(POLICY, credentials=failover.connecting)
    before = often(db)
    failover.over()
    failover.back_at = 1
    with db.invocation():
        assert db.query(INSERT, ("once",)).affected_rows == 1
        assert own_id(db) != before
    assert ledger() == ["once"]


def test_on_a_server_that_stays_so_there_is_one_replacement_an_invocation(made, failover, ledger):
    db = made(POLICY, credentials=failover.connecting)
    often(db)
    failover.over()
    connects = db.stats.connects_count
    for number in range(1, 4):
        with db.invocation():
            for _ in range(5):
                with pytest.raises(pymysql.MySQLError, match="read-only"):
                    db.query(INSERT, ("never",))
                assert db.query("SELECT 1") == [(1,)]
        assert db.get_client() is None
        assert db.stats.connects_count == connects + number
    assert ledger() == []


def test_who_only_reads_notices_nothing(made, failover):
    db = made(POLICY, credentials=failover.connecting)
    before = often(db)
    failover.over()
    assert often(db) == before


def test_in_a_transaction_it_is_raised_and_the_next_one_has_another_connection(made, failover, ledger):
    db = made(POLICY, credentials=failover.connecting)
    often(db)
    failover.over()
    failover.back_at = 1
    with db.invocation():
        with pytest.raises(pymysql.MySQLError, match="read-only"), db.transaction() as transaction:
            transaction.query(INSERT, ("not here",))
        with db.transaction() as transaction:
            transaction.query(INSERT, ("but here",))
    assert ledger() == ["but here"]


def test_a_procedure_is_not_sent_again_but_the_next_statement_has_another_connection(
    made, failover, ledger, admin, target
):
    database = target.functions.database
    admin.execute(f"DROP PROCEDURE IF EXISTS {database}.writes")
    body = f"BEGIN {INSERT % repr('by a procedure')}; END"
    admin.execute(f"CREATE PROCEDURE {database}.writes() SQL SECURITY INVOKER {body}")
    try:
        db = made(POLICY, credentials=failover.connecting)
        often(db)
        failover.over()
        failover.back_at = 1
        with db.invocation():
            with pytest.raises(pymysql.MySQLError, match="read-only"):
                db.query("CALL writes()")
            db.query("CALL writes()")
        assert ledger() == ["by a procedure"]
    finally:
        failover.back()
        admin.execute(f"DROP PROCEDURE {database}.writes")


def test_a_transaction_that_the_caller_wants_read_only_replaces_nothing(made):
    db = made(POLICY)
    identity = often(db)
    with db.invocation():
        db.query("START TRANSACTION READ ONLY")
        with pytest.raises(pymysql.MySQLError) as raised:
            db.query(INSERT, ("never",))
        assert raised.value.args[0] == 1792
        db.query("ROLLBACK")
        assert own_id(db) == identity
    assert often(db) == identity


def test_classic_keeps_it_as_the_published_module_does(made, failover):
    db = made(Classic(), credentials=failover.connecting)
    before = often(db)
    failover.over()
    with db.invocation(), pytest.raises(pymysql.MySQLError, match="read-only"):
        db.query(INSERT, ("never",))
    assert often(db) == before
