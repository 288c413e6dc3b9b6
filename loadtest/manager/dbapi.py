"""A DB-API connection (PEP 249) over a manager's, for what asks for cursors: ORMs, query builders."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import pymysql
from pymysql.connections import MySQLResult
from pymysql.cursors import Cursor, SSCursor

from loadtest.manager.errors import DEADLOCK, AnswerLost, TransactionLost, code_of, library_errors
from loadtest.manager.options import Options
from loadtest.manager.result import unwrapped
from loadtest.manager.session import Session
from loadtest.manager.session_state import begins_transaction
from loadtest.manager.statement import SessionSource, run_statement
from loadtest.manager.stats import Stats
from loadtest.manager.stream import Stream

Answer = TypeVar("Answer")

ROLL_BACK = "this transaction was lost, and all of it rolled back: call rollback(), and start again"
UNDONE = "a deadlock rolled back all of this transaction: call rollback(), and start again"
FOREIGN = "this transaction was not begun by this connection: whoever began it ends it"
# What PyMySQL's cursors and its users read from a connection. Nothing of it is sent to the server.
_READ = frozenset({
    "affected_rows", "charset", "character_set_name", "client_flag", "collation", "cursorclass", "db",
    "decoders", "encoders", "encoding", "escape", "escape_string", "get_host_info", "get_proto_info",
    "get_server_info", "host", "host_info", "insert_id", "literal", "max_allowed_packet",
    "port", "protocol_version", "server_status", "server_version", "sql_mode", "thread_id", "unix_socket",
    "use_unicode", "user",
})  # fmt: skip


class ManagedConnection:
    """PyMySQL's connection, as far as cursors and ORMs use it; behind it the manager's.

    Statements go the way of :meth:`ConnectionManager.query`, with its deadline, its lease and its errors:
    nothing is sent again that may have run, and nothing inside a transaction. After a transaction was lost
    with its connection, each statement raises :class:`TransactionLost` until :meth:`rollback`.
    :meth:`close` hands the connection back to the manager, which keeps it or not at the invocation's end.
    """

    Warning = pymysql.Warning
    Error = pymysql.Error
    InterfaceError = pymysql.InterfaceError
    DatabaseError = pymysql.DatabaseError
    DataError = pymysql.DataError
    OperationalError = pymysql.OperationalError
    IntegrityError = pymysql.IntegrityError
    InternalError = pymysql.InternalError
    ProgrammingError = pymysql.ProgrammingError
    NotSupportedError = pymysql.NotSupportedError

    def __init__(self, db: SessionSource) -> None:
        """Connects nothing. ``db`` is where sessions come from: a manager."""
        self._db = db
        self._session: Session | None = None  # the one that ran the last statement
        self._in_transaction = False  # one that a statement of this connection began
        self._is_undone = False  # a deadlock has rolled it back
        self._autocommit: bool | None = None  # None: the connection's own
        self._is_closed = False
        self._streaming: StreamCursor | None = None
        self._following: deque[MySQLResult] = deque()
        self._result: MySQLResult | None = None  # PyMySQL's cursors look for it here

    def __repr__(self) -> str:
        return f"<ManagedConnection {'open' if self.open else 'closed'}, {self._session!r}>"

    def __getattr__(self, name: str) -> Any:
        if name not in _READ:
            raise AttributeError(
                f"a managed connection has no {name!r}: ConnectionManager.get_client() returns PyMySQL's own"
            )
        return getattr(self._connected().connection, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.open:
            self.close()

    @property
    def open(self) -> bool:
        """Whether :meth:`close` has not been called."""
        return not self._is_closed

    # Cursors

    def cursor(self, cursor: type[Cursor] | None = None) -> Any:
        """A cursor of PyMySQL's class ``cursor``, by default the config's ``cursorclass``.

        ``SSCursor`` and ``SSDictCursor`` read rows as they come; the connection is busy until all were
        read or the cursor is closed.
        """
        self._check_open()
        kind: Any = cursor or self.cursorclass
        return StreamCursor(self, kind) if issubclass(kind, SSCursor) else kind(self)

    def query(self, sql: str, unbuffered: bool = False) -> int:
        """Runs a text as it is: for PyMySQL's cursors. Returns the number of rows changed or found.

        Raises what :meth:`ConnectionManager.query` raises, and NotSupportedError for ``unbuffered``.
        """
        if unbuffered:
            raise pymysql.NotSupportedError("use cursor(SSCursor), or ConnectionManager.stream")
        result = self._run(sql, lambda: run_statement(self, sql, None, False, None))
        self._following = deque(one.raw for one in (result, *result.more))
        return self.next_result()

    def next_result(self, unbuffered: bool = False) -> int:  # noqa: ARG002 - PyMySQL's signature
        """Goes on to the next result set of the last text: for PyMySQL's cursors. Ignores ``unbuffered``."""
        if self._following:
            self._result = self._following.popleft()
        else:  # the status that ends a CALL
            self._result = MySQLResult(None)  # type: ignore[arg-type]
            self._result.affected_rows = 0
        return self._result.affected_rows or 0

    def stream(self, sql: str, args: Any, cursor: "StreamCursor", cursorclass: type[SSCursor]) -> Stream:
        """The rows of one statement for ``cursor``, made by ``cursorclass``, as they come.

        ``args`` and the errors are those of :meth:`ConnectionManager.stream`.
        """
        errors = library_errors(pymysql)
        stream = self._run(
            sql,
            lambda: Stream(
                self._connected(),
                sql,
                args,
                lambda: self._limit_s(None),
                self.remaining_s,
                errors,
                cursorclass,
            ),
        )
        self._streaming = cursor
        return stream

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open that a statement of this connection began."""
        return self._in_transaction

    # Transactions

    def begin(self) -> None:
        """Begins a transaction, which :meth:`commit` or :meth:`rollback` ends."""
        self.query("BEGIN")

    def commit(self) -> None:
        """Commits what is open. Raises what made it fail, and TransactionLost for what was lost before.

        Rows of a stream that nobody has read are read over. Raises ProgrammingError for a transaction that
        was begun elsewhere, as by ``db.transaction()``.
        """
        self._check_open()
        self._check_transaction()
        self._check_owner()
        if self._streaming is not None:
            self._streaming.close()
        self._end("COMMIT")

    def rollback(self) -> None:
        """Rolls back what is open, and forgets what was lost. Without a transaction nothing is sent.

        Rows of a stream that nobody has read take the connection with them. Raises ProgrammingError for a
        transaction that was begun elsewhere.
        """
        self._check_open()
        self._check_owner()
        self._roll_back()

    def autocommit(self, value: bool) -> None:
        """On or off (``value``), until :meth:`close`. As in MySQL, on commits what is open."""
        self._check_open()
        self._check_owner()
        self._autocommit = bool(value)
        session = self._session
        if session is not None and session.is_open and not self._is_undone:
            self._run("", lambda: self._set_autocommit(session))

    def get_autocommit(self) -> bool:
        """Whether each statement is a transaction of its own."""
        return self._connected().is_autocommit()

    # The connection

    def ping(self, reconnect: bool = True) -> None:  # noqa: ARG002 - PyMySQL's signature
        """Asks the server, over a new connection where it takes one, whatever ``reconnect`` says.

        Raises the errors of a statement.
        """
        self.query("DO 0")

    def select_db(self, db: str) -> None:
        """Goes on with the database ``db``. A session that has its own one is not kept over a freeze."""
        self.query("USE `{}`".format(db.replace("`", "``")))

    def show_warnings(self) -> Any:
        """Level, number and text of what the last statement warned of."""
        self.query("SHOW WARNINGS")
        return () if self._result is None else self._result.rows

    def close(self) -> None:
        """Hands the connection back; what is open is rolled back. Raises Error when it was closed before."""
        if self._is_closed:
            raise pymysql.Error("Already closed")
        session = self._session
        try:
            self._roll_back()
            if session is not None and session.is_open and not session.in_transaction():
                self._autocommit = None
                with unwrapped:
                    self._set_autocommit(session)
        except pymysql.MySQLError as error:
            if session is not None and session.is_open:
                session.lose(error)  # whatever is open on it, the next user does not get it
        finally:
            self._is_closed = True
            self._result = self._session = None
            self._following.clear()

    # What statement.py asks of a source of sessions

    @property
    def _options(self) -> Options:
        return self._db._options

    @property
    def _stats(self) -> Stats:
        return self._db._stats

    @property
    def _open(self) -> Session | None:
        return self._db._open

    def _limit_s(self, timeout_s: float | None) -> float | None:
        return self._db._limit_s(timeout_s)

    def remaining_s(self) -> float | None:
        """Seconds until the invocation's deadline; None when it has none."""
        return self._db.remaining_s()

    def _connected(self) -> Session:
        self._check_open()
        self._check_transaction()
        self._session = session = self._of_manager()
        self._set_autocommit(session)
        return session

    def _of_manager(self) -> Session:
        return self._db._connected()

    def _set_autocommit(self, session: Session) -> None:
        """Raises :class:`Ended`. Within somebody else's transaction it stays: a change would commit that."""
        wanted = session.own_autocommit if self._autocommit is None else self._autocommit
        if session.is_autocommit() != wanted and (self._in_transaction or not session.in_transaction()):
            session.execute(f"SET autocommit = {int(wanted)}", None, self._limit_s(None))

    def _run(self, sql: str, step: Callable[[], Answer]) -> Answer:
        """Keeps account of the transaction: that of this connection, which a statement of it began."""
        was_open, is_foreign = self._in_transaction, self._is_foreign()
        error: BaseException | None = None
        try:
            with unwrapped:
                return step()
        except BaseException as raised:
            error = raised
            raise
        finally:
            session = self._session
            if session is None or is_foreign:
                pass
            elif session.is_open:
                self._is_undone = was_open and error is not None and code_of(error) == DEADLOCK
                self._in_transaction = was_open if self._is_undone else session.in_transaction()
            else:
                may_have_run = error is None or isinstance(error, AnswerLost)
                begins = begins_transaction(sql) or self._autocommit is False or not session.own_autocommit
                self._in_transaction = was_open or (may_have_run and begins)

    def _is_foreign(self) -> bool:
        """Whether the session is in a transaction that was begun elsewhere."""
        session = self._db._open
        return session is not None and session.in_transaction() and not self._in_transaction

    def _roll_back(self) -> None:
        if self._streaming is not None:
            self._streaming.abandon()
        if not self._is_foreign():
            self._end("ROLLBACK")

    def _end(self, statement: str) -> None:
        session = self._session
        try:
            if session is not None and session.is_open and session.in_transaction():
                with unwrapped:
                    session.execute(statement, None, self._limit_s(None))
        finally:
            self._in_transaction = self._is_undone = False
            if session is not None and session.in_transaction():
                session.drop()  # in doubt; the server rolls back what it does not know

    def _check_open(self) -> None:
        if self._is_closed:
            raise pymysql.InterfaceError(0, "this connection was closed: ask the manager for another")

    def _check_transaction(self) -> None:
        if self._is_undone:
            raise TransactionLost(DEADLOCK, UNDONE)
        session = self._session
        if self._in_transaction and (session is None or not session.is_open or not session.in_transaction()):
            raise TransactionLost(2006, ROLL_BACK)

    def _check_owner(self) -> None:
        if self._is_foreign():
            raise pymysql.ProgrammingError(FOREIGN)


class StreamCursor(Iterator[Any]):
    """A cursor whose rows come as they are read, like PyMySQL's ``SSCursor``."""

    def __init__(self, connection: ManagedConnection, cursorclass: type[SSCursor]) -> None:
        """Over ``connection``, which is not in use; ``cursorclass`` makes the rows."""
        self.connection = connection
        self.arraysize = 1
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.description: Any = None
        self._class = cursorclass
        self._stream: Stream | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def execute(self, query: str, args: Any = None) -> int:
        """Sends ``query`` with ``args`` as PyMySQL takes them. Returns -1: how many rows come is unknown."""
        self.close()
        self._stream = self.connection.stream(query, args, self, self._class)
        self.description = self._stream.description
        return self.rowcount

    def __next__(self) -> Any:
        if self._stream is None:
            raise pymysql.ProgrammingError("execute() first")
        return next(self._stream)

    def fetchone(self) -> Any:
        """The next row; None after the last."""
        return next(self, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next ``size`` rows, by default ``arraysize``, or those that are left."""
        return list(islice(self, self.arraysize if size is None else size))

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return list(self)

    def nextset(self) -> None:
        """None: what follows the first result set is read over."""

    def close(self) -> None:
        """Reads over what is left in a transaction, which goes on; else what is left takes the connection."""
        if self._stream is not None and self.connection.in_transaction:
            for _ in self._stream:
                pass
        self.abandon()

    def abandon(self) -> None:
        """Reads no more. Rows that are left take the connection with them."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"a cursor whose rows come as they are read has no {name!r}: take a plain Cursor"
        )
