"""One statement with many rows of arguments, made into the statements that PyMySQL would send."""

from collections.abc import Callable, Iterable
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from loadtest.manager.result import Result


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
    """Rows changed by all of them, and the last insert id.

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
