"""Managers on real servers."""

import pytest

from loadtest.manager import ConnectionManager
from loadtest.server import launch
from loadtest.server.choice import ServerChoice
from loadtest.server.connections import session


@pytest.fixture
def config(target):
    return {**target.functions.connect_arguments(), "ssl_disabled": True}


@pytest.fixture
def made(config):
    managers = []

    def make(policy=None, **more):
        managers.append(ConnectionManager(config, policy=policy, **more))
        return managers[-1]

    yield make
    for db in managers:
        db.quit()


@pytest.fixture
def admin(target):
    with session(target.admin) as cursor:
        yield cursor


@pytest.fixture
def ledger(admin):
    """An empty table; returns who stands in it."""
    admin.execute("TRUNCATE loadtest_ledger")
    admin.connection.commit()

    def there():
        admin.execute("SELECT invocation FROM loadtest_ledger ORDER BY invocation")
        return [row[0] for row in admin.fetchall()]

    return there


@pytest.fixture
def own_mariadb():
    """A private server that a test may stop, freeze and start again."""
    with launch.launched(ServerChoice("local"), 30) as target:
        yield target


@pytest.fixture
def admin_of_mariadb(mariadb_target):
    with session(mariadb_target.admin) as cursor:
        yield cursor
