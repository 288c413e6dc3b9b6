"""The result of one statement, or what became of it: run on a connection, within a time limit."""

import time
from typing import Any

from pymysql import MySQLError
from pymysql.connections import Connection
from pymysql.constants import CLIENT

from loadtest.manager.errors import AnswerLost, QueryTimeout, code_of
from loadtest.manager.fate import Fate, fate
from loadtest.manager.read_timeout import read_timeout


class Result(list[Any]):
    """The rows of a statement as a list, and what it changed: ``affected_rows``, ``insert_id``.

    ``more`` has the result sets after the first, of a procedure or of several statements in one text, in
    their order. ``sql`` is the statement as it was sent with ``return_final_sql_query``; else None.
    ``has_rows`` tells a SELECT without rows from an UPDATE. ``raw`` is PyMySQL's result; None from another
    library.
    """

    __slots__ = ("affected_rows", "has_rows", "insert_id", "more", "raw", "sql")

    def __init__(
        self,
        rows: Any = (),
        affected_rows: int = 0,
        insert_id: int = 0,
        sql: str | None = None,
        has_rows: bool = False,
        raw: Any = None,
    ) -> None:
        super().__init__(rows)
        self.affected_rows = affected_rows
        self.insert_id = insert_id
        self.sql = sql
        self.more: tuple[Result, ...] = ()
        self.has_rows = has_rows
        self.raw = raw


class Ended(Exception):
    """A statement ended with ``error``; ``fate`` says what became of it. Never reaches the caller.

    ``lost``: the connection is gone, or of no further use.
    """

    def __init__(self, error: Exception, what: Fate, lost: bool) -> None:
        super().__init__(error)
        self.error = error  # what the caller is told, with its cause
        self.fate = what
        self.lost = lost  # the connection is gone, or of no further use


class _Unwrapped:
    """Within the block an :class:`Ended` becomes the error in it, with that error's own cause."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, ended: BaseException | None, _traceback: Any) -> None:
        if isinstance(ended, Ended):
            raise ended.error from ended.error.__cause__


unwrapped = _Unwrapped()


def run(
    connection: Any,
    sql: str,
    args: Any,
    timeout_s: float | None,
    errors: Any = MySQLError,
    final: bool = False,
) -> Result:
    """``sql`` with ``args`` as PyMySQL takes them; no read or write takes longer than ``timeout_s`` seconds.

    ``final``: the result, or the error, has the statement as it was sent. Raises :class:`Ended` for one
    of the library's ``errors``, with what to tell the caller in it.
    """
    ours = isinstance(connection, Connection)
    started, text, goodbye, result = time.monotonic(), None, None, None

    def force_close() -> None:
        nonlocal goodbye
        goodbye = _unread(connection)
        type(connection)._force_close(connection)

    if ours:
        connection._force_close = force_close
    try:
        with read_timeout(connection, timeout_s), connection.cursor() as cursor:
            if final:
                text = cursor.mogrify(sql, args)
            affected = cursor.execute(sql, args)
            has_rows = cursor.description is not None
            raw = cursor._result if ours else None
            result = Result(cursor.fetchall(), affected or 0, cursor.lastrowid or 0, text, has_rows, raw)
            if not ours or connection._result.has_next:
                result.more = _further(connection, cursor, sql)
            return result
    except errors as error:
        what = fate(error, goodbye)
        if result is not None and what is Fate.NOT_SENT:
            what = Fate.UNKNOWN  # a part of it was answered
        lost = what is not Fate.DEFINITE or (ours and not connection.open)
        told: Exception = error
        if what is Fate.UNKNOWN:
            elapsed_s = time.monotonic() - started
            if timeout_s is not None and elapsed_s >= timeout_s:
                doing = f"no answer within {elapsed_s:.3f} s: the statement may have run, or still be running"
                told = QueryTimeout(2013, doing)
            else:
                said = error.args[-1] if error.args else type(error).__name__
                doing = f"{said}: the statement may have run, or not"
                told = AnswerLost(code_of(error) or 2013, doing)
            told.__cause__ = error
        if text is not None:
            told.sql = text  # type: ignore[attr-defined]
        raise Ended(told, what, lost) from error
    finally:
        if ours:
            del connection._force_close


def _further(connection: Any, cursor: Any, sql: str) -> tuple[Result, ...]:
    """The result sets after the first, without the status that ends every CALL."""
    found, following = [], getattr(cursor, "nextset", None)
    while following is not None and following():
        rows = cursor.fetchall() if cursor.description is not None else ()
        raw, has_rows = getattr(cursor, "_result", None), cursor.description is not None
        found.append(Result(rows, cursor.rowcount or 0, cursor.lastrowid or 0, None, has_rows, raw))
    several = getattr(connection, "client_flag", 0) & CLIENT.MULTI_STATEMENTS
    if found and not found[-1].has_rows and not several and sql.lstrip(" \t\r\n")[:4].upper() == "CALL":
        found.pop()
    return tuple(found)


def _unread(connection: Any) -> int | None:
    """The error number in a packet that PyMySQL is about to throw away; None if there is none.

    MySQL says 4031 with sequence number 0 when a lease runs out. PyMySQL raises 2013 for any packet
    with that number, having read its header only, and closes; the reader still holds the rest.
    """
    try:
        connection._sock.settimeout(0.0)
        rest = connection._rfile.peek(3)[:3]
    except (AttributeError, OSError, ValueError):
        return None
    return int.from_bytes(rest[1:3], "little") if len(rest) == 3 and rest[0] == 0xFF else None
