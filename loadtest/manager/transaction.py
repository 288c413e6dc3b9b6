"""A transaction of a managed connection. No statement in it is ever repeated by itself."""

import math
from typing import TYPE_CHECKING, Any, Self

import pymysql

if TYPE_CHECKING:
    from loadtest.manager.connection import ConnectionManager, Result


UNLIMITED_S = 60.0  # the lease of a transaction whose invocation has no deadline


class Transaction:
    """Commits when its block ends, rolls back when it raises."""

    __slots__ = ("_db",)

    def __init__(self, db: "ConnectionManager") -> None:
        self._db = db

    def __enter__(self) -> Self:
        self._db.connect()
        self._lengthen_lease()
        self._db._execute("BEGIN", None)
        return self

    def query(self, sql: str, args: Any = None) -> "Result":
        """One statement. Raises PyMySQL's errors; a lost connection has rolled everything back."""
        return self._db._execute(sql, args)

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            self._db._execute("ROLLBACK" if kind else "COMMIT", None)
            self._set_lease(self._db.lease_s)
        except (pymysql.MySQLError, OSError):
            # Not reused with a transaction in doubt; the server rolls back what it does not know.
            self._db._drop()
            if kind is None:
                raise

    def _lengthen_lease(self) -> None:
        """A lease also counts inside a transaction, and its end would roll it back."""
        if self._db.lease_s is not None:
            left_s = self._db.remaining_s()
            self._set_lease(max(self._db.lease_s, math.ceil(UNLIMITED_S if left_s is None else left_s) + 1))

    def _set_lease(self, lease_s: int | None) -> None:
        if lease_s is not None:
            self._db._execute(f"SET SESSION wait_timeout = {lease_s:d}", None)
