"""Transactions against real servers, as a block and as a chain."""

import time

import pymysql
import pytest

from loadtest.manager import (
    AnswerLost,
    Managed,
    NoConnection,
    QueryTimeout,
    Result,
    Transaction,
    TransactionLost,
)
from loadtest.manager.liveness import is_readable
from tests.manager.acting import INSERT, filled, killed_in_the_middle, often, own_id
from tests.waiting import wait_until


def test_a_block_commits_at_its_end(made, ledger):
    with made().transaction() as transaction:
        assert transaction.query(INSERT, ("kept",)).affected_rows == 1
        assert ledger() == []
    assert ledger() == ["kept"]


def test_a_block_rolls_back_on_an_error_of_the_server_and_raises_it(made, ledger):
    with pytest.raises(pymysql.ProgrammingError), made().transaction() as transaction:
        transaction.query(INSERT, ("undone",))
        transaction.query("SELECT nothing FROM nowhere")
    assert ledger() == []


def test_a_block_rolls_back_on_an_error_of_its_own(made, ledger):
    db = made()
    with pytest.raises(KeyError), db.transaction() as transaction:
        transaction.query(INSERT, ("undone",))
        raise KeyError("one's own")
    assert ledger() == []
    assert db.query("SELECT 1") == [(1,)]


def test_queries_of_the_manager_within_a_block_belong_to_it(made, ledger):
    db = made()
    with pytest.raises(KeyError), db.transaction():
        db.query(INSERT, ("undone",))
        raise KeyError
    assert ledger() == []


def test_a_transaction_within_a_transaction_is_refused(made):
    db = made()
    with db.transaction(), pytest.raises(RuntimeError, match="open already"), db.transaction():
        pass


def test_a_chain_runs_at_its_commit_and_returns_all_results(made, ledger):
    chain = made().transaction().query(INSERT, ("a",)).query("SELECT COUNT(*) FROM loadtest_ledger")
    assert ledger() == []
    inserted, counted = chain.commit()
    assert inserted.affected_rows == 1
    assert counted == [(1,)]
    assert ledger() == ["a"]


@pytest.mark.usefixtures("ledger")
def test_a_function_in_a_chain_gets_the_last_and_all_results(made):
    seen = []

    def following(last, results):
        seen.append((last.affected_rows, len(results)))
        return "SELECT invocation FROM loadtest_ledger LIMIT %s", (last.affected_rows,)

    def first(last, results):
        assert last is None
        assert results == []
        return INSERT, ("a",)

    results = made().transaction().query(first).query(following).commit()
    assert results[1] == [("a",)]
    assert seen == [(1, 1)]


@pytest.mark.parametrize("nothing", [None, "", (), []], ids=repr)
def test_a_function_that_returns_nothing_is_skipped_and_keeps_its_place(made, ledger, nothing):
    chain = made().transaction().query(INSERT, ("a",)).query(lambda *_: nothing).query("SELECT 5")
    assert [list(result) for result in chain.commit()] == [[], [], [(5,)]]
    assert ledger() == ["a"]


def fails_in_a_function(chain):
    def fail(*_):
        raise LookupError("one's own")

    return chain.query(fail), LookupError


def fails_in_a_statement(chain):
    return chain.query("SELECT nothing FROM nowhere"), pymysql.ProgrammingError


@pytest.mark.parametrize("failing", [fails_in_a_function, fails_in_a_statement])
def test_what_fails_in_a_chain_rolls_back_calls_the_handler_once_and_is_raised(made, ledger, failing):
    told = []
    chain, kind = failing(made().transaction().query(INSERT, ("undone",)))
    with pytest.raises(kind) as raised:
        chain.rollback(told.append).commit()
    assert told == [raised.value]
    assert ledger() == []


def test_a_connection_lost_in_a_chain_rolls_back_calls_the_handler_once_and_is_raised(made, ledger, admin):
    db, told = made(), []
    identity = own_id(db)
    chain = db.transaction().query(INSERT, ("undone",)).query("SELECT SLEEP(20)").query(INSERT, ("never",))
    with killed_in_the_middle(admin, identity), pytest.raises(AnswerLost) as raised:
        chain.rollback(told.append).commit()
    assert told == [raised.value]
    wait_until(lambda: ledger() == [])
    assert db.query("SELECT 1") == [(1,)]


def test_an_exception_of_the_handler_is_logged_and_the_first_one_raised(made, caplog):
    def handler(_error):
        raise ZeroDivisionError

    with pytest.raises(pymysql.ProgrammingError):
        made().transaction().query("SELECT nothing FROM nowhere").rollback(handler).commit()
    assert "rollback callback failed" in caplog.text


def test_a_block_that_hides_the_loss_of_its_connection_is_not_taken_as_committed(made, ledger, admin):
    db = made()
    identity = own_id(db)
    with pytest.raises(TransactionLost), db.transaction() as transaction:
        transaction.query(INSERT, ("undone",))
        with killed_in_the_middle(admin, identity), pytest.raises(AnswerLost):
            transaction.query("SELECT SLEEP(20)")
    assert ledger() == []


def test_a_statement_in_a_transaction_is_never_repeated(made, admin):
    """Not even one that may be, on a manager that retries."""
    db = made(max_query_retries=5, backoff="full")
    identity, began = own_id(db), []
    with pytest.raises(TransactionLost), db.transaction():
        began.append(own_id(db))
        with killed_in_the_middle(admin, identity), pytest.raises(AnswerLost):
            db.query("SELECT SLEEP(20)", idempotent=True)
    assert began == [identity]
    assert db.stats.query_retries_count == 0


def test_a_connection_that_dies_in_an_open_transaction_is_not_silently_replaced(made, admin, ledger):
    """Also one that was opened by hand: what follows would be committed without what went before."""
    db = made()
    with db.invocation():
        identity = own_id(db)
        db.query("BEGIN")
        db.query(INSERT, ("undone",))
        admin.execute(f"KILL {identity}")
        wait_until(lambda: is_readable(db.get_client()._sock))
        with pytest.raises(TransactionLost, match="rolled back"):
            db.query(INSERT, ("alone",))
        assert ledger() == []
        assert db.query("SELECT 1") == [(1,)]


def test_a_container_does_not_freeze_with_a_transaction_open(made, ledger):
    db = made()
    for _ in range(3):
        with db.invocation():
            db.query("BEGIN")
            db.query(INSERT, ("forgotten",))
        assert db.get_client() is None
    wait_until(lambda: ledger() == [])


def test_a_lease_does_not_break_a_transaction_within_its_deadline(made, ledger):
    """Slow work between two statements, longer than the lease."""
    db = made(Managed(lease_s=1, idle_ratio=0.0))
    with db.invocation(10.0), db.transaction() as transaction:
        transaction.query(INSERT, ("slow",))
        time.sleep(1.6)
        transaction.query(INSERT, ("work",))
    assert ledger() == ["slow", "work"]


def test_the_lease_of_a_transaction_ends_with_its_invocation_unless_the_server_idles(made):
    def lease_after_a_transaction(idle_ratio):
        db = made(Managed(lease_s=1, idle_ratio=idle_ratio))
        often(db, 4)
        with db.invocation(10.0), db.transaction() as transaction:
            transaction.query("SELECT 1")
        with db.invocation():
            return db.query("SELECT @@SESSION.wait_timeout")[0][0]

    assert lease_after_a_transaction(0.0) == 1
    assert lease_after_a_transaction(0.25) == 11


def test_after_a_deadlock_in_a_block_nothing_of_it_runs_on_its_own(made, ledger):
    """The server has rolled all of it back, whoever caught the error."""
    db = made()
    with pytest.raises(TransactionLost), db.transaction() as transaction:
        transaction.query(INSERT, ("before",))
        with pytest.raises(pymysql.MySQLError):
            transaction.query("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if'")
        for run in (transaction.query, db.query):
            with pytest.raises(TransactionLost):
                run(INSERT, ("after",))
    assert ledger() == []
    assert db.query("SELECT 1") == [(1,)]


def test_a_chain_that_found_no_connection_can_be_committed_again(made, target, ledger):
    told = []
    db = made(Managed(patience_s=0.2))
    chain = db.transaction().query(INSERT, ("once",)).rollback(told.append)
    with filled(target):
        with pytest.raises(NoConnection) as raised:
            chain.commit()
        assert told == [raised.value]
    assert chain.commit()[0].affected_rows == 1
    assert ledger() == ["once"]
    with pytest.raises(RuntimeError, match="has run"):
        chain.commit()


def test_a_block_that_has_ended_takes_no_statement(made, ledger):
    db = made()
    with db.transaction() as transaction:
        transaction.query(INSERT, ("in",))
    with pytest.raises(RuntimeError, match="has ended"):
        transaction.query(INSERT, ("out",))
    assert ledger() == ["in"]


def test_a_commit_that_fails_calls_the_handler_once(made, ledger, admin):
    told = []
    db = made()
    with pytest.raises(pymysql.MySQLError) as raised, db.transaction().rollback(told.append) as transaction:
        transaction.query(INSERT, ("gone",))
        admin.execute(f"KILL {db.get_client().thread_id()}")
        wait_until(lambda: is_readable(db.get_client()._sock))
    assert told == [raised.value]
    assert ledger() == []


def test_a_begin_that_meets_a_dead_connection_begins_on_another(made, ledger, monkeypatch):
    """Nothing of the caller's was sent yet."""
    db = made(Managed(lease_s=1, expiry_margin_s=-9.0), manage=False)
    db.connect()
    monkeypatch.setattr(
        "loadtest.manager.session.is_readable", lambda _: False
    )  # as if it died just after the look
    wait_until(lambda: is_readable(db.get_client()._sock))
    with db.transaction() as transaction:
        transaction.query(INSERT, ("once",))
    assert ledger() == ["once"]
    assert db.stats.connects_count == 2


# Ended within the block


def test_a_commit_in_a_block_commits_there_and_then(made, ledger):
    told = []
    with made().transaction().rollback(told.append) as transaction:
        transaction.query(INSERT, ("kept",))
        assert transaction.commit() == []
        assert ledger() == ["kept"]
    assert ledger() == ["kept"]
    assert told == []


def test_a_rollback_in_a_block_undoes_it_there_and_then(made, ledger):
    db, told = made(), []
    with db.transaction().rollback(told.append) as transaction:
        transaction.query(INSERT, ("undone",))
        assert transaction.rollback() is transaction
        assert not db._session.in_transaction()
        assert db.query(INSERT, ("on its own",)).affected_rows == 1  # the manager's is outside by now
    assert ledger() == ["on its own"]
    assert told == []  # nothing failed


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize(
    "following",
    [
        lambda transaction: transaction.query(INSERT, ("after",)),
        lambda transaction: transaction.executemany(INSERT, [("after",)]),
        lambda transaction: transaction.rollback(),
        lambda transaction: transaction.commit(),
    ],
    ids=["query", "executemany", "rollback", "commit"],
)
def test_after_its_end_a_transaction_takes_nothing_more(made, ledger, end, following):
    with made().transaction() as transaction:
        transaction.query(INSERT, ("before",))
        getattr(transaction, end)()
        with pytest.raises(RuntimeError):
            following(transaction)
    assert ledger() == (["before"] if end == "commit" else [])


def test_an_error_after_a_commit_in_the_block_is_raised_and_undoes_nothing(made, ledger):
    told = []
    with pytest.raises(KeyError), made().transaction().rollback(told.append) as transaction:
        transaction.query(INSERT, ("kept",))
        transaction.commit()
        raise KeyError("later")
    assert ledger() == ["kept"]
    assert told == []


def test_a_commit_in_a_block_that_fails_says_so_once(made, ledger, admin):
    db, told = made(), []
    with db.transaction().rollback(told.append) as transaction:
        transaction.query(INSERT, ("gone",))
        admin.execute(f"KILL {db.get_client().thread_id()}")
        wait_until(lambda: is_readable(db.get_client()._sock))
        with pytest.raises(pymysql.MySQLError) as raised:
            transaction.commit()
    assert told == [raised.value]
    assert ledger() == []


def test_a_chain_that_has_not_begun_has_nothing_to_roll_back(made):
    with pytest.raises(RuntimeError, match="nothing to roll back"):
        made().transaction().query("SELECT 1").rollback()


# Block and chain


def test_a_block_is_no_chain(made, ledger):
    """What is said to the chain in its block would be collected, and never run."""
    chain = made().transaction()
    with chain as transaction:
        assert isinstance(transaction, Transaction)
        assert isinstance(transaction.query(INSERT, ("a",)), Result)
        assert transaction.executemany(INSERT, [("b",), ("c",)]).affected_rows == 2
        for following in (
            lambda: chain.query(INSERT, ("lost",)),
            lambda: chain.executemany(INSERT, [("lost",)]),
            chain.commit,
            chain.__enter__,
        ):
            with pytest.raises(RuntimeError, match="open already"):
                following()
    assert ledger() == ["a", "b", "c"]


def test_a_chain_with_statements_does_not_become_a_block(made, ledger):
    db = made()
    with pytest.raises(RuntimeError, match="run it with commit"), db.transaction().query(INSERT, ("a",)):
        pass
    assert ledger() == []
    assert db.get_client() is None


def test_a_statement_of_a_chain_has_a_time_of_its_own(made):
    chain = made().transaction().query("SELECT 1", timeout_s=5.0).query("SELECT SLEEP(3)", timeout_s=0.2)
    with pytest.raises(QueryTimeout):
        chain.commit()


def test_a_transaction_prints_its_state(made, ledger):
    chain = made().transaction()
    assert repr(chain) == "<TransactionChain collecting, 0 steps>"
    assert repr(chain.query("SELECT 1").executemany(INSERT, [])) == "<TransactionChain collecting, 2 steps>"
    db = made()
    with db.transaction() as transaction:
        transaction.query(INSERT, ("a",))
        transaction.executemany(INSERT, [("b",), ("c",)])
        session = f"<Session on connection {db.get_client().thread_id()}, lease 61 s, 0 invocations>"
        assert repr(transaction) == f"<Transaction open in {session}, 3 statements>"
    assert repr(transaction) == "<Transaction ended, 3 statements>"
    chain.commit()
    assert repr(chain) == "<TransactionChain <Transaction ended, 1 statements>, 2 steps>"
    assert ledger() == ["a", "b", "c"]


def test_the_failure_of_a_statement_is_the_library_s_with_no_wrapping_to_see(made, admin):
    db = made()
    with pytest.raises(pymysql.MySQLError) as raised, db.transaction() as transaction:
        transaction.query("SELECT nothing FROM nowhere")
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    with killed_in_the_middle(admin, own_id(db)), pytest.raises(AnswerLost) as lost:
        db.transaction().query("SELECT SLEEP(20)").commit()
    assert isinstance(lost.value.__cause__, pymysql.MySQLError)
    assert not isinstance(lost.value.__cause__, AnswerLost)
