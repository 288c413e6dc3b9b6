"""A policy of a user's own, defined here and nowhere else, is obeyed by a manager on real servers."""

import ast
import re
from pathlib import Path

import pymysql
import pytest

import loadtest.manager
from loadtest.manager import ConnectionManager, NoConnection, Policy, SessionLost
from loadtest.manager.decision import (
    AskPressure,
    AskProcessList,
    Census,
    Close,
    Keep,
    Kill,
    Rhythm,
    Situation,
)
from loadtest.manager.errors import code_of
from tests.manager.acting import INSERT, filled, killed_in_the_middle, own_id, relayed
from tests.waiting import wait_until

INTERRUPTED = "SIGNAL SQLSTATE '70100' SET MYSQL_ERRNO = 1317, MESSAGE_TEXT = 'as if interrupted'"


class AlwaysClose(Policy):
    """What `direct` does, with a manager: three tries to connect, and one for everything else."""

    default_backoff = "decorrelated"

    def decide(self, _situation):
        return Close()

    def may_connect_again(self, _error, tries_count, _refused_count):
        return tries_count < 3

    def may_retry(self, error, is_harmless):
        return is_harmless and code_of(error) == 1317

    def may_send_again(self, _fate, _is_idempotent):
        return False


class KeepBelow(Policy):
    """Keeps while less than so much of the server is in use, and lends a connection for five seconds."""

    lease_s = 5

    def __init__(self, ratio=0.5, then=None):
        self.ratio = ratio
        self.then = then or Keep()
        self.seen = []

    def decide(self, situation):
        if not situation.is_fresh:
            return AskPressure(limit_cache_s=60.0)
        self.seen.append(situation)
        return self.then if situation.census.pressure_ratio < self.ratio else Close()


def invoke(db):
    with db.invocation(5.0):
        return own_id(db)


def test_a_policy_is_asked_what_becomes_of_the_connection(made):
    closing, keeping = made(AlwaysClose()), made(KeepBelow())
    assert len({invoke(closing) for _ in range(3)}) == 3
    assert len({invoke(keeping) for _ in range(3)}) == 1
    assert closing.stats.overhead_statements_count == 0
    assert keeping.stats.overhead_statements_count == 3 + 1  # the limits once


def test_it_sees_the_pressure_and_closes_when_there_is_too_much(made, target):
    policy = KeepBelow()
    db = made(policy)
    invoke(db)
    assert db.get_client() is not None
    with filled(target, beside={db.get_client().thread_id()}):
        invoke(db)
    assert db.get_client() is None
    calm, full = policy.seen
    assert calm.census.limit == full.census.limit
    assert full.census.pressure_ratio >= 0.9 > 0.5 > calm.census.pressure_ratio
    assert (full.rhythm.invocations_count, full.lease_s, 0 < full.left_s < 5.0) == (2, 5, True)


def test_its_lease_is_the_session_s(made):
    with made(KeepBelow()).invocation() as db:
        assert db.query("SELECT @@SESSION.wait_timeout") == [(5,)]
        assert db.lease_s == 5
    [(servers_own,)] = made(AlwaysClose()).query("SELECT @@GLOBAL.wait_timeout")
    assert made(AlwaysClose()).query("SELECT @@SESSION.wait_timeout") == [(servers_own,)]
    with pytest.raises(ValueError, match="wait_timeout is set by the policy's lease_s"):
        made(KeepBelow(), session_variables={"wait_timeout": 60})


def test_a_lease_that_it_decides_on_is_set(made):
    db = made(KeepBelow(then=Keep(lease_s=9)))
    invoke(db)
    assert db.query("SELECT @@SESSION.wait_timeout") == [(9,)]


def test_it_decides_how_often_a_connect_is_tried(made, target):
    told = []
    with filled(target), pytest.raises(NoConnection, match="3 tries"):
        made(AlwaysClose(), on_retry=lambda *args: told.append(args)).query("SELECT 1")
    assert [count for _, count, _, _ in told] == [1, 2]
    assert {algorithm for *_, algorithm in told} == {"decorrelated"}


def test_it_decides_which_statement_is_tried_again(made):
    db = made(AlwaysClose(), max_query_retries=2, query_retry_backoff=lambda *_: 0.001)
    with pytest.raises(pymysql.MySQLError, match="as if"):
        db.query(INTERRUPTED)
    assert db.stats.query_retries_count == 2
    with pytest.raises(pymysql.MySQLError, match="as if"):
        db.query(INTERRUPTED.replace("1317", "1213"))
    assert db.stats.query_retries_count == 2


def test_it_decides_whether_a_lost_statement_is_sent_again(target, config, ledger):
    for policy, lost in ((AlwaysClose(), True), (KeepBelow(), False)):
        with relayed(target.functions) as relay:
            db = ConnectionManager({**config, "port": relay.port}, policy=policy)
            db.connect()
            relay.cut_after = 3
            if lost:
                with pytest.raises(pymysql.OperationalError):
                    db.query(INSERT, ("lost",), idempotent=True)
            else:
                db.query(INSERT, ("again",), idempotent=True)
            db.quit()
    assert ledger().count("lost") == 1
    assert ledger().count("again") == 2


def test_a_session_s_own_state_is_guarded_unless_it_says_otherwise(made, admin):
    class Careless(KeepBelow):
        guards_session = False
        checks_before_use = False

    for policy, survives in ((KeepBelow(), False), (Careless(), True)):
        db = made(policy)
        with db.invocation():
            db.query("SET @mine = 7")
        assert (db.get_client() is not None) is survives
    assert db.query("SELECT @mine") == [(7,)]
    db = made(KeepBelow())
    with db.invocation():
        db.query("SET @mine = 7")
        admin.execute(f"KILL {db.get_client().thread_id()}")
        wait_until(lambda: db._session.is_dead())
        with pytest.raises(SessionLost):
            db.query("SELECT @mine")


@pytest.mark.parametrize("target", ["mariadb"], indirect=True)
def test_it_may_scan_and_kill(made):
    class Killing(Policy):
        def decide(self, situation):
            if not situation.is_fresh:
                return AskProcessList(used_cache_s=0.0, limit_cache_s=0.0)
            return Kill(1.0, close_if_none_died=True) if situation.census.oldest_s >= 1.0 else Keep()

    sleeper = pymysql.connect(**made().get_config())
    db = made(Killing())
    wait_until(lambda: invoke(db) and db.stats.killed_count > 0)
    with pytest.raises(pymysql.MySQLError):
        sleeper.ping(reconnect=False)
    sleeper.close()


def test_what_asks_for_ever_closes(made):
    class Asking(Policy):
        def decide(self, _situation):
            return AskPressure(limit_cache_s=60.0)

    db = made(Asking())
    invoke(db)
    assert db.get_client() is None


def test_a_connection_cut_in_the_middle_is_told_as_with_every_policy(made, admin):
    db = made(AlwaysClose())
    with (
        killed_in_the_middle(admin, own_id(db)),
        pytest.raises(pymysql.OperationalError, match="may have run"),
    ):
        db.query("SELECT SLEEP(20)")
    assert db.get_error_count() == 1


# Without a server: times and chance are arguments.


def test_a_policy_decides_on_plain_values():
    situation = Situation(Rhythm(0.0), census=Census(44, 90), is_fresh=True)
    assert KeepBelow().decide(situation) == Keep()
    assert KeepBelow(0.4).decide(situation) == Close()


def test_what_a_policy_does_not_say_has_an_answer():
    policy = KeepBelow()
    assert (policy.patience_s, policy.connect_limit_s(None, needed_s=0.1)) == (None, 5.0)
    assert policy.connect_limit_s(2.0, needed_s=0.5) == 1.5
    assert policy.connect_limit_s(0.1, needed_s=0.0) == 0.0
    assert policy.statement_limit_s(1.0, None) == 0.8
    assert policy.statement_limit_s(None, 3.0) == 3.0
    assert policy.is_expired(4.96, lease_s=5)
    assert not policy.is_expired(4.9, lease_s=5)
    assert not policy.is_expired(1e9, lease_s=0)
    assert policy.retry_wait_s(lambda last_s, count: last_s + count, 1.0, 2, None) == 3.0
    assert policy.retry_wait_s(lambda last_s, count: last_s + count, 1.0, 2, 2.9) is None


def test_a_policy_that_decides_nothing_cannot_be_made():
    with pytest.raises(TypeError, match="decide"):
        type("Undecided", (Policy,), {})()


def test_the_policy_on_the_manager_s_page_is_one():
    page = Path(__file__).parents[2].joinpath("docs", "manager.md").read_text("utf-8")
    code = re.search(r"## A policy of your own.*?```python\n(.*?)```", page, re.S)[1]
    there = {}
    exec(code, there)  # noqa: S102 - our own page
    policy = there["KeepBelow"](0.5)
    assert policy.decide(Situation(Rhythm(0.0))) == AskPressure(60.0)
    for used_count, expected in ((44, Keep()), (45, Close())):
        situation = Situation(Rhythm(0.0), census=Census(used_count, 90), is_fresh=True)
        assert policy.decide(situation) == expected
    assert there["db"].lease_s == 5


def test_nobody_asks_which_policy_it_is():
    """Only who offers them or has one as its default knows the two that are shipped."""
    knowing = set()
    for path in Path(loadtest.manager.__file__).parent.glob("*.py"):
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)
        }
        knowing |= {path.stem} if names & {"Classic", "Managed"} else set()
    assert knowing == {"options"}
