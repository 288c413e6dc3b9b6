"""The state that the server has before each repetition."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pymysql
from pymysql.cursors import Cursor

from loadtest.dsn import Dsn
from loadtest.errors import ServerLost, ServerUnavailable
from loadtest.server import census, connections, restrictions, schema
from loadtest.server.diagnosis import trouble
from loadtest.server.target import Target

RESET_S = 10.0
GIVEN_RESET_S = 5.0
LOCK_S = 4  # below the 5 s after which a read gives up without saying why


def seed(admin: Dsn) -> None:
    """Creates both tables in the DSN's database. Raises ServerUnavailable."""
    with connections.session(admin) as cursor:
        try:
            schema.create(cursor)
        except pymysql.Error as error:
            raise ServerUnavailable(
                restrictions.refused(
                    error,
                    f"{admin.user!r} may not create and fill tables in {admin.database!r}",
                    f"grant it CREATE, DROP, SELECT, INSERT, UPDATE and DELETE on `{admin.database}`.*, or "
                    f"name an admin account in {connections.ADMIN_VARIABLE}",
                )
            ) from None


def reset(target: Target) -> None:
    """Resets the server: no function is connected, and the tables are as seeded.

    Connections of functions that are left are killed on a server of ours, and waited for up to 5 s on one of
    the user's. Raises ServerLost if the server does not answer, or if this takes longer than 10 s.
    """
    try:
        with _session_when_free(target) as cursor:
            _see_them_off(cursor, target)
            cursor.execute(f"SET SESSION lock_wait_timeout = {LOCK_S}")
            schema.restore(cursor)
    except ServerUnavailable as error:
        raise ServerLost(f"the server was lost: {trouble(target) or error}") from None
    except (pymysql.Error, OSError) as error:
        raise ServerLost(
            f"the server could not be brought back to its first state: {connections.short(error)}"
        ) from None


@contextmanager
def _session_when_free(target: Target) -> Iterator[Cursor]:
    """A session. A server without an admin account may be full for a moment after a repetition."""
    deadline = time.monotonic() + GIVEN_RESET_S
    with ExitStack() as stack:
        while True:
            try:
                cursor = stack.enter_context(connections.session(target.admin))
                break
            except connections.ServerFull:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield cursor


def _see_them_off(cursor: Cursor, target: Target) -> None:
    ours = target.kind != "given"
    deadline = time.monotonic() + (RESET_S if ours else GIVEN_RESET_S)
    while census.take(cursor, target).connections_count:
        if time.monotonic() > deadline:
            if not ours:
                return  # somebody else's, and the warnings say that they are there
            raise ServerLost(f"connections of functions were still there after {RESET_S:g} s of killing them")
        for victim in census.others(cursor, target) if ours else ():
            with suppress(pymysql.err.OperationalError, pymysql.err.InternalError):  # gone by itself
                cursor.execute(f"KILL {victim}")
        time.sleep(0.02)
