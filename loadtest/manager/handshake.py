"""One connect: the connection with its session set up, in as few round trips as the library allows."""

import functools
import inspect
import socket
from collections.abc import Callable, Mapping
from typing import Any

import pymysql
from pymysql.connections import Connection

from loadtest.manager.read_timeout import read_timeout
from loadtest.manager.sql import escape

CONNECT_TIMEOUT_S = 10.0  # PyMySQL's own default
_addresses: dict[str, int] = {}  # how many each host had


def session_settings(lease_s: int | None, variables: Mapping[str, Any]) -> str:
    """Assignments for one SET statement: the lease in seconds and ``variables``; empty without any."""
    wanted = {**variables} if lease_s is None else {"wait_timeout": lease_s, **variables}
    return ", ".join(f"SESSION {name} = {escape(value)}" for name, value in wanted.items())


def open_connection(
    connect: Callable[..., Any], arguments: Mapping[str, Any], settings: str, limit_s: float | None
) -> Any:
    """A connection whose session has ``settings``, had within ``limit_s`` seconds (None: no limit).

    ``connect`` is the library's, ``arguments`` are for it, and ``settings`` are assignments as SET takes
    them, "" for none. PyMySQL sends SET NAMES in every connect, and our settings ride on that statement. With
    a library that cannot delay its connecting they cost one more round trip. Raises the library's errors.
    """
    timeout_s = arguments.get("connect_timeout", CONNECT_TIMEOUT_S)
    if limit_s is not None:
        timeout_s = min(timeout_s, limit_s)
    given = {"autocommit": True, **arguments, "connect_timeout": timeout_s}
    if takes_defer_connect(connect):
        given["defer_connect"] = True
    connection = connect(**given)
    if not isinstance(connection, Connection) or connection.open:
        if settings:
            with connection.cursor() as cursor:
                cursor.execute(f"SET {settings}")
        return connection
    if limit_s is not None:
        connection.connect_timeout = timeout_s / addresses_count(connection)
    try:
        _open_in_one(connection, settings, timeout_s)
    except pymysql.OperationalError as error:
        if isinstance(getattr(error, "original_exception", None), TimeoutError):
            _addresses.pop(connection.host, None)  # it may lead elsewhere by now
        raise
    return connection


def takes_defer_connect(connect: Callable[..., Any]) -> bool:
    """Whether ``connect`` has PyMySQL's argument ``defer_connect``, told from its signature.

    It either names the argument or takes any keyword, and nothing else, to hand it on to PyMySQL. A
    ``connect(*args, **kwargs)`` is another library's, such as mysqlclient's.
    """
    if not (inspect.isroutine(connect) or isinstance(connect, type | functools.partial)):
        connect = type(connect).__call__  # one for all objects of a class
    return _names_defer_connect(getattr(connect, "__func__", connect))


@functools.lru_cache(32)
def _names_defer_connect(connect: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(connect).parameters
    except (TypeError, ValueError):  # written in C
        return False
    kinds = {parameter.kind for parameter in parameters.values()}
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds
    return "defer_connect" in parameters or takes_any


def addresses_count(connection: Any) -> int:
    """How many addresses the host of ``connection`` has, looked up once for each host.

    PyMySQL gives its connect_timeout to each of them in turn, and the function waits for all. Raises
    what PyMySQL raises for a name that is not found, so that nobody waits for that answer twice.
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
    """PyMySQL's connect, with a time limit for the whole, and our settings beside its SET NAMES."""

    are_set = not settings

    def set_names(charset: str, collation: str | None = None) -> None:
        nonlocal are_set
        are_set = True
        collate = f" COLLATE {collation}" if collation else ""
        connection.query(f"SET NAMES {charset}{collate}, {settings}")

    # The kernel of a stopped server still completes the TCP handshake: PyMySQL's connect_timeout ends
    # there, and reading the greeting would wait for ever.
    with read_timeout(connection, timeout_s):
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
