"""A child of a fork: its parent's connection is not its own; against real servers."""

import os
import pickle
import types
from contextlib import suppress

import pymysql
import pytest

from loadtest.fleet.connection import tls_arguments
from loadtest.manager import Classic, ConnectionManager, Managed, TransactionLost
from tests.manager.acting import INSERT, ids_on_the_server, often, own_id
from tests.waiting import wait_until


def in_a_child(action):
    """What ``action()`` returns, or raises, in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer = None
        try:
            answer = action()
        except BaseException as error:
            answer = error
        finally:
            with suppress(BaseException), os.fdopen(writing, "wb") as pipe:
                pickle.dump(answer, pipe)
            os._exit(0)  # no fixture is torn down here
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pickle.load(pipe)  # noqa: S301 - from ourselves
    os.waitpid(child, 0)
    return answer


@pytest.mark.parametrize("tls", ["off", "on"])
@pytest.mark.parametrize("policy", [Managed(lease_s=60), Classic()], ids=["managed", "classic"])
def test_a_child_has_a_connection_of_its_own_and_the_parent_keeps_its(target, policy, tls):
    config = {**target.functions.connect_arguments(), **tls_arguments(tls)}
    db = ConnectionManager(config, policy=policy, manage=False)
    with db.invocation():
        identity = own_id(db)

        def child():
            before = db.get_client()
            there = own_id(db)
            db.end()
            db.quit()
            return before, there

        before, there = in_a_child(child)
        assert before is None
        assert there != identity
        assert own_id(db) == identity
    db.quit()


@pytest.mark.parametrize("leaving", ["quit", "end", "begin", "nothing"])
def test_however_a_child_leaves_the_parent_s_connection_stays(made, admin, target, leaving):
    """Between invocations as well as within one: no COM_QUIT, no goodbye of TLS."""
    db = made(Managed(lease_s=60))
    identity = often(db)

    def child():
        if leaving != "nothing":
            getattr(db, leaving)()
        return repr(db)

    assert "no connection" in in_a_child(child)
    assert identity in ids_on_the_server(admin, target)
    with db.invocation():
        assert own_id(db) == identity
    assert db.stats.lost_count == db.stats.expired_count == 0


def test_a_child_does_not_go_on_with_its_parent_s_transaction(made, ledger):
    db = made()
    with db.transaction() as transaction:
        transaction.query(INSERT, ("parent's",))

        def child():
            told = []
            for run in (transaction.query, db.query, transaction.query):
                with pytest.raises(TransactionLost):
                    run(INSERT, ("child's",))
                told.append(True)
            with pytest.raises(TransactionLost):
                transaction.leave(None)
            return told, db.query("SELECT COUNT(*) FROM loadtest_ledger")[0][0]

        assert in_a_child(child) == ([True] * 3, 0)
        transaction.query(INSERT, ("still the parent's",))
    assert ledger() == ["parent's", "still the parent's"]


def test_nor_with_one_that_was_opened_by_hand(made, ledger):
    db = made()
    with db.invocation():
        db.query("BEGIN")
        db.query(INSERT, ("parent's",))

        def child():
            with pytest.raises(TransactionLost):
                db.query(INSERT, ("child's",))
            return db.query("SELECT COUNT(*) FROM loadtest_ledger")[0][0]  # it was told: now it is on its own

        assert in_a_child(child) == 0
        db.query("COMMIT")
    assert ledger() == ["parent's"]


def test_a_block_that_raises_in_a_child_sends_no_rollback(made, ledger):
    db = made()
    with db.transaction() as transaction:
        transaction.query(INSERT, ("kept",))

        def child():
            transaction.leave(KeyError("the child's own"))

        assert in_a_child(child) is None
    assert ledger() == ["kept"]


def test_a_library_whose_destructor_says_goodbye_does_not_get_to_it_in_a_child(config, admin, target):
    class Polite:
        """As mysqlclient's: closes when it is collected."""

        def __init__(self, **arguments):
            arguments.pop("defer_connect", None)
            self._inner = pymysql.connect(**arguments)
            self.cursor, self.thread_id = self._inner.cursor, self._inner.thread_id

        def close(self):
            self._inner.close()

        def __del__(self):
            with suppress(pymysql.Error):
                self._inner.close()

    library = types.SimpleNamespace(connect=Polite, MySQLError=pymysql.MySQLError)
    db = ConnectionManager(config, library=library, policy=Managed(lease_s=60), manage=False)
    identity = own_id(db)
    assert in_a_child(lambda: (own_id(db), db.quit())[0]) != identity
    wait_until(lambda: len(ids_on_the_server(admin, target)) == 1)
    assert own_id(db) == identity
    db.quit()
