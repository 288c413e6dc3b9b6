"""A server that the user named: used as it is, never started, stopped or reconfigured."""

import os
from contextlib import closing, suppress
from dataclasses import replace

import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server import census, reach, rules, schema
from loadtest.server.target import Target, describe

TRIED_S = 5.0
LARGE = 500


def attach(text: str) -> Target:
    """Checks rights and seeds the tables. Raises UsageError or :class:`ServerUnavailable`."""
    functions = reach.with_password(Dsn.parse(text))
    reach.try_for(functions, TRIED_S)
    admin = functions
    if os.environ.get(reach.ADMIN_VARIABLE):
        named = reach.with_password(
            Dsn.parse(os.environ[reach.ADMIN_VARIABLE]), reach.ADMIN_PASSWORD_VARIABLE
        )
        reach.try_for(named, TRIED_S)
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
    with reach.session(target.admin) as cursor:
        schema.drop(cursor)


def _check_rights(target: Target) -> None:
    user, database = target.admin.user, target.functions.database
    with reach.session(target.admin) as cursor:
        try:
            schema.create(cursor)
        except pymysql.Error as error:
            raise ServerUnavailable(
                rules.refused(
                    error,
                    f"{user!r} may not create and fill tables in {database!r}",
                    f"grant it CREATE, DROP, SELECT, INSERT, UPDATE and DELETE on `{database}`.*, or name an "
                    f"admin account in {reach.ADMIN_VARIABLE}",
                )
            ) from None
        try:
            census.take(cursor, target)
        except pymysql.Error as error:
            raise ServerUnavailable(
                rules.refused(
                    error,
                    f"{user!r} cannot see the server's status and connections",
                    f"name an account with PROCESS in {reach.ADMIN_VARIABLE}",
                )
            ) from None
        _check_sight(target, cursor)


def _check_sight(target: Target, cursor: "pymysql.cursors.Cursor") -> None:
    """An account without PROCESS sees its own connections only, and says nothing about it."""
    try:
        probe = reach.connect(target.functions, rules=None)
    except (pymysql.Error, OSError) as error:
        raise ServerUnavailable(reach.why(error, target.functions)) from None
    with closing(probe), probe.cursor() as own:
        own.execute("SELECT CONNECTION_ID()")
        cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE id = %s", own.fetchone())
        if cursor.fetchone() != (1,):
            raise ServerUnavailable(
                f"{target.admin.user!r} cannot see the connections of {target.functions.user!r}: "
                f"GRANT PROCESS ON *.* TO it, or name another account in {reach.ADMIN_VARIABLE}"
            )
        try:
            schema.probe(own)
        except pymysql.Error as error:
            raise ServerUnavailable(
                rules.refused(
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
            f"the server takes {target.max_connections} connections: pressure needs a load that fills them"
        )
    with reach.session(target.admin) as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
        others = int((cursor.fetchone() or ("", 1))[1]) - 1
    if others > 0:
        warnings.append(
            f"{others} connections of others are on the server: they take part in everything that is measured"
        )
    if target.admin.user == target.functions.user:
        warnings.append(
            f"the monitor uses the functions' own account {target.functions.user!r} and holds one of the "
            f"{target.max_connections} connections from before the pressure; name an admin account in "
            f"{reach.ADMIN_VARIABLE} to have it apart"
        )
    limit = target.variables.get("max_user_connections")
    if isinstance(limit, int) and 0 < limit < target.max_connections:
        warnings.append(
            f"{target.functions.user!r} has {limit} of the {target.max_connections} connections at most "
            "(max_user_connections): what is refused is 1203 or 1226, not 1040"
        )
    return tuple(warnings)
