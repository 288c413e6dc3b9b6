"""Errors of MySQL and MariaDB by number and name, and the errors that the manager raises. Pure.

Sources: MySQL 9.7 Error Message Reference; MariaDB Error Code Reference; measured where they are silent.
"""

import functools
from typing import Any

import pymysql
from pymysql.constants import CR, ER

# Connects that were turned away: server full, global and account limits, out of resources.
REFUSED = frozenset({1040, 1203, 1226, 1041})
# An answer was due and did not come, or was the server's goodbye.
UNKNOWN = frozenset({2013, 2014, 2055, 1927, 4031, 1053, 1152, 1159, 1161})
SERVER_GONE = 2006  # PyMySQL: the statement could not be written whole
UNREACHABLE = 2003
LOST = UNKNOWN | {SERVER_GONE}
DENIED = 1045
DEADLOCK = 1213
EXPIRED = 4031
# Answers after which the same statement may well succeed: deadlock, lock wait, interrupted, too slow,
# locking service.
TRANSIENT = frozenset({1213, 1205, 1317, 3024, 3132, 3133})
# What serverless-mysql 2.1.0 retries when it connects. Its ETIMEDOUT is a 2003 in PyMySQL.
CLASSIC_CONNECT_RETRIED = frozenset({1203, 1040, 1226, 1041, 2006, 2013, 2003})
# And what it retries when it queries.
CLASSIC_QUERY_RETRIED = TRANSIENT | {1927, 1152, 2006, 2013}

LOST_IN_BLOCK = "the connection was lost with a transaction open: all of it was rolled back"
LOST_STATE = (
    "the connection was lost, and with it what its session held (locks, variables, temporary tables): "
    "the statement was not sent; start again from where that was set up"
)


class NoConnection(pymysql.OperationalError):
    """No connection could be had in the available time; no statement was sent.

    ``args[0]`` is the code of the last failed connect; the text says what was seen.
    """


class AnswerLost(pymysql.OperationalError):
    """The connection broke after the statement was sent: it may have run, or not.

    Repeat it only if running it twice does no harm, or pass ``idempotent=True``.
    """


class QueryTimeout(AnswerLost):
    """No answer in the time that the statement was given; it may still be running on the server."""


class TransactionLost(pymysql.OperationalError):
    """The connection was lost with a transaction open: the server rolled back all of it.

    The statement that found out was not sent.
    """


class SessionLost(pymysql.OperationalError):
    """The connection was lost, and with it what its session held: locks, variables, temporary tables.

    The statement that found out was not sent. The next one goes over a new connection.
    """


def code_of(error: BaseException) -> int | None:
    """MySQL's error number; None for an error without one. Also for other libraries' errors."""
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else None


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone. PyMySQL raises InterfaceError 0 for one that it closed itself."""
    return code_of(error) in LOST or (isinstance(error, pymysql.InterfaceError) and code_of(error) == 0)


def library_errors(library: Any, *more: type[Exception]) -> tuple[type[Exception], ...]:
    """The classes that ``library`` raises for errors of the server, and ``more``."""
    theirs = getattr(library, "MySQLError", pymysql.MySQLError)
    known = () if theirs is pymysql.MySQLError else (theirs,)
    return (pymysql.MySQLError, *known, *more)


@functools.cache
def symbols() -> dict[int, str]:
    """Error number to symbol, e.g. 1040 to ER_CON_COUNT_ERROR."""
    named = {4031: "ER_CLIENT_INTERACTION_TIMEOUT", 1927: "ER_CONNECTION_KILLED"}
    for prefix, module in (("ER_", ER), ("", CR)):
        for name, value in vars(module).items():
            if isinstance(value, int) and name.isupper() and not name.startswith(("ERROR_", "CR_ERROR_")):
                named.setdefault(value, prefix + name)
    return {**named, 1040: "ER_CON_COUNT_ERROR"}


def error_name(error: BaseException) -> str:
    """For logs: number and symbol, or the class. The server's text may contain parts of a statement."""
    code = code_of(error)
    return f"{code} {symbols().get(code, '')}".strip() if code else type(error).__name__
