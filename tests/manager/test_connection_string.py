"""Connection strings, without a server and on one."""

from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.manager import ConnectionManager
from loadtest.manager.connection_string import parse


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("mysql://db.example", {"host": "db.example"}),
        ("mysql://db.example/", {"host": "db.example"}),
        ("mariadb://db.example/shop", {"host": "db.example", "database": "shop"}),
        (
            "mysql://me:secret@db.example:3307/shop",
            {"host": "db.example", "port": 3307, "user": "me", "password": "secret", "database": "shop"},
        ),
        ("mysql://me@db.example", {"host": "db.example", "user": "me"}),
        ("mysql://me:@db.example", {"host": "db.example", "user": "me", "password": ""}),
        ("mysql://[::1]:3307/shop", {"host": "::1", "port": 3307, "database": "shop"}),
        (
            "mysql://m%40e:p%3Aa%2Fs%25s@db.example/sh%2Fop",
            {"host": "db.example", "user": "m@e", "password": "p:a/s%s", "database": "sh/op"},
        ),
        (
            "mysql://h/d?connect_timeout=3&read_timeout=2.5&autocommit=false&charset=utf8mb4&sql_mode=1",
            {
                "host": "h",
                "database": "d",
                "connect_timeout": 3,
                "read_timeout": 2.5,
                "autocommit": False,
                "charset": "utf8mb4",
                "sql_mode": "1",
            },
        ),
        ("mysql://h?init_command=DO+1%2C%272%27", {"host": "h", "init_command": "DO 1,'2'"}),
        ("mysql://h?local_infile=TRUE&x=", {"host": "h", "local_infile": True, "x": ""}),
    ],
)
def test_each_part_finds_its_argument(text, arguments):
    assert parse(text) == arguments


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "mysql://"),
        ("me:hunter2@db.example", "mysql://"),
        ("http://me:hunter2@db.example", "scheme"),
        ("mysql://me:hunter2@", "no host"),
        ("mysql:///shop", "no host"),
        ("mysql://me:hunter2@db.example:port", "port"),
        ("mysql://me:hunter2@db.example:70000", "port"),
        ("mysql://me:hunter2@db.example:0", "port is 0"),
        ("mysql://me:hun/ter2@db.example", "port"),
        ("mysql://me:hunter2#@db.example", "#"),
        ("mysql://me:hunter2@[::1/shop", "host"),
        ("mysql://me:hunter2@db.example/shop/window", "database"),
        ("mysql://me:hunter2 @db.example", "white space"),
        ("mysql://db.example?password=hunter2", "among its options"),
        ("mysql://db.example?1hunter2=1", "name of an option is malformed"),
        ("mysql://me:hunter?2=x@db.example/shop", "port"),
        ("mysql://me:33?hunter2=x@db.example/shop", "after its [?]"),
    ],
)
def test_a_malformed_one_is_refused_with_the_reason_and_without_the_password(text, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        ConnectionManager(text)
    assert "hun" not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.text(max_size=40))
def test_whatever_is_given_is_parsed_or_refused(text):
    with refused_at_most():
        parse("mysql://" + text)


@contextmanager
def refused_at_most():
    try:
        yield
    except ValueError as refused:
        if not str(refused).startswith("connection string: "):
            raise


def test_a_manager_connects_by_one(target):
    account = target.functions
    db = ConnectionManager(
        f"mysql://{account.user}:{account.password}@{account.host}:{account.port}/{account.database}"
        "?ssl_disabled=true&charset=utf8mb4&collation=utf8mb4_bin"
    )
    with db.invocation():
        assert db.query("SELECT DATABASE(), @@collation_connection") == [(account.database, "utf8mb4_bin")]


def test_config_takes_one_too_and_goes_over_what_was_there():
    db = ConnectionManager("mysql://me:old@one/shop", connect_timeout=3)
    assert db.config("mysql://me:new@two") == {
        "host": "two", "user": "me", "password": "new", "database": "shop", "connect_timeout": 3,
    }  # fmt: skip
    assert db.config(host="three")["host"] == db.get_config()["host"] == "three"
