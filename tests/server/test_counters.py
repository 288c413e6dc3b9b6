"""What a server counts for what is done to it: each row of the table in docs/reconciliation.md."""

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pymysql
import pytest

from loadtest.server import connections
from tests.server.pressure import full
from tests.waiting import wait_until

PAGE = (Path(__file__).parent.parent.parent / "docs" / "reconciliation.md").read_text("utf-8")
COUNTED = ("Connections", "Aborted_connects", "Aborted_clients", "Questions")
REFUSED, UNANSWERED = "Connection_errors_max_connections", "Aborted_connects_preauth"
COM_INIT_DB, COM_QUERY, COM_STATISTICS, COM_PING = 0x02, 0x03, 0x09, 0x0E
COM_STMT_PREPARE, COM_STMT_EXECUTE, COM_STMT_CLOSE, COM_RESET_CONNECTION = 0x16, 0x17, 0x19, 0x1F
TIMES = 10
QUIET_S = 0.2


class Counters:
    """Of one server, as seen on a connection that was there before; its own statements are left out."""

    def __init__(self, cursor):
        self._cursor = cursor
        self._before = self.read()
        self._mine_count = 0  # of its own statements since then

    def read(self):
        names = ", ".join(f"'{name}'" for name in (*COUNTED, REFUSED, UNANSWERED))
        self._cursor.execute(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})")
        return {name: int(value) for name, value in self._cursor.fetchall()}

    def execute(self, statement):
        self._mine_count += 1
        self._cursor.execute(statement)

    def grown(self):
        self._mine_count += 1
        now = self.read()
        now["Questions"] -= self._mine_count
        return {name: value - self._before[name] for name, value in now.items()}

    def start_anew(self):
        """Once what was done before has been counted, which may be a moment later."""

        def is_quiet():
            before = Counters(self._cursor)
            time.sleep(QUIET_S)
            return not any(before.grown().values())

        wait_until(is_quiet, what="a server that counts nothing more")
        self._before, self._mine_count = self.read(), 0

    def become(self, *wanted):
        """Ends of connections reach the server late."""
        return wait_until(
            lambda: tuple((grown := self.grown())[name] for name in COUNTED) == wanted and grown,
            what=f"{wanted}",
        )


@pytest.fixture
def counters(target):
    """None of what other tests left is under way any more."""
    with full(target):
        pass
    with connections.session(target.admin) as cursor:
        cursor.execute("SET SESSION wait_timeout = 28800")

        def alone():
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s",
                (target.functions.user,),
            )
            return cursor.fetchone() == (0,)

        wait_until(alone, what="a server that nobody uses")
        made = Counters(cursor)
        made.start_anew()
        yield made


@pytest.fixture
def ten(target, counters):
    """Ten connections whose own part is not counted."""
    made = [open_one(target) for _ in range(TIMES)]
    counters.become(TIMES, 0, 0, TIMES)
    counters.start_anew()
    yield made
    for connection in made:
        connection._force_close()


def open_one(target, **more):
    return pymysql.connect(**{**target.functions.connect_arguments(), "autocommit": None, **more})


def command(connection, number, body=b""):
    connection._execute_command(number, body)
    return connection._read_packet().get_all_data()


def prepared(connection):
    return command(connection, COM_STMT_PREPARE, b"DO 1")[1:5]


def in_the_middle(connection):
    connection._execute_command(COM_QUERY, "SELECT SLEEP(1)")
    connection._force_close()


NOTHING = {
    "COM_PING": lambda one: command(one, COM_PING),
    "COM_STATISTICS": lambda one: command(one, COM_STATISTICS),
    "COM_STMT_PREPARE": prepared,
    "COM_STMT_CLOSE": lambda one: one._execute_command(COM_STMT_CLOSE, prepared(one)),
}
STATEMENTS = {
    "a statement": lambda one: one.query("SELECT 1"),
    "a syntax error": lambda one: suppressed(one.query, "SELEKT 1"),
    "COM_INIT_DB": lambda one: command(one, COM_INIT_DB, one.db),
    "COM_RESET_CONNECTION": lambda one: command(one, COM_RESET_CONNECTION),
    "COM_STMT_EXECUTE": lambda one: command(
        one, COM_STMT_EXECUTE, prepared(one) + b"\0" + (1).to_bytes(4, "little")
    ),
}


def suppressed(function, *args):
    with suppress(pymysql.MySQLError):
        function(*args)


def row(name):
    """The numbers of the page's row that begins with ``name``."""
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {name}")]
    return tuple(int(re.match(r" *(\d+)", cell)[1]) for cell in line.split("|")[2:6])


def test_a_connect_is_a_connection_and_a_question(counters, target):
    for _ in range(TIMES):
        open_one(target)._force_close()
    counters.become(*add(row("connect, with"), row("close without")))


def add(*rows):
    return tuple(map(sum, zip(*rows, strict=True)))


@pytest.mark.parametrize("what", STATEMENTS)
def test_what_is_a_question(counters, ten, what):
    for connection in ten:
        STATEMENTS[what](connection)
    counters.become(*row("statement"))


@pytest.mark.parametrize("what", NOTHING)
def test_what_counts_nowhere(counters, ten, what):
    for connection in ten:
        NOTHING[what](connection)
        command(connection, COM_PING)  # answered in turn: the server has seen what has no answer
    counters.become(*row("COM_PING"))


def test_a_goodbye_is_a_question(counters, ten):
    for connection in ten:
        connection.close()
    counters.become(*row("goodbye"))


@pytest.mark.parametrize(
    "end", [lambda one: one._force_close(), in_the_middle], ids=["idle", "in a statement"]
)
def test_a_close_without_a_goodbye_is_an_aborted_client(counters, ten, end):
    for connection in ten:
        end(connection)
    statements_count = TIMES if end is in_the_middle else 0
    counters.become(*add(row("close without"), (0, 0, 0, statements_count)))


def test_an_expiry_is_an_aborted_client(counters, ten):
    for connection in ten:
        connection.query("SET SESSION wait_timeout = 1")
    counters.become(*add(row("close without"), row("statement")))


def test_the_victim_of_a_kill_is_an_aborted_client(counters, ten):
    for connection in ten:
        counters.execute(f"KILL {connection.thread_id()}")
    counters.become(*row("close without"))


def test_who_is_not_let_in_is_a_connection_that_was_aborted(counters, target):
    for _ in range(TIMES):
        with pytest.raises(pymysql.OperationalError, match="1045"):
            open_one(target, password="wrong")
    counters.become(*row("wrong password"))


def test_who_hangs_up_before_the_login_is_one_too(counters, target):
    for _ in range(TIMES):
        with socket.create_connection((target.functions.host, target.functions.port), 20) as talk:
            talk.recv(1)
    counters.become(*row("wrong password"))


def refuse(target):
    with pytest.raises(pymysql.OperationalError, match="1040"):
        open_one(target)


def test_a_full_server_refuses_one_after_the_other_by_connections_that_are_aborted(counters, target):
    with full(target):
        counters.start_anew()
        for _ in range(50):
            refuse(target)
        grown = counters.become(*row("50 connects"))
    assert refusals(grown, target) == 50
    assert grown[REFUSED] == (50 if target.flavour == "mysql" else 0)


@pytest.mark.nightly
def test_a_full_server_refuses_many_at_once_and_the_logins_that_succeeded_can_be_told(counters, target):
    with full(target):
        counters.start_anew()
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: refuse(target), range(400)))
        wait_until(lambda: refusals(counters.grown(), target) == 400, what="all of them")
        grown = counters.grown()
    logins_count = grown["Connections"] - grown["Aborted_connects"]
    assert logins_count + (grown[REFUSED] if target.flavour == "mariadb" else 0) == 0


def refusals(grown, target):
    if target.flavour == "mysql":
        return grown[REFUSED]
    return grown["Aborted_connects"] - grown[UNANSWERED]
