"""The connection that a container holds, and what is known of its session."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pymysql.constants import SERVER_STATUS

from loadtest.manager import forks
from loadtest.manager.clock import now_s
from loadtest.manager.errors import (
    DEADLOCK,
    LOST_IN_BLOCK,
    LOST_STATE,
    SessionLost,
    TransactionLost,
    code_of,
    error_name,
)
from loadtest.manager.fate import Fate, is_read_only
from loadtest.manager.liveness import is_readable
from loadtest.manager.options import Options, log
from loadtest.manager.result import Ended, Result, run
from loadtest.manager.session_state import NOTHING, TABLE_LOCKS, begins_transaction, state_of
from loadtest.manager.stats import Stats

_MISSING = object()
NEW_S = 1.0  # a connection is new for so long: its host name may not lead elsewhere by now
UNLIMITED_S = 60.0  # the lease of a transaction whose invocation has no deadline


class Session:
    """Made with each connect, gone with the connection. Times are :func:`~loadtest.manager.clock.now_s`'s.

    ``errors`` are the library's exceptions that end a statement; any other drops the connection.
    """

    __slots__ = (
        "_errors",
        "_forks_count",
        "_options",
        "_read_in_transaction",
        "_stats",
        "connect_s",
        "connection",
        "in_block",
        "is_guarded",
        "is_read_only",
        "is_replacement",
        "is_running",
        "lease_s",
        "opened_at",
        "own_autocommit",
        "served_count",
        "state",
        "stop_reading",
        "used_at",
    )

    def __init__(
        self, connection: Any, errors: tuple[type[Exception], ...], options: Options, stats: Stats,
        connect_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.connection = connection
        self.connect_s = connect_s  # how long the try took that opened it
        self.opened_at = self.used_at = now_s()
        self.lease_s = options.policy.lease_s or 0
        self.served_count = 0  # invocations
        self._errors = errors
        self._forks_count = forks.count
        self._options = options
        self._stats = stats
        self._read_in_transaction = False
        self.own_autocommit = self.is_autocommit()  # unless somebody changes it for a while
        self.in_block = False  # a transaction's block is open on it, also when it is gone
        self.is_guarded = options.policy.guards_session  # statements give it a state of its own
        self.is_read_only = False  # its server said so
        self.is_replacement = False  # of one whose server said so
        self.is_running = False
        self.stop_reading: Callable[[], None] | None = None  # of a stream whose rows are under way
        self.state = NOTHING  # what its session holds of its own: locks, variables, temporary tables

    def __repr__(self) -> str:
        if not self.is_open:
            return f"<Session closed, {self.served_count} invocations>"
        thread_id = getattr(self.connection, "thread_id", lambda: "?")
        return (
            f"<Session on connection {thread_id()}, lease {self.lease_s} s, {self.served_count} invocations>"
        )

    @property
    def is_open(self) -> bool:
        """False once it was closed or dropped, and in a child of the process that opened it."""
        return self.connection is not None and self._forks_count == forks.count

    def leave_to_the_parent(self) -> None:
        """In a child of a fork: gives up the connection without touching it.

        Else both would read each other's answers, and the goodbye of one would end the connection of both.
        """
        if self._forks_count != forks.count:
            connection, self.connection = self.connection, None
            self._forks_count = forks.count
            if connection is not None:
                forks.let_go(connection)

    def is_dead(self) -> bool:
        """Whether the server has closed the connection, told from the socket: nothing is sent.

        PyMySQL cannot tell an expired lease from a lost answer. A live idle connection has nothing
        to read; a readable one holds the server's goodbye. A lease that is over by our own clock, or
        about to be, counts as expired: the server's goodbye may be on its way.
        """
        if self._options.policy.is_expired(now_s() - self.used_at, self.lease_s):
            return True
        sock = getattr(self.connection, "_sock", _MISSING)  # another library has none to look at
        return sock is not _MISSING and is_readable(sock)

    def is_usable(self) -> bool:
        """Whether the next statement may be sent on it. One that is not is dropped.

        Raises :class:`TransactionLost` or :class:`SessionLost` where a new connection would go on in the
        middle of something, and :class:`RuntimeError` while a statement of another thread runs.
        """
        if self.is_read_only and self.may_be_replaced():
            self.close()
        if self.is_open:
            self.check_idle()
            if not self._options.policy.checks_before_use or not self.is_dead():
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

    def is_autocommit(self) -> bool:
        """Whether a statement is a transaction of its own, as the server said with its last answer."""
        status = getattr(self.connection, "server_status", SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT)
        return bool(status & SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT)

    def in_transaction(self) -> bool:
        """Whether a transaction is open, as the server said with its last answer; False without a connection.

        PyMySQL does not read the status that comes after a result's rows, and an error comes without one:
        with autocommit off, both count as the start of one.
        """
        connection = self.connection
        if connection is None:
            return False
        status = getattr(connection, "server_status", 0)
        return bool(status & SERVER_STATUS.SERVER_STATUS_IN_TRANS) or self._read_in_transaction

    def must_not_freeze(self) -> bool:
        """Whether a freeze would keep locks, or hand on to the next invocation what is not its own."""
        has_changed = self.state != NOTHING or self.is_autocommit() != self.own_autocommit
        return has_changed or self.is_read_only or self.is_running or self.in_transaction()

    def may_be_replaced(self) -> bool:
        """Whether to connect anew, to a server that writes, after this one said that it does not.

        Once in an invocation, and not when the connection is new itself: else a function without a
        server that writes would connect for every statement.
        """
        is_bound = self.in_block or self.state != NOTHING or self.in_transaction()
        if not self.is_read_only or is_bound or not self._options.policy.guards_session:
            return False
        was_kept = self.served_count > 0 or now_s() - self.opened_at > NEW_S
        return was_kept and not (self.is_replacement and self.served_count == 0)

    def needs_transaction(self) -> bool:
        """Whether several statements need a transaction of their own to take effect together.

        Not where one is open already, nor under LOCK TABLES, whose locks its BEGIN would release.
        """
        return self.is_autocommit() and not self.in_transaction() and self.state != TABLE_LOCKS

    def query(
        self, sql: str, args: Any, timeout_s: float | None, left_s: Callable[[], float | None]
    ) -> Result:
        """A statement of the caller's, in an invocation that has ``left_s()`` seconds. Raises :class:`Ended`.

        Where the policy guards the session, a statement that gives it a state of its own binds the invocation
        to this connection.
        """
        self.guard(sql, timeout_s, left_s)
        return self.execute(sql, args, timeout_s)

    def guard(
        self, sql: str, timeout_s: float | None, left_s: Callable[[], float | None], is_slow: bool = False
    ) -> None:
        """Before the statement ``sql`` is sent: a lease for what it will leave in the session, or begin.

        ``is_slow``: its rows are read as slowly as the caller likes. The server's clock runs from the
        moment when it has sent them all, which may lie in buffers yet; MariaDB's end of the lease takes
        them along. The other arguments and the errors are those of :meth:`query`.
        """
        state = state_of(sql)
        if self.is_guarded and (is_slow or state > self.state or self._begins_transaction(sql)):
            try:
                self.lengthen_lease(left_s(), timeout_s)
            except Ended as ended:
                # Whatever became of this, nothing of the caller's was sent.
                raise Ended(ended.error, Fate.NOT_SENT if ended.lost else ended.fate, ended.lost) from ended
            self.state = max(state, self.state)

    def _begins_transaction(self, sql: str) -> bool:
        return (not self.is_autocommit() or begins_transaction(sql)) and not self.in_transaction()

    def execute(self, sql: str, args: Any = None, timeout_s: float | None = None) -> Result:
        """Runs a statement within ``timeout_s`` seconds (None: no limit).

        Raises :class:`Ended`; a connection that is of no further use has been dropped then.
        """
        self.check_idle()
        self.is_running = True
        try:
            result = run(
                self.connection, sql, args, timeout_s, self._errors, self._options.return_final_sql_query
            )
        except Ended as ended:
            self.failed(ended.error, lost=ended.lost)
            raise
        except BaseException:
            self.drop()  # cut in the middle of an answer: what is read next would belong to this one
            raise
        finally:
            self.is_running = False
        last = result.more[-1] if result.more else result
        self.answered(has_rows=last.has_rows)
        return result

    def answered(self, *, has_rows: bool) -> None:
        """The server has answered a statement; ``has_rows``: with rows, if only none."""
        self.used_at = now_s()
        self._read_in_transaction = has_rows and not self.is_autocommit()

    def failed(self, error: BaseException, *, lost: bool) -> None:
        """A statement ended with ``error``; ``lost``: the connection is of no further use."""
        if lost or (self.in_block and code_of(error) == DEADLOCK):
            # After a deadlock the server has rolled back all of it; what follows would be on its own.
            self.lose(error)
        elif is_read_only(error, self.in_transaction()):
            self.is_read_only = True
        self._read_in_transaction = not self.is_autocommit()
        self.used_at = now_s()

    def check_idle(self) -> None:
        """Raises :class:`RuntimeError` while a statement of another thread runs."""
        if self.is_running:
            raise RuntimeError(
                "this ConnectionManager is busy with another statement: give each thread its own, and read a "
                "stream to its end, or close it"
            )

    def lengthen_lease(self, left_s: float | None, timeout_s: float | None) -> None:
        """To ``left_s``, what the invocation has left (None: no deadline). Raises :class:`Ended`.

        A lease also runs inside a transaction, and its end would roll the transaction back, or free a lock.
        """
        needed_s = math.ceil(UNLIMITED_S if left_s is None else max(0.0, left_s)) + 1
        if 0 < self.lease_s < needed_s:
            self.set_lease(needed_s, timeout_s)

    def set_lease(self, lease_s: int, timeout_s: float | None) -> None:
        """Sets the session's ``wait_timeout`` in whole seconds. Raises :class:`Ended`."""
        self._stats.overhead_statements_count += 1
        self.execute(f"SET SESSION wait_timeout = {int(lease_s)}", None, timeout_s)
        self.lease_s = int(lease_s)

    def close(self) -> None:
        """Says goodbye to the server."""
        self.leave_to_the_parent()
        self._end_stream()
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(*self._errors, OSError):  # it was gone already, which is what was wanted
                connection.close()
            self._stats.closed_count += 1
            log.debug("closed")
            self._options.fire("on_close")

    def _end_stream(self) -> None:
        stop, self.stop_reading = self.stop_reading, None
        if stop is not None:
            stop()

    def lose(self, error: BaseException) -> None:
        """The connection broke with ``error``: drops it, counts it and tells ``on_error``."""
        self.drop()
        self._stats.lost_count += 1
        log.warning("connection lost: %s", error_name(error))
        self._options.fire("on_error", error)

    def drop(self) -> None:
        """Lets go without a goodbye: the server is gone, or the connection is in an unknown state."""
        self.leave_to_the_parent()
        self._end_stream()
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(*self._errors, OSError):
                getattr(connection, "_force_close", connection.close)()
