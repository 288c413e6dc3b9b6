"""Statements of a manager: one, sent again where that does no harm, and one with many rows."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from loadtest.manager.errors import LOST_STATE, SessionLost, error_name
from loadtest.manager.fate import Fate
from loadtest.manager.options import Options, log
from loadtest.manager.result import Ended, Result, unwrapped
from loadtest.manager.retry import Retries
from loadtest.manager.session import Session
from loadtest.manager.stats import Stats


class SessionSource(Protocol):
    """Where a statement gets its session, and how long it may take: a ``ConnectionManager``."""

    @property
    def _options(self) -> Options: ...

    @property
    def _stats(self) -> Stats: ...

    @property
    def _open(self) -> Session | None: ...

    def _connected(self) -> Session: ...

    def _limit_s(self, timeout_s: float | None) -> float | None: ...

    def remaining_s(self) -> float | None: ...


def run_statement(
    db: SessionSource, sql: str, args: Any, idempotent: bool, timeout_s: float | None
) -> Result:
    """Connects where needed. Arguments and errors are those of :meth:`ConnectionManager.query`.

    ``idempotent``: the statement may be sent again although it may have run.
    """
    retries, last = Retries(db._options, sql, idempotent), None
    with unwrapped:
        while True:
            try:
                session = db._connected()
            except Exception as refused:
                if retries.unknown is None:
                    raise
                raise retries.unknown from refused
            if session is not last:
                # Not what a try that failed leaves open, with nothing in it.
                last, in_transaction, state = session, session.in_transaction(), session.state
                is_bound = in_transaction or state  # another connection would go on in the middle
            try:
                return session.query(sql, args, db._limit_s(timeout_s), db.remaining_s)
            except Ended as ended:
                error, connection = ended.error, session.connection
                if not is_bound and (
                    retries.may_send_again(ended) or retries.may_move(connection, session.may_be_replaced())
                ):
                    continue
                if state and not in_transaction and ended.fate is Fate.NOT_SENT:
                    raise SessionLost(2006, LOST_STATE) from error
                if is_bound or not retries.may_retry(error, connection, db.remaining_s()):
                    raise
                db._stats.query_retries_count += 1
                _wait(db._options, retries, error)


def _wait(options: Options, retries: Retries, error: Exception) -> None:
    log.info("statement retried after %s", error_name(error))
    options.fire("on_query_retry", error, retries.retries_count, retries.wait_s, options.query_algorithm)
    time.sleep(retries.wait_s)


def statements_of(connection: Any, sql: str, rows: Iterable[Any]) -> list[tuple[str, Any]]:
    """As PyMySQL's executemany: an INSERT with all rows in parts of 1 MB, else one statement for each row.

    Nothing is sent. With another library each row is a statement. Raises what PyMySQL raises for rows
    that do not fit the statement.
    """
    rows = list(rows)
    if not isinstance(connection, Connection):
        return [(sql, row) for row in rows]
    made: list[tuple[str, Any]] = []
    cursor = Cursor(connection)

    def collect(text: Any, args: Any = None) -> int:
        whole = text if isinstance(text, str) else bytes(text).decode(connection.encoding)
        made.append((whole if args is None else cursor.mogrify(whole, args), None))
        return 0

    cursor.execute = collect  # type: ignore[method-assign, assignment]
    cursor.executemany(sql, rows)
    return made


def run_in_turn(run: Callable[[str, Any], Result], statements: list[tuple[str, Any]]) -> Result:
    """Rows changed by all ``statements``, texts with their arguments, and the last insert id.

    An error of ``run`` gets a note that says which of several statements it came from.
    """
    result = Result()
    for number, (text, args) in enumerate(statements, 1):
        try:
            ran = run(text, args)
        except Exception as error:
            if len(statements) > 1:
                error.add_note(f"in statement {number} of {len(statements)} that executemany makes")
            raise
        result.affected_rows += ran.affected_rows
        result.insert_id = ran.insert_id or result.insert_id
        result.sql = ran.sql
    return result
