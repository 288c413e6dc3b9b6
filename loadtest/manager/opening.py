"""Opens a connection with its session set up, in as few round trips as the library allows."""

import socket
from collections.abc import Callable, Mapping
from typing import Any

import pymysql
from pymysql.connections import Connection

from loadtest.manager.limited import limited
from loadtest.manager.sql import escape

CONNECT_TIMEOUT_S = 10.0  # PyMySQL's own
_addresses: dict[str, int] = {}  # how many each host had


def session_settings(lease_s: int | None, variables: Mapping[str, Any]) -> str:
    """Assignments for one SET statement; empty when there is nothing to set."""
    wanted = {**variables} if lease_s is None else {"wait_timeout": lease_s, **variables}
    return ", ".join(f"SESSION {name} = {escape(value)}" for name, value in wanted.items())


def open_connection(
    connect: Callable[..., Any], arguments: Mapping[str, Any], settings: str, patience_s: float | None
) -> Any:
    """A connection whose session has ``settings``; None of ``patience_s`` leaves the time unlimited.

    PyMySQL sends SET NAMES in every connect, and ours ride on that statement. A library that cannot
    wait with its connecting pays a round trip more. Raises the library's errors.
    """
    timeout_s = arguments.get("connect_timeout", CONNECT_TIMEOUT_S)
    if patience_s is not None:
        timeout_s = min(timeout_s, patience_s)
    given = {"autocommit": True, **arguments, "connect_timeout": timeout_s}
    try:
        connection = connect(**given, defer_connect=True)
    except TypeError:
        connection = connect(**given)
    if not isinstance(connection, Connection) or connection.open:
        if settings:
            with connection.cursor() as cursor:
                cursor.execute(f"SET {settings}")
        return connection
    if patience_s is not None:
        connection.connect_timeout = timeout_s / addresses_count(connection)
    try:
        _open_in_one(connection, settings, timeout_s)
    except pymysql.OperationalError as error:
        if isinstance(getattr(error, "original_exception", None), TimeoutError):
            _addresses.pop(connection.host, None)  # it may lead elsewhere by now
        raise
    return connection


def addresses_count(connection: Any) -> int:
    """Of its host: PyMySQL gives its connect_timeout to each of them in turn, and the function waits for all.

    Asked once for each host, as a look-up may be a round trip. Raises what PyMySQL raises for a name
    that is not found, so that nobody waits for that answer twice.
    """
    host = connection.host
    if connection.unix_socket:
        return 1
    if host not in _addresses:
        try:
            found = socket.getaddrinfo(host, connection.port, 0, socket.SOCK_STREAM)
        except OSError as error:
            told = pymysql.OperationalError(2003, f"Can't connect to MySQL server on {host!r} ({error})")
            told.original_exception = error  # type: ignore[attr-defined]
            raise told from error
        _addresses[host] = max(1, len(found))
    return _addresses[host]


def _open_in_one(connection: Any, settings: str, timeout_s: float) -> None:
    """PyMySQL's connect, its time limited as a whole, with our settings beside its SET NAMES."""

    are_set = not settings

    def set_names(charset: str, collation: str | None = None) -> None:
        nonlocal are_set
        are_set = True
        collate = f" COLLATE {collation}" if collation else ""
        connection.query(f"SET NAMES {charset}{collate}, {settings}")

    # A server that is stopped still completes the TCP handshake in its kernel: PyMySQL's
    # connect_timeout ends there, and reading the greeting would wait for ever.
    with limited(connection, timeout_s):
        if settings:
            connection.set_character_set = set_names
        try:
            connection.connect()
            if not are_set:
                connection.query(f"SET {settings}")  # before 1.1 PyMySQL's connect has no SET NAMES
        except BaseException:
            connection._force_close()
            raise
        finally:
            vars(connection).pop("set_character_set", None)
