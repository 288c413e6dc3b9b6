"""What a master tells its workers at the start of a test, and what a worker makes of it."""

import os
import socket
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError, ServerUnavailable, UsageError, WorkersMissing
from loadtest.settings.plan import Settings

NO_SERVER = (
    "no server: set LOADTEST_DSN to mysql://user:password@host:port/database, "
    "or run `loadtest server up`, which prints it"
)
ASK_S = 2
OF_OURS = ("docker", "local")  # kinds of servers


def server_of_process(*, may_be_told: bool) -> Dsn | None:
    """The DSN in LOADTEST_DSN; None if it is not set and ``may_be_told``, as a worker may.

    Raises :class:`ServerUnavailable` if it is missing, and :class:`UsageError` for what is no DSN.
    """
    text = os.environ.get("LOADTEST_DSN")
    if not text and not may_be_told:
        raise ServerUnavailable(NO_SERVER)
    return Dsn.parse(text) if text else None


def hints(server: Dsn | None, described: Mapping[str, Any]) -> dict[str, Any]:
    """What workers that were started elsewhere cannot know from their environment.

    The address of the ``server``, with the password, is told only if it is one that we start, by how it is
    ``described``: it is on this machine, and its accounts go when it does.
    """
    dsn = server.url() if server is not None and described.get("kind") in OF_OURS else ""
    variables = described.get("variables", {})
    names = [str(variables[name]) for name in ("hostname", "port") if name in variables]
    return {"dsn": dsn, "is_bench": "LOADTEST_REPETITION" in os.environ, "server_names": names}


def names_of(server: Dsn | None) -> list[str]:
    """What ``server`` calls itself, host and port, which is the same from everywhere.

    Empty where it says nothing, as when it has no connection left; and for None. Asked before a test, whose
    connects and statements are counted.
    """
    if server is None:
        return []
    try:
        with (
            closing(
                pymysql.connect(**server.connect_arguments(), connect_timeout=ASK_S, read_timeout=ASK_S)
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT @@hostname, @@port")
            return [str(name) for name in cursor.fetchone() or ()]
    except (pymysql.MySQLError, OSError, RuntimeError):
        return []


def check_same_server(names: list[str], order: Mapping[str, Any]) -> None:
    """Raises :class:`WorkersMissing` if a server of these ``names`` is not that of the master's ``order``."""
    masters = order["server_names"]
    if names and masters and names != masters:
        raise WorkersMissing(
            f"a worker (on {socket.gethostname()}) would load another server ({':'.join(names)}) than its "
            f"master watches ({':'.join(masters)}): set its LOADTEST_DSN to that one"
        )


def server_for(own: Dsn | None, told: str) -> Dsn:
    """A worker's server: its ``own``, from its environment, or the one that it was ``told``, "" for none.

    Raises :class:`ServerUnavailable`.
    """
    if own is None and not told:
        raise ServerUnavailable(f"a worker (on {socket.gethostname()}) has {NO_SERVER}")
    return own or Dsn.parse(told)


def as_seen_from_master(error: LoadtestError) -> LoadtestError:
    """What is wrong here, such as a strategy that is not there, was right where the bench checked it."""
    if not isinstance(error, UsageError):
        return error
    return WorkersMissing(f"a worker (on {socket.gethostname()}) cannot take part: {error}")


def settings_in(order: dict[str, Any], environment: Any) -> Settings:
    """The settings in a master's ``order``. Raises :class:`WorkersMissing` if this worker cannot obey it."""
    who = f"a worker (on {socket.gethostname()})"
    try:
        settings = msgspec.convert(order["settings"], Settings)
    except msgspec.ValidationError as error:
        raise WorkersMissing(f"{who} runs another version of loadtest than its master ({error})") from None
    if settings.model not in {user.model for user in environment.user_classes}:
        raise WorkersMissing(
            f"{who} was started with the locustfile of another model than {settings.model}: start it with "
            "`loadtest worker`, which takes either"
        )
    return settings
