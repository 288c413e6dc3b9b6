"""The connection that a container holds, and what is known of its session."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pymysql
from pymysql.constants import SERVER_STATUS

from loadtest.manager import forks
from loadtest.manager.clock import now_s
from loadtest.manager.errors import (
    DEADLOCK,
    LOST_IN_BLOCK,
    LOST_STATE,
    Fate,
    SessionLost,
    TransactionLost,
    code_of,
    is_read_only,
    symbols,
)
from loadtest.manager.liveness import is_readable
from loadtest.manager.options import Options, log
from loadtest.manager.policy import Classic, Managed
from loadtest.manager.running import Ended, Result, run
from loadtest.manager.session_state import NOTHING, state_of
from loadtest.manager.stats import Stats

_MISSING = object()
NEW_S = 1.0  # a name was resolved, and led to this server, so short a time ago
UNLIMITED_S = 60.0  # the lease of a transaction whose invocation has no deadline


class Held:
    """Made with each connect, gone with the connection. Times are monotonic seconds."""

    __slots__ = (
        "_errors",
        "_forks_count",
        "_options",
        "_read_in_transaction",
        "_stats",
        "connection",
        "in_block",
        "is_read_only",
        "is_replacement",
        "is_running",
        "lease_s",
        "opened_at",
        "served_count",
        "state",
        "used_at",
    )

    def __init__(
        self, connection: Any, errors: tuple[type[Exception], ...], options: Options, stats: Stats
    ) -> None:
        self.connection = connection
        self.opened_at = self.used_at = now_s()
        self.lease_s = options.lease_s or 0
        self.served_count = 0  # invocations
        self._errors = errors
        self._forks_count = forks.count
        self._options = options
        self._stats = stats
        self._read_in_transaction = False
        self.in_block = False  # a transaction's block is open on it, also when it is gone
        self.is_read_only = False  # its server said so
        self.is_replacement = False  # for one whose server said so
        self.is_running = False
        self.state = NOTHING  # what its session holds of its own: locks, variables, temporary tables

    @property
    def is_open(self) -> bool:
        """False once it was closed or dropped, and in a child of the process that opened it."""
        return self.connection is not None and self._forks_count == forks.count

    def leave_to_the_parent(self) -> None:
        """In a child of a fork: both would read each other's answers, and one's goodbye end the other's."""
        if self._forks_count != forks.count:
            connection, self.connection = self.connection, None
            self._forks_count = forks.count
            if connection is not None:
                forks.let_go(connection)

    def is_dead(self) -> bool:
        """Whether the server has closed the connection: a look at the socket, nothing is sent.

        PyMySQL cannot tell an expired lease from a lost answer. A live idle connection has nothing
        to read; a readable one holds the server's goodbye. A lease that has run out by our own
        clock, or is about to, is taken as expired: the server's answer may be on its way.
        """
        policy = self._options.policy
        if isinstance(policy, Managed):
            idle_s = now_s() - self.used_at
            if idle_s >= self.lease_s - policy.expiry_margin_s:
                return True
        sock = getattr(self.connection, "_sock", _MISSING)  # another library has none to look at
        return sock is not _MISSING and is_readable(sock)

    def is_usable(self) -> bool:
        """For the next statement.

        Raises :class:`TransactionLost`, :class:`SessionLost`: a new one would go on in the middle.
        """
        if self.is_read_only and self.may_be_replaced():
            self.close()
        if self.is_open:
            self.check_idle()
            if isinstance(self._options.policy, Classic) or not self.is_dead():
                return True
            self._stats.expired_count += 1
        in_middle = self.in_block or self.in_transaction()
        had_state = self.connection is not None and self.state
        self.drop()
        if in_middle:
            raise TransactionLost(2006, LOST_IN_BLOCK)
        if had_state:
            raise SessionLost(2006, LOST_STATE)
        return False

    def in_transaction(self) -> bool:
        """As the server said with its last answer that had rows of its own or none; False when it is gone.

        PyMySQL does not read the status that comes after a result's rows, so with autocommit off a
        SELECT counts as the beginning of one.
        """
        connection = self.connection
        if connection is None:
            return False
        status = getattr(connection, "server_status", 0)
        return bool(status & SERVER_STATUS.SERVER_STATUS_IN_TRANS) or self._read_in_transaction

    def must_not_freeze(self) -> bool:
        """The container would keep its locks, and what the next invocation does would belong to it."""
        return self.state != NOTHING or self.is_read_only or self.in_transaction()

    def may_be_replaced(self) -> bool:
        """For one to a server that writes: once in an invocation, and not when it is new itself.

        Else who may not write on a server that is only to be read would connect for every statement.
        """
        is_bound = self.in_block or self.state != NOTHING or self.in_transaction()
        if not self.is_read_only or is_bound or not isinstance(self._options.policy, Managed):
            return False
        was_kept = self.served_count > 0 or now_s() - self.opened_at > NEW_S
        return was_kept and not (self.is_replacement and self.served_count == 0)

    def query(
        self, sql: str, args: Any, timeout_s: float | None, left_s: Callable[[], float | None]
    ) -> Result:
        """A statement of the caller's, whose invocation has ``left_s()``. Raises :class:`Ended`.

        One that gives the session a state of its own binds the invocation to this connection. Not so
        with `classic`: the published module hands the state on to the next invocation.
        """
        state = state_of(sql)
        if state > self.state and isinstance(self._options.policy, Managed):
            try:
                self.lengthen_lease(left_s(), timeout_s)
            except Ended as ended:
                # Whatever became of this, nothing of the caller's was sent.
                raise Ended(ended.error, Fate.NOT_SENT if ended.lost else ended.fate, ended.lost) from ended
            self.state = state
        return self.execute(sql, args, timeout_s)

    def execute(self, sql: str, args: Any = None, timeout_s: float | None = None) -> Result:
        """Raises :class:`Ended`; a connection that is of no further use is dropped then."""
        self.check_idle()
        self.is_running = True
        try:
            result = run(
                self.connection, sql, args, timeout_s, self._errors, self._options.return_final_sql_query
            )
        except Ended as ended:
            if ended.lost or (self.in_block and code_of(ended.error) == DEADLOCK):
                # After a deadlock the server has rolled back all of it; what follows would be on its own.
                self.lose(ended.error)
            elif is_read_only(ended.error, self.in_transaction()):
                self.is_read_only = True
            self.used_at = now_s()
            raise
        except BaseException:
            self.drop()  # cut in the middle of an answer: what is read next would belong to this one
            raise
        finally:
            self.is_running = False
        self.used_at = now_s()
        status = getattr(self.connection, "server_status", SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT)
        autocommit = status & SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT
        last = result.more[-1] if result.more else result
        self._read_in_transaction = last.has_rows and not autocommit
        return result

    def check_idle(self) -> None:
        """Raises :class:`RuntimeError` while a statement of another thread runs."""
        if self.is_running:
            raise RuntimeError(
                "this ConnectionManager is busy with another statement: give each thread its own"
            )

    def lengthen_lease(self, left_s: float | None, timeout_s: float | None) -> None:
        """To what the invocation has left. Raises :class:`Ended`.

        A lease counts inside a transaction, too, and its end would roll it back, or free a lock.
        """
        needed_s = math.ceil(UNLIMITED_S if left_s is None else max(0.0, left_s)) + 1
        if 0 < self.lease_s < needed_s:
            self.set_lease(needed_s, timeout_s)

    def set_lease(self, lease_s: int, timeout_s: float | None) -> None:
        """Raises :class:`Ended`."""
        self._stats.overhead_statements_count += 1
        self.execute(f"SET SESSION wait_timeout = {int(lease_s)}", None, timeout_s)
        self.lease_s = int(lease_s)

    def close(self) -> None:
        """With a word to the server."""
        self.leave_to_the_parent()
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
        self.leave_to_the_parent()
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
