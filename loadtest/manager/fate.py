"""What an error says: what became of the statement, and what may be over in a moment. Pure."""

import errno
import socket
import ssl
from enum import Enum

from pymysql.constants import CLIENT

from loadtest.manager.errors import EXPIRED, LOST, REFUSED, SERVER_GONE, UNKNOWN, UNREACHABLE, code_of

CLIENT_CODES = range(2000, 3000)  # raised by client libraries; no server sends them
# Errors without a number that libraries raise before they send, as for arguments that do not fit.
BEFORE_SENDING = frozenset({"ProgrammingError", "NotSupportedError", "DataError"})
NO_PATH = frozenset({
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL,
})  # fmt: skip
# The server does not write, as a writer after its failover. 1792 is also said of a read-only transaction.
READ_ONLY_TRANSACTION = 1792
READ_ONLY = frozenset({1290, 1836, 1874, READ_ONLY_TRANSACTION})


class Fate(Enum):
    """What became of the statement, as far as the client can tell."""

    NOT_SENT = "not sent"  # nothing, or no whole statement, reached the server: it did not run
    DEFINITE = "definite"  # the server answered with an error: it took no effect
    UNKNOWN = "unknown"  # the answer was lost: it may have run, or not


def fate(error: BaseException, goodbye: int | None = None) -> Fate:
    """What became of the statement that ended with ``error``.

    ``goodbye`` is the code that the server sent of its own accord, if one was found unread: 4031 says
    that the lease ran out before the server read the statement.
    """
    code = code_of(error)
    # A proxy says UNREACHABLE that has no connection to its server, and so has sent nothing.
    if (
        code in (SERVER_GONE, UNREACHABLE)
        or EXPIRED in (code, goodbye)
        or (code == 0 and "InterfaceError" in _kinds(error))
    ):
        return Fate.NOT_SENT
    if code is None:
        # Such as PyMySQL's "Packet sequence number wrong", in the middle of an answer.
        return Fate.DEFINITE if BEFORE_SENDING & _kinds(error) else Fate.UNKNOWN
    return Fate.UNKNOWN if code in UNKNOWN or code in CLIENT_CODES else Fate.DEFINITE


def _kinds(error: BaseException) -> set[str]:
    """Names of its classes, which all libraries take from PEP 249."""
    return {kind.__name__ for kind in type(error).__mro__}


def is_undone_whole(sql: str, connection: object) -> bool:
    """Whether an error of a statement undoes all of it, as InnoDB does.

    Not so for a procedure, whose statements commit one by one, nor for several statements in one text.
    """
    several = getattr(connection, "client_flag", 0) & CLIENT.MULTI_STATEMENTS
    return not several and not sql.lstrip(" \t\r\n(").upper().startswith(("CALL", "/*", "--", "#"))


def is_read_only(error: BaseException, in_transaction: bool) -> bool:
    """Whether the server does not write, so that the same statement may succeed on another one.

    ``in_transaction``: one is open, which may be what only reads, and not the server.
    """
    code = code_of(error)
    if code == 1290:
        # Also said of other options, such as --secure-file-priv; MySQL has --super-read-only, too.
        return "read-only" in str(error) or "read_only" in str(error)
    return code in READ_ONLY and not (code == READ_ONLY_TRANSACTION and in_transaction)


def may_pass(error: BaseException) -> bool:
    """Whether a connect that failed with ``error`` may succeed in a moment."""
    code = code_of(error)
    if code == 1226:
        # Of the account's limits only that on connections at one time frees itself soon; the others count
        # by the hour.
        return "per_hour" not in str(error) and "max_questions" not in str(error)
    if code == UNREACHABLE:
        return _path_may_come_back(getattr(error, "original_exception", None))
    return code in REFUSED or code in LOST


def _path_may_come_back(origin: object) -> bool:
    """A refused port may be a server that restarts; an unknown name or a wrong certificate is a setting.

    Without an ``origin`` here, a proxy that is there itself said that its server is not.
    """
    if origin is None:
        return True
    if isinstance(origin, socket.gaierror):
        return origin.errno == socket.EAI_AGAIN
    if isinstance(origin, ConnectionError | TimeoutError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return True
    return isinstance(origin, OSError) and not isinstance(origin, ssl.SSLError) and origin.errno in NO_PATH
