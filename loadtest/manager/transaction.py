"""A transaction that is open on a manager's connection. None of its statements is ever repeated."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Self

from loadtest.manager.errors import LOST_STATE, SessionLost, TransactionLost
from loadtest.manager.options import log
from loadtest.manager.result import Ended, Result, unwrapped
from loadtest.manager.session import Session
from loadtest.manager.statement import SessionSource, run_in_turn, statements_of

OnRollback = Callable[[BaseException], object]
HAS_ENDED = "this transaction has ended: begin another"
ALL_ROLLED_BACK = "the connection was lost: all of this transaction was rolled back"


class Transaction:
    """The block of ``with db.transaction() as t:``, from its BEGIN on.

    It commits at the end of the block and rolls back when the block raises. ``t.commit()`` and
    ``t.rollback()`` end it there and then; leaving the block does nothing more.
    """

    __slots__ = ("_db", "_on_rollback", "_session", "_statements_count")

    def __init__(self, db: SessionSource, on_rollback: OnRollback | None = None) -> None:
        """Begins it. Raises what :meth:`ConnectionManager.query` raises, RuntimeError inside another one.

        ``on_rollback`` is called once with the error when the transaction fails.
        """
        self._db = db
        self._on_rollback = on_rollback
        self._statements_count = 0
        self._session: Session | None = None  # while it is open
        session = db._connected()
        if session.in_transaction():
            raise RuntimeError("a transaction is open already")
        with unwrapped:
            try:
                self._begin(session)
            except Ended as ended:
                if not ended.lost:
                    raise
                if session.state:
                    raise SessionLost(2006, LOST_STATE) from ended.error
                # Nothing of the caller's was sent, whatever became of this.
                session = db._connected()
                self._begin(session)
        self._session, session.in_block = session, True

    def __repr__(self) -> str:
        where = "ended" if self._session is None else f"open in {self._session!r}"
        return f"<Transaction {where}, {self._statements_count} statements>"

    def query(self, sql: str, args: Any = None, *, timeout_s: float | None = None) -> Result:
        """Runs one statement, as :meth:`ConnectionManager.query`, within ``timeout_s`` seconds.

        Raises PyMySQL's errors. A lost connection and a deadlock have rolled everything back: whatever
        follows in this transaction raises :class:`TransactionLost`. After its end: RuntimeError.
        """
        session = self._open_session()
        self._statements_count += 1
        with unwrapped:
            return session.query(sql, args, self._db._limit_s(timeout_s), self._db.remaining_s)

    def executemany(self, sql: str, rows: Iterable[Any], *, timeout_s: float | None = None) -> Result:
        """The statement with each of ``rows``, as :meth:`ConnectionManager.executemany`.

        ``timeout_s`` is for each statement that it takes. Raises what :meth:`query` raises.
        """
        statements = statements_of(self._open_session().connection, sql, rows)
        return run_in_turn(lambda text, args: self.query(text, args, timeout_s=timeout_s), statements)

    def commit(self) -> list[Any]:
        """Commits now, and returns an empty list; whatever follows in the block raises RuntimeError.

        Raises what made it fail, having told the rollback callback.
        """
        if self._session is None:
            raise RuntimeError(HAS_ENDED)
        try:
            self._end("COMMIT")
        except BaseException as failed:
            self._tell(failed)
            raise
        self._on_rollback = None  # no later error of the block undoes it
        return []

    def rollback(self, callback: OnRollback | None = None) -> Self:
        """Without ``callback``: rolls back now; whatever follows in the block raises RuntimeError.

        ``callback`` is called once with the error when the transaction fails; its own errors are logged.
        Raises :class:`RuntimeError` where there is nothing to roll back.
        """
        if callback is not None:
            self._on_rollback = callback
        elif self._session is None:
            raise RuntimeError("this transaction is not open: there is nothing to roll back")
        else:
            self._on_rollback = None  # the caller wants it
            self._end("ROLLBACK")
        return self

    def leave(self, error: BaseException | None) -> None:
        """The end of the block, which raised ``error``: commits, or rolls back, unless it has ended."""
        if error is not None:
            with suppress(Exception):  # the caller hears of what came first
                self._end("ROLLBACK")
            self._tell(error)
        elif self._session is not None:
            self.commit()

    def _open_session(self) -> Session:
        if self._session is None:
            raise RuntimeError(HAS_ENDED)
        if not self._session.is_open:
            raise TransactionLost(2006, ALL_ROLLED_BACK)
        return self._session

    def _begin(self, session: Session) -> None:
        limit_s = self._db._limit_s(None)
        session.lengthen_lease(self._db.remaining_s(), limit_s)
        session.execute("BEGIN", None, limit_s)

    def _end(self, statement: str) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            if not session.is_open:
                raise TransactionLost(2006, ALL_ROLLED_BACK)
            with unwrapped:
                session.execute(statement, None, self._db._limit_s(None))
        finally:
            session.in_block = False
            if session.in_transaction():
                # Not reused with a transaction in doubt; the server rolls back what it does not know.
                session.drop()

    def _tell(self, error: BaseException) -> None:
        callback, self._on_rollback = self._on_rollback, None
        if callback is not None:
            tell(callback, error)


def tell(callback: OnRollback, error: BaseException) -> None:
    """Calls a rollback callback; its own errors are logged."""
    try:
        callback(error)
    except Exception:
        log.exception("the rollback callback failed")
