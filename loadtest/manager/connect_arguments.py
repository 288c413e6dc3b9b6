"""Connect arguments for PyMySQL. Other libraries' names are understood, unknown ones are refused at once."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

import pymysql
from pymysql.connections import Connection

from loadtest.manager import tls

# As an RDS secret, a provider's connection string or another library's config words them.
RENAMED = {
    "username": "user",
    "dbname": "database",
    "db": "database",
    "passwd": "password",
    "sslrootcert": "ssl_ca",
}
# What an RDS secret says about the database besides how to reach it.
OF_A_SECRET = frozenset({"engine", "dbInstanceIdentifier", "dbClusterIdentifier", "masterarn"})
ENGINES = ("mysql", "mariadb", "aurora-mysql", "aurora")
# There is one connection, and the deadline says how long to wait for it.
OF_A_POOL = frozenset({"connection_limit", "connectionLimit", "pool_timeout"})
# Prisma's are in seconds, JDBC's and Node's in milliseconds.
TIMES: dict[str, tuple[tuple[str, ...], float]] = {
    "socket_timeout": (("read_timeout", "write_timeout"), 1.0),
    "socketTimeout": (("read_timeout", "write_timeout"), 1000.0),
    "connectTimeout": (("connect_timeout",), 1000.0),
}


class ConnectArguments(TypedDict, total=False):
    """Those of PyMySQL 1.1, for editors and type checkers; times in seconds.

    Other libraries' names for them are understood as well, in a config.
    """

    user: str | bytes | None
    password: str | bytes
    host: str | None
    database: str | bytes | None
    unix_socket: str | None
    port: int
    charset: str
    collation: str | None
    sql_mode: str | None
    read_default_file: str | None
    conv: Mapping[Any, Any] | None
    use_unicode: bool
    client_flag: int
    cursorclass: type[Any]
    init_command: str | None
    connect_timeout: float
    read_default_group: str | None
    autocommit: bool | None
    local_infile: bool
    max_allowed_packet: int
    auth_plugin_map: Mapping[Any, Any] | None
    read_timeout: float | None
    write_timeout: float | None
    bind_address: str | None
    binary_prefix: bool
    program_name: str | None
    server_public_key: bytes | None
    ssl: Any
    ssl_ca: str | None
    ssl_cert: str | None
    ssl_disabled: bool | None
    ssl_key: str | None
    ssl_key_password: str | None
    ssl_verify_cert: bool | None
    ssl_verify_identity: bool | None


def is_pymysql(library: Any) -> bool:
    """Whether ``library`` is PyMySQL itself, so that its arguments can be checked here."""
    return library is pymysql or library in (pymysql.connect, Connection)


def understood(given: Mapping[str, Any], also: Iterable[str] = ()) -> dict[str, Any]:
    """PyMySQL's arguments for those given. ``also``: names that belong elsewhere, for the hint.

    Raises :class:`ValueError` for one that PyMySQL does not know or take, with its name and never with its
    value.
    """
    arguments: dict[str, Any] = {}
    modes = []
    for name, value in given.items():
        mode = tls.mode_of(name, value)
        if mode is None:
            arguments |= _translated(name, value, also)
        else:
            modes.append(mode)
    if modes:
        arguments = tls.arguments_for(max(modes), arguments)
    _check_values(arguments)
    return arguments


def merged(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` over ``config``. A change to TLS replaces everything that ``config`` says about TLS."""
    if any(name.startswith("ssl") for name in changes):
        config = {name: value for name, value in config.items() if not name.startswith("ssl")}
    return {**config, **changes}


def _translated(name: str, value: Any, also: Iterable[str]) -> dict[str, Any]:
    plain = RENAMED.get(name, name.replace("-", "_"))
    if name == "engine" and value not in ENGINES:
        raise ValueError(f"engine is {value!r}: this secret is not for MySQL or MariaDB")
    if name in OF_A_SECRET or name in OF_A_POOL:
        return {}
    if name in TIMES:
        names, divisor = TIMES[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"{name} is not a number above 0")
        return dict.fromkeys(names, value / divisor)
    if plain not in _known():
        raise ValueError(f"there is no connect argument {name!r}{_nearest(plain, also)}")
    if plain == "port" and isinstance(value, str) and value.isdecimal():
        value = int(value)  # an environment's, or a secret's
    return {plain: value}


def _nearest(name: str, also: Iterable[str]) -> str:
    owner = {word.rpartition(".")[2]: word for word in also}
    near = difflib.get_close_matches(name, [*_known(), *RENAMED, *TIMES, *owner], 1)
    return f"; the nearest is {owner.get(near[0], near[0])}" if near else ""


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(inspect.signature(Connection.__init__).parameters) - {"self", "db", "passwd"}


def _check_values(arguments: Mapping[str, Any]) -> None:
    password = arguments.get("password")
    if isinstance(password, str):
        try:
            password.encode("latin1")
        except UnicodeEncodeError:
            raise ValueError(
                "PyMySQL sends a password as Latin-1, which this one is not: give it as bytes"
            ) from None
    # PyMySQL looks at the others when a connection is made; without TLS that costs some microseconds.
    tried = {name: value for name, value in arguments.items() if not name.startswith("ssl")}
    make: Callable[..., Any] = Connection
    try:
        make(**{**tried, "ssl_disabled": True, "defer_connect": True})
    except Exception as error:
        raise ValueError(f"PyMySQL does not take these connect arguments: {error}") from None
