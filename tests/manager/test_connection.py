"""The connection manager against real servers: one connection, held as the policy decides."""

import time

import pymysql
import pytest

from loadtest.manager import AnswerLost, ConnectionManager, Managed, NoConnection
from loadtest.manager.liveness import is_readable
from tests.manager.acting import (
    connect_when_free,
    filled,
    ids_on_the_server,
    killed_in_the_middle,
    often,
    own_id,
)
from tests.waiting import wait_until

# As by default, but a machine that stands still for a moment does not outlive the lease.
KEPT = Managed(lease_s=60)


def test_nothing_is_connected_before_the_first_query(made, admin, target):
    wait_until(lambda: ids_on_the_server(admin, target) == set())
    made()
    assert ids_on_the_server(admin, target) == set()


def test_a_new_container_gives_its_connection_back(made, admin, target):
    db = made()
    with db.invocation():
        assert db.query("SELECT 40 + 2") == [(42,)]
    wait_until(lambda: ids_on_the_server(admin, target) == set())


def test_a_container_that_is_called_often_keeps_its_connection_while_there_is_room(made):
    db = made(KEPT)
    assert often(db) == often(db, 1)


def test_the_server_drops_a_connection_when_its_lease_is_over(made, admin, target):
    db = made(Managed(lease_s=3))
    identity = often(db)
    assert identity in ids_on_the_server(admin, target)
    wait_until(lambda: identity not in ids_on_the_server(admin, target))


def test_an_expired_connection_is_replaced_before_it_is_tried(made):
    db = made(Managed(lease_s=1))
    before = often(db)
    time.sleep(1.5)
    with db.invocation():
        assert own_id(db) != before


def test_a_killed_idle_connection_is_replaced_before_it_is_tried(made, admin):
    db = made(KEPT)
    identity = often(db)
    admin.execute(f"KILL {identity}")
    wait_until(lambda: is_readable(db.get_client()._sock))
    with db.invocation():
        assert own_id(db) != identity


def test_a_live_connection_has_nothing_to_read(made):
    db = made(KEPT)
    often(db)
    assert not is_readable(db.get_client()._sock)


def test_a_statement_whose_answer_was_lost_is_not_sent_again(made, admin):
    db = made()
    with killed_in_the_middle(admin, own_id(db)):
        with pytest.raises(AnswerLost, match="may have run, or not"):
            db.query("SELECT SLEEP(20)")
    assert db.query("SELECT 1") == [(1,)]


def test_an_idempotent_statement_is_sent_again(made, admin):
    db = made()
    identity = own_id(db)
    with killed_in_the_middle(admin, identity):
        assert db.query("SELECT CONNECTION_ID() + SLEEP(3)", idempotent=True) != [(identity,)]


def test_a_full_server_is_told_before_the_deadline_with_what_was_seen(made, target):
    with filled(target):
        # With a margin in which this machine may stand still.
        db, started = made(Managed(margin_s=4.0)), time.monotonic()
        seen = r"no connection after \d\.\d s and \d+ tries.*the server is full"
        with pytest.raises(NoConnection, match=seen) as caught, db.invocation(4.8):
            db.query("SELECT 1")
        assert caught.value.args[0] == 1040
        assert time.monotonic() - started < 4.8


def test_a_refused_connect_waits_until_a_slot_is_free(made, target):
    with filled(target) as taken:

        def backoff(_last_s, tries):
            if tries == 3:
                taken.pop().close()
            return 0.05

        with made(backoff=backoff).invocation(5.0) as db:
            assert db.query("SELECT 1") == [(1,)]
        assert db.stats.refused_count >= 3
        assert db.stats.waited_s >= 0.15


def test_a_container_that_was_refused_knows_that_the_server_is_full(made, target):
    """Its next end gives the connection back without asking, unless it is in use half of the time."""
    with filled(target) as taken:
        # However slow this machine is, its connect does not count as slow, which would be a reason to keep.
        policy = Managed(slow_connect_s=60.0)
        db = made(policy, backoff=lambda _last_s, tries: taken.pop().close() or 0.02 if tries == 2 else 0.02)
        often(db, 1)
        taken.append(connect_when_free(target))
        time.sleep(0.1)
        with db.invocation(5.0):
            own_id(db)
        assert db.get_client() is None
        assert db.stats.overhead_statements_count == 0


def test_a_wrong_password_is_not_tried_again(config):
    db = ConnectionManager(config, password="wrong")
    with pytest.raises(pymysql.OperationalError) as caught, db.invocation():
        db.query("SELECT 1")
    assert caught.value.args[0] == 1045
    assert (db.stats.refused_count, db.stats.waited_s) == (1, 0.0)


def test_a_manager_says_its_state_and_no_secret(made, target):
    db = made()
    often(db)
    assert repr(db).startswith("<ConnectionManager connection ")
    assert target.functions.password not in repr(db)
