"""A transaction of a managed connection. No statement in it is ever repeated by itself."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from loadtest.manager.errors import TransactionLost
from loadtest.manager.options import log
from loadtest.manager.running import Ended, Result

if TYPE_CHECKING:
    from loadtest.manager.connection import ConnectionManager
    from loadtest.manager.held import Held

UNLIMITED_S = 60.0  # the lease of a transaction whose invocation has no deadline
# The last result and all results, to the next statement: text, (text, args), or nothing to skip it.
Step = Callable[[Any, list[Any]], Any]


class Transaction:
    """As a block, which commits at its end and rolls back when it raises::

        with db.transaction() as t:
            t.query("INSERT …", (1,))

    or as a chain, whose statements run at :meth:`commit`. Either runs once.
    """

    __slots__ = ("_db", "_held", "_on_rollback", "_steps")

    def __init__(self, db: "ConnectionManager") -> None:
        self._db = db
        self._held: Held | None = None  # from its beginning on
        self._steps: list[tuple[Any, Any]] = []
        self._on_rollback: Callable[[BaseException], object] | None = None

    # As a block

    def __enter__(self) -> Self:
        """Raises what :meth:`ConnectionManager.query` raises, RuntimeError inside another transaction."""
        held = self._db._connected()
        if self._held is not None or held.in_transaction():
            raise RuntimeError("a transaction is open already, or this one has run")
        left_s = self._db.remaining_s()
        try:
            held.lengthen_lease(math.ceil(UNLIMITED_S if left_s is None else max(0.0, left_s)) + 1)
            held.execute("BEGIN", None, self._db._allowed_s(None))
        except Ended as ended:
            raise ended.error from ended.error.__cause__
        self._held = held
        return self

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if error is None:
            self._end("COMMIT")
            return
        with suppress(Exception):  # the caller hears of what came first
            self._end("ROLLBACK")
        if self._on_rollback is not None:
            callback, self._on_rollback = self._on_rollback, None
            try:
                callback(error)
            except Exception:
                log.exception("the rollback callback failed")

    def _end(self, statement: str) -> None:
        held = self._open()
        try:
            held.execute(statement, None, self._db._allowed_s(None))
        except Ended as ended:
            # Not reused with a transaction in doubt; the server rolls back what it does not know.
            held.drop()
            raise ended.error from ended.error.__cause__

    def _open(self) -> "Held":
        if self._held is None or not self._held.is_open:
            raise TransactionLost(2006, "this transaction's connection was lost: all of it was rolled back")
        return self._held

    # Statements

    def query(self, sql: str | Step, args: Any = None, *, timeout_s: float | None = None) -> Any:
        """In a block: runs one statement and returns its :class:`Result`. In a chain: adds one, returns self.

        In a chain a function may stand for a statement. It gets the last result (None at first) and
        all results, and returns the statement, or the statement and its arguments; None or something
        empty skips it, and an empty result keeps its place.
        Raises PyMySQL's errors; a lost connection has rolled everything back.
        """
        if self._held is None:
            self._steps.append((sql, args))
            return self
        return self._run(sql, args, timeout_s)

    def _run(self, sql: Any, args: Any, timeout_s: float | None = None) -> Result:
        held = self._open()
        try:
            return held.execute(sql, args, self._db._allowed_s(timeout_s))
        except Ended as ended:
            raise ended.error from ended.error.__cause__

    def rollback(self, callback: Callable[[BaseException], object]) -> Self:
        """Called once with the error when the transaction was rolled back; its own errors are logged."""
        self._on_rollback = callback
        return self

    def commit(self) -> list[Any]:
        """Runs the chain; the results in their order. Raises what made it roll back."""
        steps, self._steps = self._steps, []
        results: list[Any] = []
        with self:
            for sql, args in steps:
                statement, values = sql, args
                if callable(sql):
                    statement, values = _statement(sql(results[-1] if results else None, results))
                results.append(self._run(statement, values) if statement else Result())
        return results


def _statement(made: Any) -> tuple[Any, Any]:
    if not made:
        return None, None
    if isinstance(made, str):
        return made, None
    statement, *args = made
    return statement, args[0] if args else None
