"""Another user or another database on a manager that is connected."""

import pymysql
import pytest

from tests.manager.acting import own_id


def test_the_database_alone_changes_on_the_open_connection(made):
    db = made()
    identity = own_id(db)
    db.change_user(database="information_schema")
    assert db.query("SELECT DATABASE(), CONNECTION_ID()") == [("information_schema", identity)]
    db.quit()
    assert db.query("SELECT DATABASE()") == [("information_schema",)]


def test_a_database_that_is_not_there_changes_nothing(made, target):
    db = made()
    with pytest.raises(pymysql.OperationalError) as raised:
        db.change_user(database="nowhere")
    assert raised.value.args[0] in (1044, 1049)
    db.quit()
    assert db.query("SELECT DATABASE()") == [(target.functions.database,)]


def test_another_user(made, admin):
    admin.execute("CREATE USER other@'%' IDENTIFIED BY 'of a test'")
    try:
        db = made()
        db.connect()
        db.change_user("other", "of a test", "information_schema")
        assert db.query("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()") == [
            ("other", "information_schema")
        ]
        db.quit()
    finally:
        admin.execute("DROP USER other@'%'")


def test_an_unknown_user_is_refused_and_the_old_one_stays(made, target):
    db = made()
    db.connect()
    with pytest.raises(pymysql.OperationalError) as raised:
        db.change_user("nobody", "wrong")
    assert raised.value.args[0] == 1045
    assert db.query("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)") == [(target.functions.user,)]


def test_another_user_is_refused_where_credentials_decide(made, config):
    db = made(credentials=lambda _: {"user": config["user"], "password": config["password"]})
    with pytest.raises(ValueError, match="come from credentials"):
        db.change_user("other", "of a test")
    db.change_user(database="information_schema")
    assert db.query("SELECT DATABASE()") == [("information_schema",)]


def test_use_in_a_query_lasts_as_long_as_the_connection(made, target):
    """As any state of the session; what has to last stands in the config."""
    db = made()
    db.query("USE information_schema")
    assert db.query("SELECT DATABASE()") == [("information_schema",)]
    db.quit()
    assert db.query("SELECT DATABASE()") == [(target.functions.database,)]
