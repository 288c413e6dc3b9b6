"""One statement with many rows of arguments: all of it takes effect, or nothing."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pymysql.connections import Connection
from pymysql.constants import SERVER_STATUS
from pymysql.cursors import Cursor

from loadtest.manager.running import Result
from loadtest.manager.session_state import TABLE_LOCKS
from loadtest.manager.statement import run_statement

if TYPE_CHECKING:
    from loadtest.manager.connection import ConnectionManager


def run_many(db: "ConnectionManager", sql: str, rows: Iterable[Any], timeout_s: float | None) -> Result:
    """Raises what :meth:`ConnectionManager.executemany` raises."""
    held = db._connected()
    statements = statements_of(held.connection, sql, rows)

    def run(text: str, args: Any) -> Result:
        return run_statement(db, text, args, False, timeout_s)

    status = getattr(held.connection, "server_status", SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT)
    commits_each = status & SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT and not held.in_transaction()
    if len(statements) < 2 or not commits_each or held.state == TABLE_LOCKS:
        return in_turn(run, statements)
    with db.transaction():
        return in_turn(run, statements)


def statements_of(connection: Any, sql: str, rows: Iterable[Any]) -> list[tuple[str, Any]]:
    """What PyMySQL's executemany would send: an INSERT with all rows in parts of 1 MB, else one for each row.

    Nothing is sent. Another library's rows are a statement each.
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


def in_turn(run: Callable[[str, Any], Result], statements: list[tuple[str, Any]]) -> Result:
    """Rows changed by all of them, and the last one's id. An error says in a note how far it came."""
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
