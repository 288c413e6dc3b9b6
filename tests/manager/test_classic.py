"""The published policy on servers, with its flaws: each is here so that nobody corrects it by mistake."""

import time

import pymysql
import pytest

from loadtest.manager import Classic, ConnectionManager, Managed
from loadtest.server.connections import connect
from tests.manager.acting import INSERT, filled, ids_on_the_server, own_id, relayed
from tests.waiting import wait_until

EAGER = Classic(utilisation_ratio=0.01, zombie_min_s=1.0)


def invoke(db):
    with db.invocation():
        return own_id(db)


@pytest.fixture
def sleepers(target):
    """Connections of the functions' account that have slept for more than a second."""
    made = [connect(target.functions) for _ in range(5)]
    time.sleep(2.1)  # TIME counts whole seconds
    yield made
    for connection in made:
        connection.close()


def alive(connection):
    try:
        connection.ping(reconnect=False)
    except pymysql.MySQLError:
        return False
    return True


def test_it_keeps_its_connection_on_a_calm_server(made):
    db = made(Classic())
    assert invoke(db) == invoke(db)


def test_it_asks_twice_at_the_end_of_every_invocation_and_the_limit_every_15_s(made):
    db = made(Classic())
    for _ in range(3):
        invoke(db)
    assert db.stats.overhead_statements_count == 1 + 3
    caching = made(Classic(used_cache_s=60.0))
    for _ in range(3):
        invoke(caching)
    assert caching.stats.overhead_statements_count == 2


def test_it_closes_its_own_connection_under_pressure_when_there_is_nobody_to_kill(made, target):
    with filled(target) as taken:
        taken.pop().close()
        db = made(Classic(zombie_min_s=900.0, zombie_max_s=900.0))
        invoke(db)
        assert db.get_client() is None


@pytest.mark.parametrize("target", ["mariadb"], indirect=True)
def test_on_mariadb_it_kills_the_sleepers_of_its_account(made, sleepers):
    db = made(EAGER)
    invoke(db)
    assert db.get_client() is not None
    assert not any(map(alive, sleepers))
    assert db.stats.killed_count >= len(sleepers)


@pytest.mark.parametrize("target", ["mysql"], indirect=True)
def test_flaw_on_mysql_it_kills_nobody(made, sleepers):
    """The event scheduler's row makes the server's uptime the age of the oldest connection."""
    db = made(EAGER)
    invoke(db)
    assert all(map(alive, sleepers))
    assert db.stats.killed_count == 0
    assert db.get_client() is None  # it closes its own instead


def test_ours_gets_rid_of_zombies_on_both(made, admin):
    """The server does it, when the lease is over, without a KILL."""
    db = made(Managed(lease_s=3))
    invoke(db)
    zombie = invoke(db)
    admin.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE id = %s", (zombie,))
    assert admin.fetchone() == (1,)

    def gone():
        admin.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE id = %s", (zombie,))
        return admin.fetchone() == (0,)

    wait_until(gone)


def test_flaw_it_counts_the_connections_of_all_users_against_an_account_s_own_limit(made, admin, target):
    """The filter of its count ends in `OR true`."""
    ours = [connect(target.functions) for _ in range(12)]
    limited = {"user": "limited_classic", "password": "of a test"}
    admin.execute("CREATE USER limited_classic@'%' IDENTIFIED BY 'of a test' WITH MAX_USER_CONNECTIONS 10")
    admin.execute("GRANT PROCESS ON *.* TO limited_classic@'%'")
    try:
        theirs = made(Classic(zombie_min_s=900.0), database=None, **limited)
        managed = made(Managed(), database=None, **limited)
        for _ in range(2):
            invoke(theirs)
            invoke(managed)
        assert theirs.get_client() is None  # 12 of 10, but they are another account's
        assert managed.get_client() is not None  # 1 or 2 of 10
    finally:
        for connection in ours:
            connection.close()
        theirs.quit()
        managed.quit()
        admin.execute("DROP USER limited_classic@'%'")


def test_flaw_a_spent_budget_of_retries_makes_the_next_refusal_final(made, admin, target):
    with filled(target) as taken:
        theirs = made(Classic(max_retries=3), backoff=lambda *_: 0.01)
        ours = made(Managed(max_retries=3), backoff=lambda *_: 0.01)
        for db in (theirs, ours):
            with pytest.raises(pymysql.OperationalError), db.invocation():
                db.connect()
            assert db.stats.refused_count == 4
        with pytest.raises(pymysql.OperationalError), theirs.invocation():
            theirs.connect()
        assert theirs.stats.refused_count == 5  # one try, and given up

        def until_one_is_free(*_):
            identity = taken[-1].thread_id()
            taken.pop().close()
            wait_until(lambda: identity not in ids_on_the_server(admin, target))
            return 0.05

        with ours.invocation():
            ours._options.wait_s = until_one_is_free
            ours.connect()  # has its retries again


def test_flaw_the_wait_between_retries_of_a_query_does_not_grow(made):
    waits = []
    db = made(
        Classic(), max_query_retries=4, rng=Highest(), on_query_retry=lambda *told: waits.append(told[2])
    )
    with pytest.raises(pymysql.MySQLError, match="as if"):
        db.query("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if by deadlock'")
    assert waits == [0.002] * 4
    ours, waits[:] = (
        made(max_query_retries=4, rng=Highest(), on_query_retry=lambda *told: waits.append(told[2])),
        [],
    )
    with pytest.raises(pymysql.MySQLError, match="as if"):
        ours.query("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if by deadlock'")
    assert waits == sorted(set(waits))
    assert waits[-1] > 10 * waits[0]


class Highest:
    """Chance at its upper bound."""

    def uniform(self, _low, high):
        return high


def test_flaw_a_write_whose_answer_was_lost_runs_again(made, target, ledger):
    with relayed(target.functions) as relay:
        db = made(Classic(), port=relay.port)
        db.connect()
        relay.cut_after = 3
        assert db.query(INSERT, ("twice",)).affected_rows == 1
        assert ledger() == ["twice", "twice"]
        db.quit()


def test_ours_needs_no_process_and_kills_nobody(made, admin, sleepers):
    """Neither privilege nor KILL: the living of other accounts and of its own are left alone."""
    admin.execute("CREATE USER plain@'%' IDENTIFIED BY 'of a test'")
    neighbour = None
    try:
        db = made(Managed(ask_every_count=1), database=None, user="plain", password="of a test")
        neighbour = pymysql.connect(**{**db.get_config(), "autocommit": True})
        for _ in range(3):
            invoke(db)
        assert db.stats.overhead_statements_count > 0
        assert db.stats.killed_count == 0
        assert alive(neighbour)
        assert all(map(alive, sleepers))
        db.quit()
    finally:
        if neighbour is not None:
            neighbour.close()
        admin.execute("DROP USER plain@'%'")


def test_its_census_needs_process_to_see_anybody_else(made, admin, sleepers):
    admin.execute("CREATE USER plain@'%' IDENTIFIED BY 'of a test'")
    try:
        db = made(EAGER, database=None, user="plain", password="of a test")
        invoke(db)
        assert all(map(alive, sleepers))
        db.quit()
    finally:
        admin.execute("DROP USER plain@'%'")


def test_it_is_the_manager_that_closes_not_the_caller(made):
    db = ConnectionManager(made().get_config(), policy=Classic(), manage=False)
    assert invoke(db) == invoke(db)
    assert db.stats.overhead_statements_count == 0
    db.quit()
