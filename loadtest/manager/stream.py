"""A result that does not fit into memory: its rows as they come from the server."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import DictCursor, SSCursor, SSDictCursor

from loadtest.manager.clock import now_s
from loadtest.manager.errors import AnswerLost, QueryTimeout, code_of
from loadtest.manager.fate import Fate, fate
from loadtest.manager.read_timeout import read_timeout
from loadtest.manager.result import unwrapped
from loadtest.manager.session import Session

ROWS_AT_ONCE = 500
OVER = "the stream's connection is closed: read all of it within its invocation"


class Stream(Iterator[Any]):
    """The rows of one statement, read once, one after another.

    The manager's connection is busy with it, so no other statement runs, until it was read to its end or
    closed; leaving ``with db.stream(…) as rows:`` closes it. One that is closed before its end closes the
    connection, since the server would go on sending; so does the end of the invocation.
    """

    def __init__(
        self,
        session: Session,
        sql: str,
        args: Any,
        limit_s: Callable[[], float | None],
        left_s: Callable[[], float | None],
        errors: Any,
        cursorclass: type[SSCursor] | None = None,
    ) -> None:
        """Sends the statement. Raises what :meth:`ConnectionManager.query` raises, and sends nothing again.

        Args:
            session: the connection, which is not in use.
            sql: the statement.
            args: as PyMySQL takes them.
            limit_s: how many seconds the next answer may take; None: as long as it likes.
            left_s: how many the invocation has left; None: no deadline.
            errors: the library's exceptions.
            cursorclass: makes the rows; None: tuples or mappings, as the config's own class does.
        """
        connection = session.connection
        if not isinstance(connection, Connection):
            raise TypeError(
                "a stream needs PyMySQL: with another library, use get_client() and its own cursors"
            )
        session.check_idle()
        with unwrapped:
            session.guard(sql, limit_s(), left_s, is_slow=True)
        self._session, self._limit_s, self._errors = session, limit_s, errors
        session.is_running = True
        if cursorclass is None:
            cursorclass = SSDictCursor if issubclass(connection.cursorclass, DictCursor) else SSCursor
        self._cursor: SSCursor | None = connection.cursor(cursorclass)
        self._rows: Iterator[Any] = iter(())
        self._is_over = False  # read to its end, or closed by whoever reads
        session.stop_reading = self._stop
        self._has_begun = False
        self._read(lambda cursor: cursor.execute(sql, args))
        self._has_begun = True
        self.description = self._cursor.description  # of its columns, as PEP 249 has it
        session.answered(has_rows=self.description is not None)

    def __repr__(self) -> str:
        return f"<Stream {'closed' if self._cursor is None else 'open'}>"

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __next__(self) -> Any:
        for row in self._rows:
            return row
        if self._cursor is None:
            if self._is_over:
                raise StopIteration
            raise RuntimeError(OVER)
        found = self._read(lambda cursor: cursor.fetchmany(ROWS_AT_ONCE))
        if not found:
            self._read(lambda cursor: cursor.close())  # reads what a procedure has beside the rows
            self._end()
            raise StopIteration
        self._rows = iter(found)
        return next(self._rows)

    def close(self) -> None:
        """Reads no more. The connection is closed with it, unless all rows were read."""
        self._is_over = True
        if self._cursor is not None:
            self._session.drop()

    def _stop(self) -> None:
        """The connection goes with rows under way: nobody reads them, nor does PyMySQL as garbage."""
        cursor, self._cursor = self._cursor, None
        self._rows = iter(())
        self._session.is_running = False
        result = getattr(cursor, "_result", None)
        if result is not None:
            result.unbuffered_active = False  # PyMySQL would read all that is left
            result.connection = None

    def _end(self) -> None:
        """All rows were read, or none will come: the connection is free."""
        self._is_over, self._cursor = True, None
        self._session.is_running, self._session.stop_reading = False, None

    def _read(self, step: Callable[[SSCursor], Any]) -> Any:
        session, cursor = self._session, self._cursor
        assert cursor is not None  # noqa: S101 - the callers have looked
        if not session.is_open:  # in a child of a fork: these rows are the parent's
            session.drop()
            raise RuntimeError(OVER)
        try:
            with read_timeout(session.connection, self._limit_s()):
                found = step(cursor)
            session.used_at = now_s()
            return found
        except self._errors as error:
            if fate(error) is Fate.DEFINITE:
                session.failed(error, lost=self._has_begun)  # whatever else was to come
                if session.is_open:
                    self._end()
                raise
            session.failed(error, lost=True)
            told = QueryTimeout if isinstance(error.__context__, TimeoutError) else AnswerLost
            said = error.args[-1] if error.args else error
            raise told(code_of(error) or 2013, f"{said}: not all rows came") from error
        except BaseException:
            session.drop()
            raise
