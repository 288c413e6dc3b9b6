"""What the server says about its connections and counters, seen from outside.

It shares no SQL with the manager's own census, so that a bug there cannot hide itself here.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pymysql.cursors import Cursor

from loadtest.server import flavour
from loadtest.server.target import Target

COUNTERS = ("Aborted_clients", "Questions", "Uptime")
STATEMENTS_COUNT = 2  # of :func:`ask`


class CensusQueries(NamedTuple):
    """The SQL that fits one kind of server."""

    flavour: str
    connections: str  # one row: connections, running, sleeping, oldest sleep, max_connections
    counters: str


@dataclass(frozen=True, slots=True)
class Census:
    """Connections of functions, also those that are still logging in.

    The counters are of all clients, the harness's too, since the server's start.
    """

    connections_count: int
    running_count: int
    sleeping_count: int
    oldest_sleep_s: float | None
    max_connections: int
    refused_count: int | None
    aborted_clients_count: int | None
    questions_count: int | None
    opened_count: int | None  # logins that succeeded, and those that are under way
    uptime_s: int | None


def shared_account(target: Target) -> bool:
    """Whether the harness has no account of its own."""
    return target.admin.user == target.functions.user


def queries(of: str, performance_schema: bool, harness_user: str | None) -> CensusQueries:
    """The statements of a census on a server ``of`` a flavour, mysql or mariadb.

    They exclude the server's own threads and the harness's connections: those of ``harness_user``, or only
    the asking one if that is None. ``performance_schema``: the server has it switched on.
    """
    mine = "id <> CONNECTION_ID()" if harness_user is None else f"{_USER} <> '{_escaped(harness_user)}'"
    connections = (
        "SELECT COUNT(*), COALESCE(SUM(command <> 'Sleep'), 0), COALESCE(SUM(command = 'Sleep'), 0), "  # noqa: S608
        f"MAX(IF(command = 'Sleep', {flavour.sleep_seconds(of)}, NULL)), @@GLOBAL.max_connections "
        f"FROM {flavour.process_list(of, performance_schema)} "
        f"WHERE {mine} AND command NOT IN ({_DAEMONS}) AND {_USER} NOT IN ('system user', 'event_scheduler')"
    )
    names = ", ".join(f"'{name}'" for name in (*COUNTERS, *flavour.COUNTERS[of]))
    return CensusQueries(of, connections, f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})")


_USER = "COALESCE(user, '')"  # null for a moment, and null compares with nothing
_DAEMONS = "'Daemon', 'Slave_IO', 'Slave_SQL', 'Slave_worker'"


def _escaped(user: str) -> str:
    return user.replace("\\", "\\\\").replace("'", "''")


def ask(cursor: Cursor, queries: CensusQueries) -> Census:
    """Runs two statements, which take 0.6 ms (MySQL) to 0.9 ms. Raises PyMySQL's errors."""
    cursor.execute(queries.connections)
    row = cursor.fetchone() or (0, 0, 0, None, 0)
    cursor.execute(queries.counters)
    counters = {str(name): int(value) for name, value in cursor.fetchall()}
    return Census(
        connections_count=int(row[0]),
        running_count=int(row[1]),
        sleeping_count=int(row[2]),
        oldest_sleep_s=None if row[3] is None else float(row[3]),
        max_connections=int(row[4]),
        refused_count=flavour.refused_count(queries.flavour, counters),
        aborted_clients_count=counters.get("Aborted_clients"),
        questions_count=counters.get("Questions"),
        opened_count=flavour.opened_count(queries.flavour, counters),
        uptime_s=counters.get("Uptime"),
    )


def take(cursor: Cursor, target: Target) -> Census:
    """A census with the SQL that fits the target. Raises PyMySQL's errors."""
    performance_schema = target.variables.get("performance_schema") == "ON"
    user = None if shared_account(target) else target.admin.user
    return ask(cursor, queries(target.flavour, performance_schema, user))


def others(cursor: Cursor, target: Target) -> list[int]:
    """Ids of all connections except the harness's own. Raises PyMySQL's errors."""
    cursor.execute(
        f"SELECT id FROM information_schema.processlist WHERE {_USER} <> %s AND command NOT IN ({_DAEMONS}) "  # noqa: S608
        f"AND {_USER} NOT IN ('system user', 'event_scheduler')",
        (target.admin.user,),
    )
    return [int(row[0]) for row in cursor.fetchall()]
