"""The example functions answer, with a connection each time or one that they keep, and outlive its loss."""

import json
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest

from loadtest.bench.strategy_check import checked
from loadtest.fleet.real.dependencies import ready_launch
from loadtest.fleet.real.environment import Environment
from loadtest.fleet.real.runtime_api import Request
from loadtest.server import connections
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import parse
from tests.conftest import missing
from tests.swarm.locusts import run
from tests.waiting import wait_until

EXAMPLES = Path(__file__).parent.parent.parent.parent / "examples"
CONNECTS_EACH_TIME = ["python:python-direct/app.handler", "python:python-sqlalchemy/app.direct"]
KEEPS_ONE = ["python:python-cached/app.handler", "python:python-sqlalchemy/app.cached"]
DECIDES = ["python:python-managed/app.handler", "python:python-sqlalchemy/managed.handler"]
IN_NODE = ["node-mysql2/index.direct", "node-mysql2/index.cached", "node-serverless-mysql/index.handler"]
ROWS_OF_A_GROUP = 5


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A copy of the Node.js examples, for which a run installs from the registry that npm is set up for."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("Node.js or npm is not installed (Debian: apt-get install nodejs npm)")
    copies = tmp_path_factory.mktemp("examples")
    for folder in EXAMPLES.glob("node-*"):
        shutil.copytree(folder, copies / folder.name, ignore=shutil.ignore_patterns("node_modules"))
    strategies = [f"s{number}=lambda:node:{copies}/{function}" for number, function in enumerate(IN_NODE)]
    notes = []
    assert checked(strategies, Settings(), notes.append).left_out == []
    assert notes == [
        f"installing mysql2 with npm in {copies}/node-mysql2",
        f"installing mysql2, serverless-mysql with npm in {copies}/node-serverless-mysql",
    ]
    return copies


@contextmanager
def started(target, tmp_path, spec, examples=EXAMPLES, tls="off"):
    (part,) = parse(f"shop=lambda:{spec}")
    server = target.functions
    variables = {
        "MYSQL_HOST": server.host,
        "MYSQL_PORT": str(server.port),
        "MYSQL_USER": server.user,
        "MYSQL_PASSWORD": server.password,
        "MYSQL_DATABASE": server.database,
        "MYSQL_TLS": tls,
        "WORK_MS": "2",
    }
    made = Environment(ready_launch(part, str(examples)), variables, tmp_path / "log")
    try:
        made.start()
        yield made
    finally:
        made.kill()


def answer(environment):
    """The number of rows that it found."""
    request = Request("id-1", b'{"id": "1/0", "group": 3}', int(1000 * (time.time() + 10)), "arn:x", "Root=1")
    with gevent.Timeout(20):
        outcome = environment.invoke(request)
    assert outcome.failure is None, outcome
    return json.loads(outcome.answer)


def ids(target, cursor):
    cursor.execute(
        "SELECT id FROM information_schema.processlist WHERE user = %s ORDER BY id", (target.functions.user,)
    )
    return [row[0] for row in cursor.fetchall()]


def check_it_keeps_one_and_outlives_its_loss(target, tmp_path, spec, examples=EXAMPLES):
    with connections.session(target.admin) as cursor, started(target, tmp_path, spec, examples) as function:
        wait_until(lambda: not ids(target, cursor), what="the end of what others have left")
        assert answer(function) == ROWS_OF_A_GROUP
        (kept,) = ids(target, cursor)
        assert answer(function) == ROWS_OF_A_GROUP
        assert ids(target, cursor) == [kept]
        cursor.execute(f"KILL {kept}")
        wait_until(lambda: not ids(target, cursor), what="the end of what was killed")
        assert answer(function) == ROWS_OF_A_GROUP, "over a new connection"
        (second,) = ids(target, cursor)
        assert second != kept


def check_it_outlives_the_servers_timeout(target, tmp_path, spec, examples=EXAMPLES):
    with connections.session(target.admin) as cursor:
        cursor.execute("SELECT @@GLOBAL.wait_timeout")
        (before,) = cursor.fetchone()
        cursor.execute("SET GLOBAL wait_timeout = 1")
        try:
            with started(target, tmp_path, spec, examples) as function:
                assert answer(function) == ROWS_OF_A_GROUP
                wait_until(lambda: not ids(target, cursor), what="the end of what was idle")
                assert answer(function) == ROWS_OF_A_GROUP
        finally:
            cursor.execute(f"SET GLOBAL wait_timeout = {before}")


def check_it_leaves_none(target, tmp_path, spec, examples=EXAMPLES):
    with connections.session(target.admin) as cursor, started(target, tmp_path, spec, examples) as function:
        assert [answer(function), answer(function)] == [ROWS_OF_A_GROUP] * 2
        wait_until(lambda: not ids(target, cursor), what="the goodbye")


@pytest.mark.parametrize("spec", CONNECTS_EACH_TIME)
def test_a_function_that_connects_each_time_leaves_none(target, tmp_path, spec):
    check_it_leaves_none(target, tmp_path, spec)


@pytest.mark.parametrize("spec", KEEPS_ONE)
def test_a_function_that_keeps_its_connection_outlives_a_kill(target, tmp_path, spec):
    check_it_keeps_one_and_outlives_its_loss(target, tmp_path, spec)


@pytest.mark.parametrize("spec", [*KEEPS_ONE, *DECIDES])
def test_a_function_that_may_keep_its_connection_outlives_the_servers_timeout(target, tmp_path, spec):
    check_it_outlives_the_servers_timeout(target, tmp_path, spec)


@pytest.mark.nightly
def test_mysql2_that_connects_each_time_leaves_none(target, tmp_path, installed):
    check_it_leaves_none(target, tmp_path, "node:node-mysql2/index.direct", installed)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "spec", ["node:node-mysql2/index.cached", "node:node-serverless-mysql/index.handler"]
)
def test_a_node_function_that_keeps_its_connection_outlives_its_loss(target, tmp_path, installed, spec):
    check_it_keeps_one_and_outlives_its_loss(target, tmp_path, spec, installed)
    check_it_outlives_the_servers_timeout(target, tmp_path, spec, installed)


@pytest.mark.nightly
@pytest.mark.parametrize("function", IN_NODE)
def test_the_node_examples_answer_under_load_with_tls(mariadb_target, tmp_path, installed, function):
    if not mariadb_target.variables["tls"]:
        missing("openssl is not installed")
    spec = f"shop=lambda:node:{installed}/{function}"
    ran = run(
        mariadb_target, tmp_path / "r", spec, rate=20.0, duration_s=3.0, tls="on", provisioned=4,
        function_timeout_s=5.0,
    )  # fmt: skip
    assert ran.errors() == {""}
    assert len(ran.invocations) > 40
