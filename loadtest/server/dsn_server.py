"""A server that the user named by its DSN: used as it is, never started, stopped or reconfigured."""

import os
from contextlib import closing, suppress
from dataclasses import replace

import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server import census, connections, restrictions, schema
from loadtest.server.reset import seed
from loadtest.server.target import Target, describe

TRIED_S = 5.0
LARGE = 500


def attach(dsn: Dsn) -> Target:
    """Checks rights and seeds the tables. Raises UsageError or :class:`ServerUnavailable`."""
    functions = connections.with_password(dsn)
    connections.try_for(functions, TRIED_S)
    admin = functions
    if os.environ.get(connections.ADMIN_VARIABLE):
        named = connections.with_password(
            Dsn.parse(os.environ[connections.ADMIN_VARIABLE]), connections.ADMIN_PASSWORD_VARIABLE
        )
        connections.try_for(named, TRIED_S)
        # tables and census are those of the functions' schema, whatever the admin's DSN names
        admin = replace(named, database=functions.database)
    target = describe(functions, admin, "given", None, timeout_s=TRIED_S)
    try:
        _check_rights(target)
        return replace(target, warnings=_warnings(target))
    except BaseException:
        with suppress(ServerUnavailable, pymysql.Error):
            detach(target)
        raise


def detach(target: Target) -> None:
    """Drops our tables. Raises :class:`ServerUnavailable`."""
    with connections.session(target.admin) as cursor:
        schema.drop(cursor)


def _check_rights(target: Target) -> None:
    seed(target.admin)
    with connections.session(target.admin) as cursor:
        try:
            census.take(cursor, target)
        except pymysql.Error as error:
            raise ServerUnavailable(
                restrictions.refused(
                    error,
                    f"{target.admin.user!r} cannot see the server's status and connections",
                    f"name an account with PROCESS in {connections.ADMIN_VARIABLE}",
                )
            ) from None
        _check_sight(target, cursor)


def _check_sight(target: Target, cursor: "pymysql.cursors.Cursor") -> None:
    """Without PROCESS an account sees only its own connections, and nothing tells."""
    try:
        probe = connections.connect(target.functions, rules=None)
    except (pymysql.Error, OSError) as error:
        raise ServerUnavailable(connections.why(error, target.functions)) from None
    with closing(probe), probe.cursor() as own:
        own.execute("SELECT CONNECTION_ID()")
        cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE id = %s", own.fetchone())
        if cursor.fetchone() != (1,):
            raise ServerUnavailable(
                f"{target.admin.user!r} cannot see the connections of {target.functions.user!r}: "
                f"GRANT PROCESS ON *.* TO it, or name another account in {connections.ADMIN_VARIABLE}"
            )
        try:
            schema.probe(own)
        except pymysql.Error as error:
            raise ServerUnavailable(
                restrictions.refused(
                    error,
                    f"{target.functions.user!r} may not read and write the tables in "
                    f"{target.functions.database!r}",
                    "grant it SELECT, INSERT, UPDATE and DELETE there",
                )
            ) from None


def _warnings(target: Target) -> tuple[str, ...]:
    warnings = list(target.warnings)
    if target.max_connections > LARGE:
        warnings.append(
            f"the server allows {target.max_connections} connections: pressure needs a load that uses them up"
        )
    with connections.session(target.admin) as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
        others = int((cursor.fetchone() or ("", 1))[1]) - 1
    if others > 0:
        warnings.append(
            f"{others} connections of other clients are on the server, and count in all that is measured"
        )
    if target.admin.user == target.functions.user:
        warnings.append(
            f"the monitor uses the functions' own account {target.functions.user!r} and holds one of the "
            f"{target.max_connections} connections from before the pressure; name an admin account in "
            f"{connections.ADMIN_VARIABLE} to have it apart"
        )
    limit = target.variables.get("max_user_connections")
    if isinstance(limit, int) and 0 < limit < target.max_connections:
        warnings.append(
            f"{target.functions.user!r} has {limit} of the {target.max_connections} connections at most "
            "(max_user_connections): what is refused is 1203 or 1226, not 1040"
        )
    return tuple(warnings)
