"""A transaction whose statements are collected first, and run together at its commit."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Self

from loadtest.manager.result import Result
from loadtest.manager.statement import SessionSource
from loadtest.manager.transaction import OnRollback, Transaction, tell

HAS_BEGUN = (
    "this transaction is open already, or has run: "
    "in its block use the t of `with … as t:`, after it begin another"
)
# From the last result and all results to the next statement: text, (text, args), or nothing to skip it.
Step = Callable[[Result | None, list[Result]], Any]


class TransactionChain:
    """What ``db.transaction()`` returns. Either collects statements, which run at :meth:`commit`::

        db.transaction().query("INSERT …", (1,)).query("SELECT …").commit()

    or becomes a block at ``with``, whose :class:`Transaction` runs each statement at once::

        with db.transaction() as t:
            t.query("INSERT …", (1,))

    It runs once.
    """

    __slots__ = ("_block", "_db", "_on_rollback", "_steps")

    def __init__(self, db: SessionSource) -> None:
        self._db = db
        self._block: Transaction | None = None  # once it has begun
        self._on_rollback: OnRollback | None = None  # of the block, once that has begun
        self._steps: list[_Statement | _Rows] = []

    def __repr__(self) -> str:
        state = "collecting" if self._block is None else repr(self._block)
        return f"<TransactionChain {state}, {len(self._steps)} steps>"

    def __enter__(self) -> Transaction:
        """Begins the transaction, as a block.

        Raises what :meth:`ConnectionManager.query` raises, RuntimeError inside another transaction and
        for a chain, whose statements the block would not run.
        """
        if self._steps:
            raise RuntimeError("this chain has statements of its own: run it with commit()")
        return self._begin()

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if self._block is not None:
            self._block.leave(error)

    def query(self, sql: str | Step, args: Any = None, *, timeout_s: float | None = None) -> Self:
        """Adds a statement, which gets ``timeout_s`` seconds when it runs.

        A function may stand for it. It is called with the last result (None at first) and all results,
        and returns a statement, or a statement and its arguments; None or something empty skips the
        step, whose result is empty. Raises :class:`RuntimeError` when the transaction has begun.
        """
        return self._add(_Statement(sql, args, timeout_s))

    def executemany(self, sql: str, rows: Iterable[Any], *, timeout_s: float | None = None) -> Self:
        """Adds a statement with each of ``rows``, as :meth:`ConnectionManager.executemany`."""
        return self._add(_Rows(sql, list(rows), timeout_s))

    def rollback(self, callback: OnRollback | None = None) -> Self:
        """``callback`` is called once with the error when the transaction fails; its own errors are logged.

        Raises :class:`RuntimeError` without one: there is nothing to roll back yet.
        """
        if callback is None:
            raise RuntimeError("this transaction is not open: there is nothing to roll back")
        self._on_rollback = callback
        return self

    def commit(self) -> list[Result]:
        """Runs the statements; returns their results in order. Raises what made it roll back.

        A chain that could not even begin, as without a connection, may be committed again.
        """
        results: list[Result] = []
        try:
            block = self._begin()
        except BaseException as error:
            callback, self._on_rollback = self._on_rollback, None
            if callback is not None:
                tell(callback, error)
            raise
        try:
            for step in self._steps:
                results.append(step.run(block, results))
        except BaseException as error:
            block.leave(error)
            raise
        block.commit()
        return results

    def _add(self, step: "_Statement | _Rows") -> Self:
        if self._block is not None:
            raise RuntimeError(HAS_BEGUN)
        self._steps.append(step)
        return self

    def _begin(self) -> Transaction:
        if self._block is not None:
            raise RuntimeError(HAS_BEGUN)
        self._block = Transaction(self._db, self._on_rollback)
        self._on_rollback = None
        return self._block


class _Statement(NamedTuple):
    sql: str | Step
    args: Any
    timeout_s: float | None

    def run(self, block: Transaction, results: list[Result]) -> Result:
        sql, args = self.sql, self.args
        if callable(sql):
            sql, args = _made_by(sql(results[-1] if results else None, results))
        return block.query(sql, args, timeout_s=self.timeout_s) if sql else Result()


class _Rows(NamedTuple):
    sql: str
    rows: list[Any]
    timeout_s: float | None

    def run(self, block: Transaction, _results: list[Result]) -> Result:
        return block.executemany(self.sql, self.rows, timeout_s=self.timeout_s)


def _made_by(returned: Any) -> tuple[str, Any]:
    """Statement and arguments, of what a step's function returned; an empty statement to skip it."""
    if not returned:
        return "", None
    if isinstance(returned, str):
        return returned, None
    statement, *args = returned
    return statement, args[0] if args else None
