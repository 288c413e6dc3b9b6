"""Habits of a function: deadlines, freezes, one invocation at a time."""

import subprocess
import sys
import threading
import time

import pymysql
import pytest
from pymysql.constants import COMMAND

from loadtest.manager import Managed, NoConnection, QueryTimeout
from loadtest.manager.clock import now_s
from loadtest.manager.liveness import is_readable
from tests.manager.acting import filled, ids_on_the_server, often, own_id
from tests.places import unobserved
from tests.waiting import wait_until


class Context:
    """What Lambda hands to a handler."""

    def __init__(self, left_ms):
        self._ends_at = time.monotonic() + left_ms / 1000

    def get_remaining_time_in_millis(self):
        return int((self._ends_at - time.monotonic()) * 1000)


# Ways in


def test_a_decorated_handler_is_one_invocation(made):
    db = made()

    @db.handler
    def handler(event, _context):
        """What the function does."""
        assert 0 < db.remaining_s() <= 2
        return db.query("SELECT %s", (event["id"],))[0][0]

    assert [handler({"id": n}, Context(2000)) for n in (1, 2, 3)] == [1, 2, 3]
    assert db.stats.connects_count == 2  # kept from the second invocation on: end() ran
    assert handler.__name__ == "handler"
    assert handler.__doc__ == "What the function does."


def test_a_handler_s_own_error_comes_out_and_its_invocation_ends(made):
    db = made()

    @db.handler
    def handler(_event, _context):
        db.connect()
        raise LookupError("its own")

    with pytest.raises(LookupError, match="its own"):
        handler({}, None)
    assert db.get_client() is None


def test_end_without_a_block_ends_an_invocation(made):
    db = made()
    for _ in range(3):
        db.begin(Context(2000))
        assert 0 < db.remaining_s() <= 2
        db.query("SELECT 1")
        db.query("SELECT 1")
        db.end()
    assert db.stats.connects_count == 2
    assert db.get_counter() == 2


def test_an_end_without_a_query_does_nothing_on_the_server(made):
    db = made()
    for _ in range(3):
        with db.invocation():
            pass
    assert db.stats.connects_count == 0


# Deadlines


@pytest.mark.parametrize("context", [Context, lambda left_ms: left_ms / 1000], ids=["lambda", "seconds"])
def test_the_deadline_is_the_context_s(made, target, context):
    with filled(target):
        # With a margin in which this machine may stand still.
        db, started = made(Managed(margin_s=4.0)), time.monotonic()
        with pytest.raises(NoConnection), db.invocation(context(4800)):
            db.query("SELECT 1")
        assert 0.3 < time.monotonic() - started < 4.8


def test_a_container_that_knows_how_long_it_works_does_not_wait_for_a_connection_too_late_to_use(
    made, target
):
    db = made(Managed(lease_s=1))
    for _ in range(2):
        with db.invocation():
            db.query("SELECT SLEEP(0.7)")
    db.quit()
    with filled(target):
        with pytest.raises(NoConnection), db.invocation(Context(1000)):
            db.query("SELECT 1")
        assert db.stats.waited_s < 0.31  # as it meant to, however long this machine stood still


def test_a_context_that_says_no_time_is_refused_before_anything_begins(made):
    db = made()
    with pytest.raises(TypeError, match="seconds or None, not dict"), db.invocation({}):
        pass
    assert repr(db) == "<ConnectionManager no connection, 0 invocations>"


def test_without_a_deadline_patience_has_an_end(made, target):
    with filled(target):
        db = made(Managed(patience_s=0.4))
        started = time.monotonic()
        with pytest.raises(NoConnection), db.invocation():
            db.query("SELECT 1")
        assert 0.4 <= time.monotonic() - started < 10.0


def test_a_statement_ends_before_the_function_does(made):
    """A function that is cut in the middle can tell nobody, and leaves its connection behind."""
    # With a margin in which this machine may stand still.
    db, started = made(policy=Managed(margin_s=4.0)), time.monotonic()
    with pytest.raises(QueryTimeout), db.invocation(Context(5000)):
        db.query("SELECT SLEEP(8)")
    assert time.monotonic() - started < 5.0


# Freezes


def test_a_connection_that_the_freeze_outlived_is_not_tried(made, admin, target):
    db = made()
    before = often(db)
    expired_count = db.stats.expired_count  # 0, if this machine did not stand still
    wait_until(lambda: before not in ids_on_the_server(admin, target))
    with db.invocation():
        assert own_id(db) != before
    assert db.stats.expired_count == expired_count + 1
    assert db.get_error_count() == 0


def test_nothing_runs_between_invocations(made):
    threads = threading.active_count()
    db = made(Managed(lease_s=60))
    often(db)
    assert threading.active_count() <= threads
    assert not is_readable(db.get_client()._sock)


def test_a_frozen_transaction_is_not_kept(made, admin):
    """It would hold its locks for as long as the container is frozen."""
    db = made(autocommit=False)
    admin.execute("DROP TABLE IF EXISTS frozen")
    admin.execute("CREATE TABLE frozen (id INT PRIMARY KEY)")
    try:
        for _ in range(3):
            with db.invocation():
                db.query("INSERT INTO frozen VALUES (1)")
            assert db.get_client() is None
        admin.execute("SELECT COUNT(*) FROM frozen")
        assert admin.fetchone() == (0,)
    finally:
        admin.execute("DROP TABLE frozen")


def test_with_autocommit_off_a_select_opens_a_transaction_that_is_not_kept_either(made, admin):
    """PyMySQL does not read the status that comes after a result's rows."""
    admin.execute("DROP TABLE IF EXISTS frozen")
    admin.execute("CREATE TABLE frozen (id INT PRIMARY KEY)")
    admin.execute("INSERT INTO frozen VALUES (1)")
    try:
        for manage in (True, False):
            db = made(autocommit=False, manage=manage)
            for _ in range(3):
                with db.invocation():
                    db.query("SELECT * FROM frozen FOR UPDATE")
                assert db.get_client() is None
            for _ in range(3):
                with db.invocation():
                    db.query("SELECT * FROM frozen FOR UPDATE")
                    db.query("COMMIT")
            assert db.get_client() is not None
    finally:
        for _ in range(2):
            admin.execute("SELECT 1")
        db.quit()
        admin.execute("DROP TABLE frozen")


def test_a_freeze_counts_where_the_monotonic_clock_stood_still(monkeypatch):
    """As it may in a virtual machine that is stopped; the wall clock is set right at the thaw."""
    clock = {"monotonic": 100.0, "time": 1000.0}
    monkeypatch.setattr("time.monotonic", lambda: clock["monotonic"])
    monkeypatch.setattr("time.time", lambda: clock["time"])
    before = now_s()
    clock["monotonic"] += 0.01
    clock["time"] += 60.01
    assert now_s() - before == pytest.approx(60.01)
    clock["monotonic"] += 1.0
    clock["time"] += 1.0
    assert now_s() - before == pytest.approx(61.01)
    clock["time"] -= 3600.0  # set back: no freeze, and nothing runs backwards
    assert now_s() - before == pytest.approx(61.01)
    clock["monotonic"] += 0.01
    clock["time"] += 30.01
    assert now_s() - before == pytest.approx(91.02)


# Imports and threads


def test_an_import_starts_and_connects_nothing():
    script = """if True:
        import socket, sys, threading
        def no(*_, **__):
            raise AssertionError("at import")
        socket.socket.connect = threading.Thread.start = no
        from loadtest.manager import ConnectionManager
        ConnectionManager("mysql://me:p@nowhere.invalid/shop")
        foreign = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
        print(sorted(name for name in foreign if not name.startswith("_")))
        """
    done = subprocess.run(
        [sys.executable, "-Ic", script], env=unobserved(), capture_output=True, text=True, check=True
    )
    allowed = {"loadtest", "pymysql", "cryptography", "cffi", "sitecustomize"}
    found = set(done.stdout.strip("[]\n").replace("'", "").split(", "))
    assert {"loadtest", "pymysql"} <= found
    assert found - allowed == set()


@pytest.mark.parametrize("after_s", [0.2, 1.2], ids=["soon", "when the lease would be over"])
def test_two_threads_on_one_manager_are_refused(made, admin, after_s):
    db, errors = made(Managed(lease_s=1)), []
    db.connect()
    identity = db.get_client().thread_id()

    def is_busy():
        admin.execute(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %s AND info LIKE %s",
            (identity, "SELECT SLEEP%"),
        )
        return admin.fetchone() == (1,)

    def second():
        wait_until(is_busy, what="the statement of the first")
        time.sleep(after_s)
        try:
            db.query("SELECT 2")
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=second)
    thread.start()
    assert db.query("SELECT SLEEP(4)") == [(0,)]
    thread.join()
    (said,) = errors
    assert said.startswith("this ConnectionManager is busy with another statement: give each thread its own")
    assert db.query("SELECT 1") == [(1,)]


def test_managers_of_several_threads_have_nothing_to_do_with_each_other(made):
    answers = {}

    def work(number, db):
        for turn in range(20):
            with db.invocation(5.0):
                answers[number, turn] = db.query("SELECT %s", (number * 100 + turn,))[0][0]

    threads = [threading.Thread(target=work, args=(number, made())) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {(n, turn): n * 100 + turn for n in range(8) for turn in range(20)}


# Asking the server


class Unknowing(pymysql.connections.Connection):
    """Before a proxy that knows no COM_STATISTICS: the server gets a command that it does not know."""

    asked_count = 0

    def _execute_command(self, command, sql):
        if command == COMMAND.COM_STATISTICS:
            Unknowing.asked_count += 1
            command = 0x7F
        super()._execute_command(command, sql)


def test_a_server_without_com_statistics_is_asked_by_a_statement_from_then_on(made, target):
    """1047; no connection is lost over it."""
    Unknowing.asked_count = 0
    db = made(Managed(ask_every_s=0.0, ask_every_count=1), library=Unknowing)
    identities = {often(db, 1) for _ in range(5)}
    assert len(identities) == 2  # a new container gives its first one back
    assert db.stats.lost_count == 0
    assert Unknowing.asked_count == (1 if target.flavour == "mysql" else 0)
    assert 1 <= db._view._census.used_count <= target.max_connections
