"""Errors of MySQL and MariaDB: what each says about the statement, and what can be waited out. Pure.

Sources: MySQL 9.7 Error Message Reference; MariaDB Error Code Reference; measured where they are silent.
"""

import errno
import functools
import socket
import ssl
from enum import Enum

import pymysql
from pymysql.constants import CLIENT, CR, ER


class Fate(Enum):
    """What became of the statement, as far as the client can tell."""

    NOT_SENT = "not sent"  # nothing, or no whole statement, reached the server: it did not run
    REFUSED = "refused"  # turned away at the door; a slot may come free
    DEFINITE = "definite"  # the server answered with an error: it took no effect
    UNKNOWN = "unknown"  # the answer was lost: it may have run, or not


# Turned away at the door: server full, global and account limits, out of resources.
REFUSED = frozenset({1040, 1203, 1226, 1041})
# An answer was due and did not come, or was the server's goodbye.
UNKNOWN = frozenset({2013, 2014, 2055, 1927, 4031, 1053, 1152, 1159, 1161})
CLIENT_S_OWN = range(2000, 3000)  # numbers that no server sends
# Of those without a number what libraries raise before they send, as for arguments that do not fit.
BEFORE_SENDING = frozenset({"ProgrammingError", "NotSupportedError", "DataError"})
SERVER_GONE = 2006  # PyMySQL: the statement could not be written whole
UNREACHABLE = 2003
NO_PATH = frozenset({
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL,
})  # fmt: skip
LOST = UNKNOWN | {SERVER_GONE}
DENIED = 1045
DEADLOCK = 1213
EXPIRED = 4031
# Answers after which the same statement may well succeed: deadlock, lock wait, interrupted, too slow,
# locking service.
TRANSIENT = frozenset({1213, 1205, 1317, 3024, 3132, 3133})
# What serverless-mysql 2.1.0 retries when it connects. Its ETIMEDOUT is a 2003 in PyMySQL.
CLASSIC_RETRIED = frozenset({1203, 1040, 1226, 1041, 2006, 2013, 2003})
# And what it retries when it queries.
CLASSIC_QUERY_RETRIED = TRANSIENT | {1927, 1152, 2006, 2013}


# The server is only to be read, as a writer after its failover. 1792 is also said of a transaction that is.
READ_ONLY_TRANSACTION = 1792
READ_ONLY = frozenset({1290, 1836, 1874, READ_ONLY_TRANSACTION})


class NoConnection(pymysql.OperationalError):
    """No connection could be had in the time that there was; no statement was sent.

    ``args[0]`` is the code of the last refusal; the text has what was seen.
    """


class AnswerLost(pymysql.OperationalError):
    """The connection broke after the statement was sent: it may have run, or not.

    Repeat it only if running it twice does no harm, or pass ``idempotent=True``.
    """


class QueryTimeout(AnswerLost):
    """No answer in the time that the statement was given; it may still be running on the server."""


class TransactionLost(pymysql.OperationalError):
    """The connection went with a transaction open: the server rolled back all of it.

    The statement that found out was not sent.
    """


class SessionLost(pymysql.OperationalError):
    """The connection went, and with it what its session held: locks, variables, temporary tables.

    The statement that found out was not sent. The next one goes over a new connection.
    """


LOST_IN_BLOCK = "the connection was lost with a transaction open: all of it was rolled back"
LOST_STATE = (
    "the connection was lost, and with it what its session held (locks, variables, temporary tables): "
    "the statement was not sent; begin again from where that was taken"
)


def code_of(error: BaseException) -> int | None:
    """MySQL's error number, None for an error without one. Also for other libraries' errors."""
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else None


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone. PyMySQL says InterfaceError 0 for one that it closed itself."""
    return code_of(error) in LOST or (isinstance(error, pymysql.InterfaceError) and code_of(error) == 0)


def fate(error: BaseException, goodbye: int | None = None) -> Fate:
    """What became of the statement that ended with ``error``.

    ``goodbye`` is the code that the server sent of its own accord, if one was found unread: 4031 says
    that the lease ran out before the server read the statement.
    """
    code = code_of(error)
    if code == SERVER_GONE or EXPIRED in (code, goodbye) or (code == 0 and "InterfaceError" in _kinds(error)):
        return Fate.NOT_SENT
    if code is None:
        # Such as PyMySQL's "Packet sequence number wrong", in the middle of an answer.
        return Fate.DEFINITE if BEFORE_SENDING & _kinds(error) else Fate.UNKNOWN
    return Fate.UNKNOWN if code in UNKNOWN or code in CLIENT_S_OWN else Fate.DEFINITE


def _kinds(error: BaseException) -> set[str]:
    """Names of its classes, which all libraries take from the same specification."""
    return {kind.__name__ for kind in type(error).__mro__}


def is_read_only(error: BaseException, in_transaction: bool) -> bool:
    """Whether the server does not write, so that the same statement may succeed on another one."""
    code = code_of(error)
    if code == 1290:
        # Said of other options as well, such as --secure-file-priv; MySQL also has --super-read-only.
        return "read-only" in str(error) or "read_only" in str(error)
    return code in READ_ONLY and not (code == READ_ONLY_TRANSACTION and in_transaction)


def may_pass(error: BaseException) -> bool:
    """Whether a connect that failed so may succeed in a moment."""
    code = code_of(error)
    if code == 1226:
        # Of the account's limits only the concurrent one frees itself soon; the others count by the hour.
        return "per_hour" not in str(error) and "max_questions" not in str(error)
    if code == UNREACHABLE:
        return _path_may_come_back(getattr(error, "original_exception", None))
    return code in REFUSED or code in LOST


def _path_may_come_back(origin: object) -> bool:
    """A port that refuses may be a server that restarts; an unknown name and a certificate are settings."""
    if isinstance(origin, socket.gaierror):
        return origin.errno == socket.EAI_AGAIN
    if isinstance(origin, ConnectionError | TimeoutError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return True
    return isinstance(origin, OSError) and not isinstance(origin, ssl.SSLError) and origin.errno in NO_PATH


@functools.cache
def symbols() -> dict[int, str]:
    """Error number to symbol, e.g. 1040 to ER_CON_COUNT_ERROR."""
    named = {4031: "ER_CLIENT_INTERACTION_TIMEOUT", 1927: "ER_CONNECTION_KILLED"}
    for prefix, module in (("ER_", ER), ("", CR)):
        for name, value in vars(module).items():
            if isinstance(value, int) and name.isupper() and not name.startswith(("ERROR_", "CR_ERROR_")):
                named.setdefault(value, prefix + name)
    return {**named, 1040: "ER_CON_COUNT_ERROR"}


def is_undone_whole(sql: str, connection: object) -> bool:
    """Whether an error of a statement undoes all of it, as InnoDB does.

    Not so a procedure, whose statements commit one by one, nor several statements in one text.
    """
    several = getattr(connection, "client_flag", 0) & CLIENT.MULTI_STATEMENTS
    return not several and not sql.lstrip(" \t\r\n(").upper().startswith(("CALL", "/*", "--", "#"))
