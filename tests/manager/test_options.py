"""Options and callbacks, against real servers."""

import dataclasses
import functools
import inspect
import logging
import time
import types

import pymysql
import pytest
from pymysql.cursors import DictCursor

from loadtest.manager import Classic, ConnectionManager, Managed, NoConnection
from loadtest.manager.connect_arguments import ConnectArguments
from loadtest.manager.handshake import takes_defer_connect
from loadtest.manager.options import NAMES, Options
from tests.manager.acting import filled, ids_on_the_server, killed_in_the_middle, often, own_id
from tests.waiting import wait_until


def test_any_module_or_function_that_connects_like_pymysql_will_do(config):
    class OwnError(Exception):
        pass

    module = types.SimpleNamespace(
        connect=lambda **arguments: pymysql.connect(**arguments), MySQLError=pymysql.MySQLError
    )
    plain = pymysql.connect

    def no_deferring(host, port, user, password, database, autocommit, connect_timeout, ssl_disabled):
        return plain(
            host=host, port=port, user=user, password=password, database=database, autocommit=autocommit,
            connect_timeout=connect_timeout, ssl_disabled=ssl_disabled,
        )  # fmt: skip

    for library in (module, no_deferring):
        db = ConnectionManager(config, library=library)
        with db.invocation():
            assert db.query("SELECT @@SESSION.wait_timeout") == [(1,)]

    def refused(**_):
        raise OwnError(1040, "Too many connections")

    library = types.SimpleNamespace(connect=refused, MySQLError=OwnError)
    db = ConnectionManager(config, library=library, policy=Managed(patience_s=0.2))
    with pytest.raises(NoConnection, match="Too many"):
        db.query("SELECT 1")


def test_unmanaged_connections_are_kept(made):
    db = made(manage=False)
    assert often(db, 1) == often(db, 1)
    assert db.stats.overhead_statements_count == 0


def test_session_variables_and_the_lease_ride_on_the_statement_that_connects(made):
    """PyMySQL's SET NAMES: the only one before ours."""
    db = made(session_variables={"time_zone": "+03:00", "sql_mode": "ANSI"})
    with db.invocation():
        zone = db.query("SELECT @@SESSION.time_zone, @@SESSION.wait_timeout, @@character_set_client")
        assert zone == [("+03:00", 1, "utf8mb4")]
        assert "ANSI" in db.query("SELECT @@SESSION.sql_mode")[0][0]
        [(_, questions)] = db.query("SHOW SESSION STATUS LIKE 'Questions'")
    plain = pymysql.connect(**db.get_config(), autocommit=True)
    with plain, plain.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.execute("SELECT 1")
        cursor.execute("SHOW SESSION STATUS LIKE 'Questions'")
        assert questions == cursor.fetchone()[1]


def test_a_type_error_of_the_user_s_own_connect_arrives_and_connect_is_called_once(config):
    calls = []

    def broken(**arguments):
        calls.append(arguments)
        return len(None)

    for library in (broken, types.SimpleNamespace(connect=broken)):
        del calls[:]
        with pytest.raises(TypeError, match="has no len"):
            ConnectionManager(config, library=library).query("SELECT 1")
        assert len(calls) == 1


class Named:
    """Calls PyMySQL's connect, and keeps what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, *, defer_connect=False, **arguments):
        self.asked.append(defer_connect)
        return pymysql.connect(**arguments, defer_connect=defer_connect)


def hands_on(**arguments):
    return pymysql.connect(**arguments)


def another_library_s(*args, **kwargs):
    assert "defer_connect" not in kwargs
    return pymysql.connect(*args, **kwargs)


@pytest.mark.parametrize(
    ("connect", "takes"),
    [
        (pymysql.connect, True),
        (pymysql.connections.Connection, True),
        (functools.partial(pymysql.connect, charset="utf8mb4"), True),
        (Named(), True),
        (hands_on, True),
        (another_library_s, False),
        (lambda host, user: (host, user), False),
        (dict, False),  # has no signature
    ],
    ids=["module's", "class", "partial", "names it", "any keyword", "another's", "neither", "in C"],
)
def test_what_a_connect_takes_is_told_from_its_signature(connect, takes):
    assert takes_defer_connect(connect) is takes


def test_a_connect_that_takes_defer_connect_has_it_and_another_s_works_without(config):
    named = Named()
    for library in (named, hands_on, another_library_s):
        db = ConnectionManager(config, library=library)
        assert db.query("SELECT @@SESSION.wait_timeout") == [(1,)]
        db.quit()
    assert named.asked == [True]


def test_every_option_and_connect_argument_is_one_of_the_manager_s_own_that_an_editor_shows():
    parameters = inspect.signature(ConnectionManager.__init__).parameters
    assert set(parameters) == NAMES | {"self", "config", "library", "connect_arguments"}
    for name, field in Options.__dataclass_fields__.items():
        if field.init and field.default is not dataclasses.MISSING:
            assert parameters[name].default == field.default, name
    pymysql_s = set(inspect.signature(pymysql.connections.Connection.__init__).parameters)
    # Ours to set; of no effect; other names for the same.
    left_out = {"self", "defer_connect", "compress", "named_pipe", "db", "passwd"}
    assert set(ConnectArguments.__annotations__) == pymysql_s - left_out


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("polcy", "policy"), ("hots", "host"), ("max_query_retry", "max_query_retries")]
)
def test_an_unknown_argument_is_refused_with_the_nearest_name(wrong, nearest):
    with pytest.raises(ValueError, match=f"'{wrong}'; the nearest is {nearest}"):
        ConnectionManager(**{wrong: None})


class WithoutSetNames(pymysql.connections.Connection):
    """Connects as PyMySQL before 1.1: what the manager puts in the place of SET NAMES is not called."""

    def connect(self, sock=None):
        vars(self).pop("set_character_set", None)
        super().connect(sock)


def test_a_client_that_sends_no_set_names_gets_them_too(made):
    """Else its connections would have the server's lease of 8 hours, and nobody would know."""
    db = made(library=WithoutSetNames, session_variables={"time_zone": "+03:00"})
    assert db.query("SELECT @@SESSION.wait_timeout, @@SESSION.time_zone") == [(1, "+03:00")]


def test_a_session_variable_that_the_server_refuses_leaves_no_connection(made, admin, target):
    for library in (pymysql, WithoutSetNames):
        db = made(library=library, session_variables={"no_such_variable": 1})
        with pytest.raises(pymysql.MySQLError) as raised:
            db.query("SELECT 1")
        assert raised.value.args[0] == 1193
        wait_until(lambda: ids_on_the_server(admin, target) == set())


def test_a_collation_goes_with_them(made):
    db = made(collation="utf8mb4_bin")
    assert db.query("SELECT @@collation_connection, @@SESSION.wait_timeout") == [("utf8mb4_bin", 1)]


def test_any_cursor_class_will_do(made):
    db = made(cursorclass=DictCursor)
    for _ in range(3):
        with db.invocation():
            assert db.query("SELECT 1 AS one") == [{"one": 1}]
    assert db.stats.connects_count == 2


# Callbacks


def recorded(names):
    told = []

    def recorder(name):
        return lambda *args: told.append((name, *args))

    return told, {f"on_{name}": recorder(name) for name in names}


def test_connect_and_close_are_told(made):
    told, callbacks = recorded(["connect", "close"])
    db = made(**callbacks)
    db.connect()
    client = db.get_client()
    db.quit()
    assert told == [("connect", client), ("close",)]


def test_retries_and_the_end_of_patience_are_told(made, target):
    told, callbacks = recorded(["retry", "connect_error"])
    with filled(target), pytest.raises(NoConnection) as raised:
        made(Managed(patience_s=0.3), backoff="full", **callbacks).query("SELECT 1")
    *retries, last = told
    assert last == ("connect_error", raised.value)
    assert [count for _, _, count, _, _ in retries] == list(range(1, len(retries) + 1))
    assert {(error.args[0], algorithm) for _, error, _, _, algorithm in retries} == {(1040, "full")}
    assert all(delay_s <= 0.1 for _, _, _, delay_s, _ in retries)


def test_an_own_backoff_is_asked_with_the_last_wait_and_the_count(made, target):
    asked = []

    def backoff(last_s, count):
        asked.append((last_s, count))
        return 0.05

    told, callbacks = recorded(["retry"])
    with filled(target), pytest.raises(NoConnection):
        made(Managed(max_retries=3), backoff=backoff, **callbacks).query("SELECT 1")
    assert asked == [(0.0, 1), (0.05, 2), (0.05, 3)]
    assert [entry[2:] for entry in told] == [(1, 0.05, "custom"), (2, 0.05, "custom"), (3, 0.05, "custom")]


def refusing(code, try_s=0.0):
    def refuse(**_arguments):
        time.sleep(try_s)
        error = pymysql.OperationalError(code, "as if")
        error.original_exception = ConnectionRefusedError()
        raise error

    return refuse


def first_wait_s(code, try_s):
    told, callbacks = recorded(["retry"])
    db = ConnectionManager(library=refusing(code, try_s), policy=Managed(max_retries=1), **callbacks)
    with pytest.raises(NoConnection):
        db.query("SELECT 1")
    return told[0][3]


@pytest.mark.parametrize(("code", "is_calm"), [(1040, True), (1226, True), (2003, False)])
def test_a_full_server_is_asked_the_more_rarely_the_slower_it_refuses(code, is_calm):
    """A host that cannot be reached refuses nobody: those tries cost no server any work."""
    assert (first_wait_s(code, 0.02) >= 40 * 0.02) is is_calm


def test_a_server_that_is_down_is_not_asked_again_at_once_as_one_is_that_was_full_for_a_moment():
    """The first wait for a full one has a test of its own, as a pure function of how long the try took."""
    assert 0.2 <= first_wait_s(2003, 0.0) <= 0.4


@pytest.mark.parametrize("code", [1040, 2003])
def test_an_own_backoff_is_told_how_many_tries_there_were_full_server_or_down(code):
    counts = []
    db = ConnectionManager(
        library=refusing(code),
        policy=Managed(max_retries=2),
        backoff=lambda _last_s, tries_count: counts.append(tries_count) or 0.0,
    )
    with pytest.raises(NoConnection):
        db.query("SELECT 1")
    assert counts == [1, 2]


def test_an_own_backoff_may_ask_how_long_the_try_took():
    def refuse(**_arguments):
        time.sleep(0.005)
        raise pymysql.OperationalError(1040, "as if")

    asked = []
    db = ConnectionManager(
        library=refuse, policy=Managed(max_retries=1), backoff=lambda *told: asked.append(told) or 0.0
    )
    with pytest.raises(NoConnection):
        db.query("SELECT 1")
    [(last_s, tries_count, try_s)] = asked
    assert (last_s, tries_count) == (0.0, 1)
    assert try_s >= 0.005


def test_a_connection_that_breaks_is_told_and_counted(made, admin):
    told, callbacks = recorded(["error"])
    db = made(**callbacks)
    with killed_in_the_middle(admin, own_id(db)), pytest.raises(pymysql.OperationalError) as raised:
        db.query("SELECT SLEEP(20)")
    assert told == [("error", raised.value)]
    assert db.get_error_count() == 1


def test_query_retries_are_told_and_counted_on_their_own(made):
    """A statement that is interrupted, by `KILL QUERY` or a limit, took no effect."""
    told, callbacks = recorded(["query_retry"])
    db = made(max_query_retries=2, query_retry_backoff=lambda _last_s, count: 0.01 * count, **callbacks)
    with pytest.raises(pymysql.MySQLError) as raised:
        db.query("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if by deadlock'")
    assert raised.value.args[0] == 1213
    assert [entry[2:] for entry in told] == [(1, 0.01, "custom"), (2, 0.02, "custom")]
    assert db.stats.query_retries_count == 2
    assert db.stats.refused_count == 0


def test_kills_and_failing_kills_are_told(mariadb_target, admin_of_mariadb, monkeypatch):
    """`classic` only, and on MariaDB: on MySQL 8.0 and later it finds nobody."""
    config = {**mariadb_target.functions.connect_arguments(), "ssl_disabled": True}
    told, callbacks = recorded(["kill", "kill_error"])
    sleeper = pymysql.connect(**config)
    db = ConnectionManager(config, policy=Classic(utilisation_ratio=0.01, zombie_min_s=1.0), **callbacks)
    identity = sleeper.thread_id()
    try:
        wait_until(lambda: slept(admin_of_mariadb, identity) >= 1)
        with db.invocation():
            db.query("SELECT 1")
        assert ("kill", identity) in [entry[:2] for entry in told]
        del told[1:]
        assert told[0][2] >= 1.0
        assert db.stats.killed_count == 1
        # Another was gone when its KILL came.
        wait_until(lambda: slept(admin_of_mariadb, identity) is None)
        monkeypatch.setattr("loadtest.manager.census.sleepers", lambda *_: [(identity, 2.0)])
        late = ConnectionManager(config, policy=Classic(utilisation_ratio=0.0, zombie_min_s=0.0), **callbacks)
        with late.invocation():
            late.query("SELECT 1")
        late.quit()
        assert [entry[0] for entry in told] == ["kill", "kill_error"]
        assert told[1][1].args[0] == 1094
        assert late.stats.killed_count == 0
    finally:
        db.quit()


def slept(cursor, identity):
    cursor.execute("SELECT time FROM information_schema.processlist WHERE id = %s", (identity,))
    row = cursor.fetchone()
    return row[0] if row else None


@pytest.mark.parametrize("event", ["on_connect", "on_close", "on_error", "on_retry", "on_query_retry"])
def test_an_exception_of_a_callback_changes_no_outcome(made, admin, target, caplog, event):
    def fail(*_):
        raise ZeroDivisionError("the callback's own")

    db = made(**{event: fail}, max_query_retries=1, backoff=lambda *_: 0.01)
    with db.invocation():
        if event == "on_error":
            with killed_in_the_middle(admin, own_id(db)), pytest.raises(pymysql.OperationalError):
                db.query("SELECT SLEEP(20)")
        if event == "on_query_retry":
            with pytest.raises(pymysql.MySQLError, match="as if"):
                db.query("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if'")
        if event == "on_retry":
            db.quit()
            with filled(target) as taken:
                db._options.wait_s = lambda *_: taken.pop().close() or 0.05
                assert db.query("SELECT 1") == [(1,)]
        assert db.query("SELECT 1") == [(1,)]
    assert f"the callback {event} failed" in caplog.text


def test_the_log_has_numbers_and_no_secret(made, admin, target, caplog):
    caplog.set_level(logging.DEBUG, logger="loadtest.manager")
    db = made()
    with killed_in_the_middle(admin, own_id(db)), pytest.raises(pymysql.OperationalError):
        db.query("SELECT SLEEP(20), 'a secret'")
    with pytest.raises(pymysql.OperationalError):
        made(password="another secret").query("SELECT 1")
    assert "connection lost: 2013 CR_SERVER_LOST" in caplog.text
    assert "no connection: 1045 ER_ACCESS_DENIED_ERROR after 1 tries" in caplog.text
    assert "secret" not in caplog.text
    assert target.functions.password not in caplog.text
    assert "secret" not in repr(db.stats)


def test_the_counters(made, admin, target):
    db = made(Managed())
    assert db.get_counter() == 0
    often(db, 3)
    assert db.get_counter() == 2  # the first invocation closed its connection
    assert (db.stats.connects_count, db.stats.reuses_count, db.stats.closed_count) == (2, 1, 1)
    assert db.get_client().thread_id() in ids_on_the_server(admin, target)
    session = db._session
    assert repr(session) == f"<Session on connection {db.get_client().thread_id()}, lease 1 s, 2 invocations>"
    db.quit()
    assert repr(session) == "<Session closed, 2 invocations>"
    assert db.get_counter() == 0
    assert db.get_client() is None
