"""The connection that a container holds, and what is known of its session."""

import time
from contextlib import suppress
from typing import Any

import pymysql
from pymysql.constants import SERVER_STATUS

from loadtest.manager.errors import code_of, symbols
from loadtest.manager.liveness import is_readable
from loadtest.manager.options import Options, log
from loadtest.manager.policy import Managed
from loadtest.manager.running import Ended, Result, run
from loadtest.manager.stats import Stats

_MISSING = object()


class Held:
    """Made with each connect, gone with the connection. Times are monotonic seconds."""

    __slots__ = (
        "_errors",
        "_options",
        "_running",
        "_stats",
        "connection",
        "lease_s",
        "opened_at",
        "served_count",
        "used_at",
    )

    def __init__(
        self, connection: Any, errors: tuple[type[Exception], ...], options: Options, stats: Stats
    ) -> None:
        self.connection = connection
        self.opened_at = self.used_at = time.monotonic()
        self.lease_s = options.lease_s or 0
        self.served_count = 0  # invocations
        self._errors = errors
        self._options = options
        self._stats = stats
        self._running = False

    @property
    def is_open(self) -> bool:
        """False once it was closed or dropped."""
        return self.connection is not None

    def is_dead(self) -> bool:
        """Whether the server has closed the connection: a look at the socket, nothing is sent.

        PyMySQL cannot tell an expired lease from a lost answer. A live idle connection has nothing
        to read; a readable one holds the server's goodbye. A lease that has run out by our own
        clock, or is about to, is taken as expired: the server's answer may be on its way.
        """
        policy = self._options.policy
        if isinstance(policy, Managed):
            idle_s = time.monotonic() - self.used_at
            if idle_s >= self.lease_s - policy.expiry_margin_s:
                return True
        sock = getattr(self.connection, "_sock", _MISSING)  # another library has none to look at
        return sock is not _MISSING and is_readable(sock)

    def in_transaction(self) -> bool:
        """As the server said with its last answer."""
        status = getattr(self.connection, "server_status", 0)
        return bool(status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def execute(self, sql: str, args: Any = None, timeout_s: float | None = None) -> Result:
        """Raises :class:`Ended`; a connection that is of no further use is dropped then."""
        if self._running:
            raise RuntimeError(
                "this ConnectionManager is busy with another statement: give each thread its own"
            )
        self._running = True
        try:
            result = run(
                self.connection, sql, args, timeout_s, self._errors, self._options.return_final_sql_query
            )
        except Ended as ended:
            if ended.lost:
                self.lose(ended.error)
            raise
        except BaseException:
            self.drop()  # cut in the middle of an answer: what is read next would belong to this one
            raise
        finally:
            self._running = False
        self.used_at = time.monotonic()
        return result

    def lengthen_lease(self, needed_s: int) -> None:
        """A lease counts inside a transaction, too, and its end would roll it back."""
        if 0 < self.lease_s < needed_s:
            self.set_lease(needed_s)

    def set_lease(self, lease_s: int) -> None:
        """Raises :class:`Ended`."""
        self._stats.overhead_statements_count += 1
        self.execute(f"SET SESSION wait_timeout = {lease_s:d}")
        self.lease_s = lease_s

    def close(self) -> None:
        """With a word to the server."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(*self._errors, OSError):  # it was gone already, which is what was wanted
                connection.close()
            self._stats.closed_count += 1
            log.debug("closed")
            self._options.fire("on_close")

    def lose(self, error: BaseException) -> None:
        """The connection broke, or failed the manager."""
        self.drop()
        self._stats.lost_count += 1
        log.warning("connection lost: %s", named(error))
        self._options.fire("on_error", error)

    def drop(self) -> None:
        """Lets go without a word to the server: it is gone, or in an unknown state."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(*self._errors, OSError):
                getattr(connection, "_force_close", connection.close)()


def errors_of(library: Any, *more: type[Exception]) -> tuple[type[Exception], ...]:
    """What a library raises for the server's errors, and ``more``."""
    theirs = getattr(library, "MySQLError", pymysql.MySQLError)
    return (
        (pymysql.MySQLError, *more) if theirs is pymysql.MySQLError else (pymysql.MySQLError, theirs, *more)
    )


def named(error: BaseException) -> str:
    """For logs: the number and its name. A text of the server's may have parts of a statement in it."""
    code = code_of(error)
    return f"{code} {symbols().get(code, '')}".strip() if code else type(error).__name__
