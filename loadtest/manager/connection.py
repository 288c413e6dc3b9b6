"""ConnectionManager: one connection for one container, held as its policy decides."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pymysql

from loadtest.manager import connection_string, sql
from loadtest.manager.clock import now_s
from loadtest.manager.connect_arguments import is_pymysql, merged, understood
from loadtest.manager.deadline import allowed_s, deadline_of
from loadtest.manager.door import Door
from loadtest.manager.ending import Ending
from loadtest.manager.handler import Handler, as_invocation
from loadtest.manager.held import Held, errors_of
from loadtest.manager.many import run_many
from loadtest.manager.options import DEFAULT, ELSEWHERE, NAMES, Options
from loadtest.manager.policy import Classic, Rhythm
from loadtest.manager.running import Result
from loadtest.manager.statement import run_statement
from loadtest.manager.stats import Stats
from loadtest.manager.transaction import Transaction
from loadtest.manager.view import View

_NOTHING: Mapping[str, Any] = {}


class ConnectionManager:
    """Lives at a function's module level, as long as its container.

    ``config`` is a mapping of PyMySQL's connect arguments or a connection string
    (``mysql://user:password@host/database``); keyword arguments are
    :class:`~loadtest.manager.options.Options`, and what is none of those goes over the config.
    ``library`` is any module with a PyMySQL-compatible ``connect``, or such a function. Autocommit is
    on unless the config says otherwise. Nothing is connected before the first statement, and nothing
    runs between invocations. A manager serves one thread at a time, as a container serves one
    invocation at a time; different managers have nothing to do with each other.
    """

    __slots__ = (
        "_at_s", "_config", "_deadline", "_door", "_held", "_in_invocation", "_library", "_options",
        "_rhythm", "_stats", "_view",
    )  # fmt: skip

    escape = staticmethod(sql.escape)
    escape_id = staticmethod(sql.escape_id)
    format = staticmethod(sql.format)

    def __init__(
        self, config: Mapping[str, Any] | str | None = None, *, library: Any = pymysql, **more: Any
    ) -> None:
        """Raises :class:`ValueError` for a connection string, an argument or an option that cannot be."""
        named_here = {name: more.pop(name) for name in NAMES & more.keys()}
        chosen = {name: value for name, value in named_here.items() if value is not None}
        self._options = Options(**chosen) if chosen else DEFAULT
        self._library = library
        self._config = _NOTHING
        if config is not None or more:
            self.config(_NOTHING if config is None else config, **more)
        self._held: Held | None = None
        self._door: Door | None = None
        self._rhythm = Rhythm(self._options.unproven_gap_s)
        self._stats = Stats()
        self._view: View | None = None
        self._in_invocation = False
        self._deadline: float | None = None
        self._at_s: float | None = None  # when the last invocation ended, or this one began

    def __repr__(self) -> str:
        client = self.get_client()
        held = f"connection {client.thread_id()}" if client is not None else "no connection"
        return f"<ConnectionManager {held}, {self._rhythm.invocations_count} invocations>"

    # One invocation

    @contextmanager
    def invocation(self, context: Any = None) -> Iterator["ConnectionManager"]:
        """Around a handler's body: :meth:`end` on the way out, also after an error.

        ``context`` is the Lambda context, a number of seconds, or None: how long the function has.
        Raises :class:`TypeError` for anything else.
        """
        self.begin(context)
        try:
            yield self
        finally:
            self.end()

    def handler(self, function: Handler) -> Handler:
        """Decorates ``handler(event, context)``, so that its body is one invocation.

        Raises :class:`TypeError` for one that makes a coroutine or a generator: its body would run
        later. Such a one takes :meth:`invocation` inside its body.
        """
        return as_invocation(self.invocation, function)

    def begin(self, context: Any = None) -> None:
        """For an explicit :meth:`end`; else the first statement begins an invocation without a deadline."""
        now = now_s()
        deadline = deadline_of(context, time.monotonic())
        self._in_invocation = True
        self._rhythm.called(None if self._at_s is None else now - self._at_s)
        self._at_s = now
        self._deadline = deadline
        self._stats.reuses_count += self._open is not None

    def end(self) -> None:
        """After each invocation: keep, close, or kill, as the policy decides. Raises nothing of MySQL's."""
        if not self._in_invocation:
            self.begin()
        held, options = self._open, self._options
        try:
            if held is not None:
                # Without the wait for it: how long the connection itself was in use.
                self._rhythm.worked(now_s() - max(self._at_s or 0.0, held.opened_at))
                held.served_count += 1
                if not options.manage and not isinstance(options.policy, Classic) and held.must_not_freeze():
                    held.close()
                elif options.manage:
                    view = self._view or View()
                    ending = Ending(held, view, self._rhythm, options, self._stats, errors_of(self._library))
                    left_s = self.remaining_s()
                    ending.carry_out(ending.decide(left_s), left_s)
                    self._view = view if view.has_seen else None
        except Exception as error:
            # Asking failed, so this connection is of no further use; the answer is ready, and counts.
            if held is not None:
                held.lose(error)
        finally:
            if held is None:
                self.quit()  # in a child of a fork: leaves it to the parent
            if self._open is None:
                self._held = None
            self._in_invocation = False
            self._deadline = None
            self._at_s = now_s()

    def quit(self) -> None:
        """Closes the connection, whatever the policy: before the container goes, if it is told."""
        if self._held is not None:
            self._held.close()

    # Statements

    def query(
        self, sql: str, args: Any = None, *, idempotent: bool = False, timeout_s: float | None = None
    ) -> Result:
        """Runs one statement, connecting first where needed. ``args`` as in PyMySQL.

        A statement is sent again only if it cannot have run, or with ``idempotent=True``, or, with
        ``max_query_retries``, after an answer that says that it took no effect; never in a
        transaction. It gets ``timeout_s`` at most, and never longer than the invocation has.

        Raises :class:`NoConnection` when none was to be had before the deadline (nothing was sent),
        :class:`AnswerLost` when the connection broke with the statement under way,
        :class:`QueryTimeout` (one of those) when the time was over, :class:`TransactionLost` and
        :class:`SessionLost` when the connection had gone with a transaction open or with a state of
        its session's own, and PyMySQL's own errors for whatever the server answers.
        """
        return run_statement(self, sql, args, idempotent, timeout_s)

    def executemany(self, sql: str, rows: Iterable[Any], *, timeout_s: float | None = None) -> Result:
        """Runs the statement with each of ``rows``; the result counts what all of them changed.

        As in PyMySQL an INSERT takes all rows in one statement, up to 1 MB; else each row is a statement.
        Several run in a transaction, their own or the one that is open: all of them take effect, or none.
        ``timeout_s`` is for each. Raises what :meth:`query` raises.
        """
        return run_many(self, sql, rows, timeout_s)

    def transaction(self) -> Transaction:
        """``with db.transaction() as t: t.query(…)``, or a chain: ``db.transaction().query(…).commit()``."""
        return Transaction(self)

    def change_user(
        self, user: str | None = None, password: str | None = None, database: str | None = None
    ) -> None:
        """From now on as another user, or with another database. Raises PyMySQL's errors.

        The database alone is changed on the open connection. PyMySQL has no COM_CHANGE_USER, so
        another user means another connection; when it is refused, the old user stays. Raises
        :class:`ValueError` where ``credentials`` decide who is connected.
        """
        wanted = {"user": user, "password": password, "database": database}
        changes = {name: value for name, value in wanted.items() if value is not None}
        before = self._config
        if changes.keys() - {"database"}:
            if self._options.credentials:
                raise ValueError("user and password come from credentials, which go before change_user")
            self.quit()
            self.config(changes)
            try:
                self.connect()
            except BaseException:
                self._config = before
                raise
        elif changes:
            self._connected().connection.select_db(database)
            self.config(changes)

    # What it is and has done

    def config(self, changes: Mapping[str, Any] | str = _NOTHING, **more: Any) -> dict[str, Any]:
        """Changes arguments of the next connect; returns all of them. A connection string will do.

        Raises :class:`ValueError`, and changes nothing, for one that PyMySQL does not know or take.
        """
        parsed = connection_string.parse(changes) if isinstance(changes, str) else changes
        given = {**parsed, **more}
        if is_pymysql(self._library):
            given = understood(given, ELSEWHERE)
        self._config = merged(self._config, given)
        return dict(self._config)

    def get_config(self) -> dict[str, Any]:
        """The connect arguments, the password among them."""
        return dict(self._config)

    def get_client(self) -> Any:
        """The library's connection; None when there is none."""
        held = self._open
        return None if held is None else held.connection

    def get_counter(self) -> int:
        """Invocations that the present connection has served."""
        return 0 if self._open is None else self._open.served_count

    def get_error_count(self) -> int:
        """Connections that broke."""
        return self._stats.lost_count

    @property
    def stats(self) -> Stats:
        """A snapshot."""
        return replace(self._stats)

    @property
    def lease_s(self) -> int | None:
        """The lease that a session begins with, in seconds; None for a policy without one."""
        return self._options.lease_s

    def remaining_s(self) -> float | None:
        """Seconds until this invocation's deadline; None when it has none."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    # The connection

    def connect(self) -> None:
        """Makes sure that there is a live connection; waits its turn when the server is full.

        Raises :class:`NoConnection` at the deadline, PyMySQL's errors for what waiting cannot cure.
        """
        self._connected()

    @property
    def _open(self) -> Held | None:
        return self._held if self._held is not None and self._held.is_open else None

    def _connected(self) -> Held:
        if not self._in_invocation:
            self.begin()
        before = self._held
        if before is not None and before.is_usable():
            return before
        classic = isinstance(self._options.policy, Classic)
        door = self._door or Door(self._options, self._stats)
        if classic:
            self._door = door  # only the published policy's count of retries outlives an invocation
        needed_s = self._rhythm.busy_mean_s or 0.0
        try:
            connection = door.open(self._library, self._config, self._deadline, needed_s)
        finally:
            if door.met_full and not classic:
                self._view = self._view or View()
                self._view.refused(now_s(), self._rhythm.invocations_count)
        self._held = Held(connection, errors_of(self._library), self._options, self._stats)
        self._held.is_replacement = before is not None and before.is_read_only
        return self._held

    def _allowed_s(self, timeout_s: float | None) -> float | None:
        return allowed_s(self._options.policy, self.remaining_s(), timeout_s)
