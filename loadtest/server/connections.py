"""The harness's own connections, and what it means when one fails."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from queue import SimpleQueue
from typing import Any

import pymysql
from pymysql.constants import CR, ER
from pymysql.cursors import Cursor

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable


class ServerFull(ServerUnavailable):
    """The server or the account has no connection left. This can pass."""


WORDS_LENGTH = 300  # of a server's message, which may have 512 characters, and a stranger's more
FULL = frozenset({ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.USER_LIMIT_REACHED})


LOOPBACK = ("127.0.0.1", "localhost", "::1")
INSECURE_TRANSPORT = 3159
# A server's defaults are meant for its applications. Ours would fail by them, or say something else: a
# limit of rows, of a statement's time, of idle seconds, an own syntax. Each server reads its own comment.
OWN_RULES = (
    "SET SESSION sql_mode = 'STRICT_TRANS_TABLES', sql_select_limit = 18446744073709551615, "
    "wait_timeout = 28800 /*!80000 , max_execution_time = 0, transaction_read_only = 0 */ "
    "/*M!100101 , max_statement_time = 0, tx_read_only = 0 */"
)
PASSWORD_VARIABLE = "LOADTEST_PASSWORD"  # noqa: S105 - a variable's name
ADMIN_VARIABLE = "LOADTEST_ADMIN_DSN"
ADMIN_PASSWORD_VARIABLE = "LOADTEST_ADMIN_PASSWORD"  # noqa: S105 - a variable's name

_NAMES = {
    value: name
    for names in (vars(CR), vars(ER))
    for name, value in names.items()
    if isinstance(value, int) and name not in ("CR_ERROR_FIRST", "CR_MIN_ERROR", "ERROR_FIRST")
}


def connect(dsn: Dsn, timeout_s: float = 5.0, rules: str | None = OWN_RULES) -> "pymysql.Connection[Cursor]":
    """A connection with autocommit, whose single reads and writes take at most ``timeout_s``.

    ``rules`` are set for the session; None leaves the server's defaults. On loopback, TLS is used only if
    the server requires it, since its context alone costs 30 ms of CPU. Raises PyMySQL's errors.
    """
    if dsn.host in LOOPBACK:
        try:
            return _connect(dsn, timeout_s, rules, ssl_disabled=True)
        except pymysql.MySQLError as error:
            if not may_want_tls(error):
                raise
    return _connect(dsn, timeout_s, rules)


def connect_plain(dsn: Dsn, timeout_s: float = 5.0) -> "pymysql.Connection[Cursor]":
    """A connection with the server's defaults, never with TLS."""
    return _connect(dsn, timeout_s, None, ssl_disabled=True)


def connect_with_tls(dsn: Dsn, timeout_s: float = 5.0) -> "pymysql.Connection[Cursor]":
    """A connection with the server's defaults, with TLS if the server offers it."""
    return _connect(dsn, timeout_s, None)


def may_want_tls(error: pymysql.MySQLError) -> bool:
    """Whether the error may mean that TLS is required. A server tells an account that requires TLS the same
    as one with a wrong password."""
    return error.args[:1] in ((INSECURE_TRANSPORT,), (ER.ACCESS_DENIED_ERROR,))


def _connect(dsn: Dsn, timeout_s: float, rules: str | None, **more: Any) -> "pymysql.Connection[Cursor]":
    return pymysql.connect(
        **dsn.connect_arguments(),
        **more,
        autocommit=True,
        connect_timeout=timeout_s,
        read_timeout=timeout_s,
        write_timeout=timeout_s,
        init_command=rules,
    )


@contextmanager
def session(dsn: Dsn, timeout_s: float = 5.0) -> Iterator[Cursor]:
    """A cursor on a new connection. Raises :class:`ServerUnavailable` if there is none.

    That is :class:`ServerFull`, one of those, where the server or the account has no connection left.
    """
    try:
        connection = connect(dsn, timeout_s)
    except (pymysql.Error, OSError, RuntimeError) as error:
        full = isinstance(error, pymysql.Error) and bool(error.args) and error.args[0] in FULL
        raise (ServerFull if full else ServerUnavailable)(why(error, dsn, timeout_s)) from None
    with closing(connection), connection.cursor() as cursor:
        yield cursor


def try_for(dsn: Dsn, timeout_s: float) -> None:
    """Tries to connect once, for at most ``timeout_s`` even if name resolution hangs, which has no timeout.

    Raises :class:`ServerUnavailable`.
    """
    results: SimpleQueue[Exception | None] = SimpleQueue()

    def attempt() -> None:
        try:
            connect(dsn, timeout_s).close()
            results.put(None)
        except (pymysql.Error, OSError, RuntimeError, ValueError) as error:
            results.put(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(timeout_s)
    error = TimeoutError() if results.empty() else results.get()
    if error is not None:
        raise ServerUnavailable(why(error, dsn, timeout_s))


def short(error: BaseException) -> str:
    """``"1040 ER_CON_COUNT_ERROR"``, ``"2013 CR_SERVER_LOST"``: short and constant, for rows."""
    code = error.args[0] if error.args else None
    if isinstance(error, pymysql.Error) and isinstance(code, int) and code:
        return f"{code} {error_name(code)}".strip()
    return type(error).__name__


def error_name(code: int) -> str:
    """The symbol of ``code``, a server's or client's error number; "" if unknown."""
    name = _NAMES.get(code, "")
    return name if not name or name.startswith("CR_") else f"ER_{name}"


def why(error: BaseException, dsn: Dsn, timeout_s: float = 5.0) -> str:
    """One sentence for a connect that failed: what happened, why, what to do next."""
    where, user = f"{dsn.host}:{dsn.port}", dsn.user
    code = error.args[0] if isinstance(error, pymysql.Error) and error.args else None
    # PyMySQL keeps it in a connect's 2003; in a read's 2013 only Python does.
    cause = getattr(error, "original_exception", None) or error.__context__ or error
    if code == ER.ACCESS_DENIED_ERROR:
        if not dsn.password:
            return f"{where} requires a password for {user!r} (1045): put it into {PASSWORD_VARIABLE}"
        return f"{where} refuses the password of {user!r} (1045): correct it, or set {PASSWORD_VARIABLE}"
    if code in (ER.BAD_DB_ERROR, ER.DBACCESS_DENIED_ERROR):
        return (
            f"{user!r} cannot use the database {dsn.database!r} at {where} ({code}): "
            "create it, or grant the account rights on it"
        )
    if code == ER.CON_COUNT_ERROR:
        advice = f"close some, or name an administrator's account in {ADMIN_VARIABLE}"
        return f"{where} has no connection left (1040): {advice}"
    if code in FULL:
        said = words_of(error, dsn).rstrip(".")
        return (
            f"{where} gives {user!r} no more connections ({code}: {said}): raise the limits of the account, "
            f"or name another one in {ADMIN_VARIABLE}"
        )
    if code == ER.HOST_IS_BLOCKED:
        return f"{where} has blocked this machine after many broken handshakes (1129): run FLUSH HOSTS there"
    if isinstance(cause, socket.gaierror):
        return f"the host {dsn.host!r} is unknown here: correct its name in the DSN"
    if isinstance(cause, ConnectionRefusedError):
        return f"nothing listens on {where}: start the server, or correct the port in the DSN"
    if isinstance(cause, TimeoutError):
        return f"{where} did not answer in {timeout_s:g} s: check the address, the server and any firewall"
    return f"no connection to {where} as {user!r}: {words_of(error, dsn)} ({short(error)})"


def words_of(error: BaseException, dsn: Dsn | None = None) -> str:
    """What a server said, on one short line: a stranger's may hold control characters, or the password.

    ``dsn`` is the account that it answered, where it had the password from: it can ask for it in clear text.
    """
    said = str(error.args[-1] if error.args else error)
    said = said.replace(dsn.password, "…") if dsn and dsn.password else said
    line = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    return line if len(line) <= WORDS_LENGTH else line[: WORDS_LENGTH - 1] + "…"


def with_password(dsn: Dsn, variable: str = PASSWORD_VARIABLE) -> Dsn:
    """The DSN with a missing password taken from the environment, where other users cannot read it.

    ``variable`` is the environment variable's name.
    """
    password = dsn.password or os.environ.get(variable, "")
    return Dsn(dsn.host, dsn.port, dsn.user, password, dsn.database)
