"""A transaction of a managed connection. No statement in it is ever repeated by itself."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from loadtest.manager.errors import LOST_STATE, SessionLost, TransactionLost
from loadtest.manager.many import in_turn, statements_of
from loadtest.manager.options import log
from loadtest.manager.running import Ended, Result

if TYPE_CHECKING:
    from loadtest.manager.connection import ConnectionManager
    from loadtest.manager.held import Held

# The last result and all results, to the next statement: text, (text, args), or nothing to skip it.
Step = Callable[[Any, list[Any]], Any]


class Transaction:
    """As a block, which commits at its end and rolls back when it raises::

        with db.transaction() as t:
            t.query("INSERT …", (1,))

    or as a chain, whose statements run at :meth:`commit`. Either runs once. In a block ``t.commit()``
    and ``t.rollback()`` end it there and then; leaving it does nothing more.
    """

    __slots__ = ("_db", "_has_ended", "_held", "_on_rollback", "_steps")

    def __init__(self, db: "ConnectionManager") -> None:
        self._db = db
        self._held: Held | None = None  # while it is open
        self._has_ended = False
        self._steps: list[tuple[Any, Any]] = []
        self._on_rollback: Callable[[BaseException], object] | None = None

    # As a block

    def __enter__(self) -> Self:
        """Raises what :meth:`ConnectionManager.query` raises, RuntimeError inside another transaction."""
        if self._held is not None or self._has_ended:
            raise RuntimeError("this transaction is open already, or has run: begin another")
        held = self._db._connected()
        if held.in_transaction():
            raise RuntimeError("a transaction is open already")
        try:
            self._begin(held)
        except Ended as ended:
            if not ended.lost:
                raise ended.error from ended.error.__cause__
            if held.state:
                raise SessionLost(2006, LOST_STATE) from ended.error
            # Nothing of the caller's was sent, whatever became of this.
            held = self._db._connected()
            try:
                self._begin(held)
            except Ended as again:
                raise again.error from again.error.__cause__
        self._held, held.in_block = held, True
        return self

    def _begin(self, held: "Held") -> None:
        allowed_s = self._db._allowed_s(None)
        held.lengthen_lease(self._db.remaining_s(), allowed_s)
        held.execute("BEGIN", None, allowed_s)

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if error is None:
            self._commit()
        else:
            with suppress(Exception):  # the caller hears of what came first
                self._end("ROLLBACK")
            self._tell(error)

    def _commit(self) -> None:
        try:
            self._end("COMMIT")
        except BaseException as failed:
            self._tell(failed)
            raise
        self._on_rollback = None  # no later error of the block undoes it

    def _end(self, statement: str) -> None:
        held, self._has_ended = self._held, True
        self._held = None
        if held is None:
            return
        try:
            if not held.is_open:
                raise TransactionLost(
                    2006, "the connection was lost: all of this transaction was rolled back"
                )
            held.execute(statement, None, self._db._allowed_s(None))
        except Ended as ended:
            raise ended.error from ended.error.__cause__
        finally:
            held.in_block = False
            if held.in_transaction():
                # Not reused with a transaction in doubt; the server rolls back what it does not know.
                held.drop()

    def _tell(self, error: BaseException) -> None:
        callback, self._on_rollback = self._on_rollback, None
        if callback is not None:
            try:
                callback(error)
            except Exception:
                log.exception("the rollback callback failed")

    # Statements

    def query(self, sql: str | Step, args: Any = None, *, timeout_s: float | None = None) -> Any:
        """In a block: runs one statement and returns its :class:`Result`. In a chain: adds one, returns self.

        In a chain a function may stand for a statement. It gets the last result (None at first) and
        all results, and returns the statement, or the statement and its arguments; None or something
        empty skips it, and an empty result keeps its place.
        Raises PyMySQL's errors; a lost connection, and a deadlock, have rolled everything back:
        whatever follows in this transaction raises :class:`TransactionLost`.
        """
        if self._has_ended:
            raise RuntimeError("this transaction has ended: begin another")
        if self._held is None:
            self._steps.append((sql, args))
            return self
        return self._run(sql, args, timeout_s)

    def executemany(self, sql: str, rows: Iterable[Any], *, timeout_s: float | None = None) -> Any:
        """In a block: the statement with each of ``rows``, as :meth:`ConnectionManager.executemany`.

        In a chain: adds that, returns self. Raises what :meth:`query` raises.
        """
        if self._has_ended:
            raise RuntimeError("this transaction has ended: begin another")
        if self._held is None:
            self._steps.append((_Many(sql, list(rows)), None))
            return self
        return self._run_many(sql, rows, timeout_s)

    def _run_many(self, sql: str, rows: Iterable[Any], timeout_s: float | None = None) -> Result:
        if self._held is None or not self._held.is_open:
            raise TransactionLost(2006, "the connection was lost: all of this transaction was rolled back")
        statements = statements_of(self._held.connection, sql, rows)
        return in_turn(lambda text, args: self._run(text, args, timeout_s), statements)

    def _run(self, sql: Any, args: Any, timeout_s: float | None = None) -> Result:
        held = self._held
        if held is None or not held.is_open:
            raise TransactionLost(2006, "the connection was lost: all of this transaction was rolled back")
        try:
            return held.query(sql, args, self._db._allowed_s(timeout_s), self._db.remaining_s)
        except Ended as ended:
            raise ended.error from ended.error.__cause__

    def rollback(self, callback: Callable[[BaseException], object] | None = None) -> Self:
        """In a block, without ``callback``: rolls back now; whatever follows in it raises RuntimeError.

        ``callback`` is called once with the error when the transaction came to nothing by one; its own
        errors are logged. Raises :class:`RuntimeError` where there is nothing to roll back.
        """
        if callback is not None:
            self._on_rollback = callback
        elif self._held is None:
            raise RuntimeError("this transaction is not open: there is nothing to roll back")
        else:
            self._on_rollback = None  # as the caller wants it
            self._end("ROLLBACK")
        return self

    def commit(self) -> list[Any]:
        """In a block: commits now; whatever follows in it raises RuntimeError. Raises what its end raises.

        In a chain: runs it; the results in their order. Raises what made it roll back.
        """
        if self._held is not None:
            self._commit()
            return []
        results: list[Any] = []
        try:
            with self:
                for sql, args in self._steps:
                    if isinstance(sql, _Many):
                        results.append(self._run_many(sql.sql, sql.rows))
                        continue
                    statement, values = sql, args
                    if callable(sql):
                        statement, values = _statement(sql(results[-1] if results else None, results))
                    results.append(self._run(statement, values) if statement else Result())
        except BaseException as error:
            self._tell(error)  # once, also where it did not even begin
            raise
        return results


class _Many(NamedTuple):
    sql: str
    rows: list[Any]


def _statement(made: Any) -> tuple[Any, Any]:
    if not made:
        return None, None
    if isinstance(made, str):
        return made, None
    statement, *args = made
    return statement, args[0] if args else None
