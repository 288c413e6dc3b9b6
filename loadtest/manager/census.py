"""Asks the server about its connections. Everything here raises the library's errors."""

import re
from typing import Any

from pymysql import MySQLError
from pymysql.constants import COMMAND
from pymysql.cursors import Cursor

from loadtest.manager.decision import Census
from loadtest.manager.errors import code_of, is_lost

# serverless-mysql 2.1.0 filters by user only in appearance: its condition ends in OR true.
CLASSIC_USED = "SELECT COUNT(id), MAX(time) FROM information_schema.processlist"
CLASSIC_LIMIT = (
    "SELECT IF(@@max_user_connections > 0, "
    "LEAST(@@max_user_connections, @@max_connections), @@max_connections)"
)
CLASSIC_SLEEPERS = (
    "SELECT id, time FROM information_schema.processlist "
    "WHERE command = 'Sleep' AND time >= %s AND user = %s ORDER BY time DESC"
)
LIMITS = "SELECT @@max_connections, @@max_user_connections"
# Without PROCESS an account sees its own connections, which are those that its limit counts.
OWN = (
    "SELECT COUNT(*) FROM information_schema.processlist WHERE user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1)"
)


def rows(connection: Any, sql: str, args: Any = None) -> list[tuple[Any, ...]]:
    """Runs a statement; the rows as tuples, whatever cursor class a PyMySQL connection was given."""
    ours = hasattr(connection, "cursorclass")
    with connection.cursor(Cursor) if ours else connection.cursor() as cursor:
        cursor.execute(sql, args)
        return list(cursor.fetchall())


def classic_limit(connection: Any) -> int:
    """How many connections the account of ``connection`` may have, at most as many as the server."""
    return int(rows(connection, CLASSIC_LIMIT)[0][0])


def classic_census(connection: Any, limit: int) -> Census:
    """Scans the process list, as serverless-mysql 2.1.0 does at the end of every invocation.

    ``limit`` is the one that :func:`classic_limit` returned.
    """
    used, oldest = rows(connection, CLASSIC_USED)[0]
    return Census(int(used), limit, float(oldest or 0))


def sleepers(connection: Any, idle_s: float, user: str) -> list[tuple[int, float]]:
    """Ids and idle seconds of the connections of ``user`` that have slept for at least ``idle_s`` seconds."""
    return [(int(row[0]), float(row[1])) for row in rows(connection, CLASSIC_SLEEPERS, (idle_s, user))]


def limits(connection: Any) -> tuple[int, int]:
    """``max_connections`` and the account's own limit (0: it has none)."""
    server, own = rows(connection, LIMITS)[0]
    return int(server), int(own)


def used_count(connection: Any) -> int | None:
    """Connections in use, by COM_STATISTICS, which costs about as much as a ping and needs no privilege.

    None where that is not to be had: on MariaDB, whose "Threads" includes cached ones; with a library that
    has no such command; from a server or a proxy that does not know it.
    """
    mariadb = "MariaDB" in str(connection.get_server_info() or "")
    if mariadb or not hasattr(connection, "_execute_command"):
        return None
    connection._execute_command(COMMAND.COM_STATISTICS, b"")
    try:
        text = connection._read_packet().get_all_data().decode("ascii", "replace")
    except MySQLError as error:
        if is_lost(error) or code_of(error) is None:
            raise
        return None
    found = re.search(r"Threads: (\d+)", text)
    return int(found[1]) if found else None


def connected_count(connection: Any) -> int:
    """Connections in use, by a statement, which costs more and works everywhere."""
    return int(rows(connection, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")[0][1])


def own_count(connection: Any) -> int:
    """Connections in use by this account."""
    return int(rows(connection, OWN)[0][0])
