"""Refused at the door, and what the manager makes of it; against real servers."""

import secrets
from contextlib import contextmanager

import pymysql
import pytest

from loadtest.manager import ConnectionManager, Managed, NoConnection
from loadtest.server.connections import connect, session
from tests.manager.acting import in_a_moment, invoke

SOON = Managed(patience_s=0.5)


# Refused


@contextmanager
def account(admin, target, limits="MAX_USER_CONNECTIONS 0"):
    """A new account with limits of its own."""
    name, password = f"limited_{secrets.token_hex(4)}", secrets.token_hex(8)
    admin.execute(f"CREATE USER {name}@'%%' IDENTIFIED BY %s WITH {limits}", (password,))
    admin.execute(f"GRANT ALL ON {target.functions.database}.* TO {name}@'%'")
    try:
        yield {
            **target.functions.connect_arguments(),
            "user": name,
            "password": password,
            "ssl_disabled": True,
        }
    finally:
        admin.execute(f"DROP USER {name}@'%'")


def test_the_limit_of_an_account_is_waited_out(admin, target):
    with account(admin, target, "MAX_USER_CONNECTIONS 2") as config:
        assert_waited_out(config, 1226)


def test_the_limit_of_every_account_is_waited_out(mysql_target):
    """MariaDB lets nobody change this one at run time."""
    with session(mysql_target.admin) as admin, account(admin, mysql_target) as config:
        admin.execute("SET GLOBAL max_user_connections = 2")
        try:
            assert_waited_out(config, 1203)
        finally:
            admin.execute("SET GLOBAL max_user_connections = 0")


def assert_waited_out(config, code):
    """With two connections taken, the most that there may be."""
    taken = [pymysql.connect(**config) for _ in range(2)]
    with pytest.raises(NoConnection) as raised:
        ConnectionManager(config, policy=SOON).query("SELECT 1")
    assert raised.value.args[0] == code
    db = ConnectionManager(config)
    with in_a_moment(taken.pop().close):
        assert db.query("SELECT 1") == [(1,)]
    db.quit()
    taken.pop().close()


def test_a_limit_that_counts_by_the_hour_is_not_waited_out(admin, target):
    """1226, too; only its text tells."""
    with account(admin, target, "MAX_CONNECTIONS_PER_HOUR 1") as config:
        pymysql.connect(**config).close()
        db = ConnectionManager(config)
        with pytest.raises(pymysql.OperationalError) as raised:
            db.query("SELECT 1")
        assert raised.value.args[0] == 1226
        assert (db.stats.refused_count, db.stats.waited_s) == (1, 0.0)


def test_the_limit_of_an_account_counts_its_own_connections_only(admin, target):
    """Others crowd the server to three quarters: that is not this account's pressure, nor the reverse."""
    others = [connect(target.functions) for _ in range(60)]
    try:
        with account(admin, target, "MAX_USER_CONNECTIONS 4") as config:
            policy = Managed(idle_ratio=0.0, calm_ratio=0.8, ask_every_s=0.0, ask_every_count=1)
            db = ConnectionManager(config, policy=policy)
            held = [pymysql.connect(**config) for _ in range(2)]
            invoke(db)
            assert db.get_client() is not None  # 3 of its own 4, not 63
            held.append(pymysql.connect(**config))
            invoke(db)
            assert db.get_client() is None  # 4 of 4, not 64 of 90
    finally:
        for connection in others:
            connection.close()
        for connection in held:
            connection.close()
        db.quit()


# Passwords


def test_a_password_that_was_rotated_is_fetched_again(admin, target):
    """1045, once, with credentials that are asked for."""
    with account(admin, target) as config:
        stored, asked = {"now": config["password"]}, []
        cached = {"password": config["password"]}

        def credentials(refused):
            """A cache that is emptied when the server refuses what is in it."""
            asked.append(refused and refused.args[0])
            if refused:
                cached["password"] = stored["now"]
            return dict(cached)

        db = ConnectionManager({**config, "password": ""}, credentials=credentials)
        assert db.query("SELECT 1") == [(1,)]
        db.quit()
        stored["now"] = secrets.token_hex(8)
        admin.execute(
            "SET PASSWORD FOR " + config["user"] + f"@'%' = {password_literal(target, stored['now'])}"
        )
        assert db.query("SELECT 1") == [(1,)]
        assert asked == [None, None, 1045]
        db.quit()


def password_literal(target, password):
    return f"PASSWORD('{password}')" if target.flavour == "mariadb" else f"'{password}'"


def test_credentials_that_stay_wrong_are_tried_once(config):
    asked = []
    db = ConnectionManager(config, credentials=lambda _: asked.append(1) or {"password": "wrong"})
    with pytest.raises(pymysql.OperationalError) as raised:
        db.query("SELECT 1")
    assert raised.value.args[0] == 1045
    assert len(asked) == 2
    assert db.stats.refused_count == 1
