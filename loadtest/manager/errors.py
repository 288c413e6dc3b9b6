"""Errors of MySQL and MariaDB: which can be waited out, and which leave no doubt. Pure.

Sources: MySQL 9.7 Error Message Reference; MariaDB Error Code Reference; measured where they are silent.
"""

import functools

import pymysql
from pymysql.constants import CR, ER

# Refused at the door: no statement was sent, and a slot may come free.
REFUSED = frozenset({1040, 1203, 1226, 1041})  # server full, global and account limits, out of resources
# The connection is gone. Whether a statement under way ran, nobody can tell from the client.
LOST = frozenset({2006, 2013, 2014, 2055, 1927, 4031, 1053, 1152, 1159, 1161})
# What serverless-mysql 2.1.0 retries when it connects, beside ETIMEDOUT.
CLASSIC_RETRIED = frozenset({1203, 1040, 1226, 1041, 2006, 2013, 2003})


class NoConnection(pymysql.OperationalError):
    """No connection could be had in the time that there was; no statement was sent.

    ``args[0]`` is the code of the last refusal; the text has what was seen.
    """


class AnswerLost(pymysql.OperationalError):
    """The connection broke after the statement was sent: it may have run, or not.

    Repeat it only if running it twice does no harm, or pass ``idempotent=True``.
    """


def code_of(error: BaseException) -> int | None:
    """MySQL's error number, None for an error without one."""
    code = error.args[0] if isinstance(error, pymysql.MySQLError) and error.args else None
    return code if isinstance(code, int) else None


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone. PyMySQL says InterfaceError 0 for one that it closed itself."""
    return code_of(error) in LOST or (isinstance(error, pymysql.InterfaceError) and code_of(error) == 0)


@functools.cache
def symbols() -> dict[int, str]:
    """Error number to symbol, e.g. 1040 to ER_CON_COUNT_ERROR."""
    named = {4031: "ER_CLIENT_INTERACTION_TIMEOUT", 1927: "ER_CONNECTION_KILLED"}
    for prefix, module in (("ER_", ER), ("", CR)):
        for name, value in vars(module).items():
            if isinstance(value, int) and name.isupper() and not name.startswith(("ERROR_", "CR_ERROR_")):
                named.setdefault(value, prefix + name)
    return {**named, 1040: "ER_CON_COUNT_ERROR"}
