"""ConnectionManager: one connection for one container, kept as its policy decides."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Unpack

import pymysql

from loadtest.manager import connection_string, sql
from loadtest.manager.backoff import BASE_S, CAP_S, Backoff
from loadtest.manager.breaker import CircuitBreaker
from loadtest.manager.clock import now_s
from loadtest.manager.connect import Connector
from loadtest.manager.connect_arguments import ConnectArguments, is_pymysql, merged, understood
from loadtest.manager.dbapi import ManagedConnection
from loadtest.manager.decision import Rhythm
from loadtest.manager.errors import library_errors
from loadtest.manager.invocation import Handler, as_invocation, time_given_s
from loadtest.manager.invocation_end import InvocationEnd
from loadtest.manager.options import ELSEWHERE, options_of
from loadtest.manager.policy import Policy
from loadtest.manager.result import Result
from loadtest.manager.session import Session
from loadtest.manager.statement import run_in_turn, run_statement, statements_of
from loadtest.manager.stats import Stats
from loadtest.manager.stream import Stream
from loadtest.manager.transaction_chain import TransactionChain
from loadtest.manager.view import View

_NOTHING: Mapping[str, Any] = {}


class ConnectionManager:
    """Lives at a function's module level, as long as its container.

    Nothing is connected before the first statement, and nothing runs between invocations. A manager
    serves one thread at a time, as a container serves one invocation at a time; different managers have
    nothing to do with each other.
    """

    __slots__ = (
        "_asked", "_at_s", "_config", "_connector", "_deadline", "_in_invocation", "_library", "_options",
        "_rhythm", "_session", "_stats", "_view",
    )  # fmt: skip

    escape = staticmethod(sql.escape)
    escape_id = staticmethod(sql.escape_id)
    format = staticmethod(sql.format)

    def __init__(
        self,
        config: Mapping[str, Any] | str | None = None,
        *,
        library: Any = pymysql,
        policy: Policy | None = None,
        manage: bool = True,
        backoff: str | Backoff | None = None,
        base_s: float = BASE_S,
        cap_s: float = CAP_S,
        max_query_retries: int = 0,
        query_retry_backoff: str | Backoff | None = None,
        return_final_sql_query: bool = False,
        credentials: Callable[[Exception | None], Mapping[str, Any]] | None = None,
        session_variables: Mapping[str, Any] | None = None,
        rng: random.Random | None = None,
        breaker: CircuitBreaker | None = None,
        on_connect: Callable[[Any], object] | None = None,
        on_connect_error: Callable[[Exception], object] | None = None,
        on_retry: Callable[[Exception, int, float, str], object] | None = None,
        on_close: Callable[[], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
        on_kill: Callable[[int, float], object] | None = None,
        on_kill_error: Callable[[Exception], object] | None = None,
        on_query_retry: Callable[[Exception, int, float, str], object] | None = None,
        **connect_arguments: Unpack[ConnectArguments],
    ) -> None:
        """Connects nothing. Times are in seconds, and None takes the default.

        Arguments:
            config: a mapping of PyMySQL's connect arguments, or a connection string
                (``mysql://user:password@host/database``). Autocommit is on unless it says otherwise.
            library: a module with a PyMySQL-compatible ``connect``, or such a function or class.
            policy: :class:`Managed` by default, :class:`Classic`, or a :class:`Policy` of your own.
            manage: False keeps the connection at the end of an invocation.
            backoff: between tries to connect: ``"full"``, ``"decorrelated"``, ``"patient"``, or a function
                of the last wait and the number of tries that returns the next wait. By default the
                policy's: full with Classic, else patient.
            base_s, cap_s: the bounds of the named backoffs.
            max_query_retries: how often a statement is tried again after a transient error.
            query_retry_backoff: between those, as ``backoff``.
            return_final_sql_query: each result has its statement in ``sql``.
            credentials: called before every connect, with the error by which the server denied the last
                ones or None. Returns connect arguments that go over the config's: rotating secrets,
                tokens, an RDS secret as it is.
            session_variables: set on each connection, in the statement that also carries the lease.
            rng: the source of chance for backoffs.
            breaker: fails at once where connects were given up several times in a row; none by default.
            on_connect: gets the connection.
            on_connect_error: gets the error that the caller gets.
            on_retry, on_query_retry: get the error, the count of tries, the wait and the backoff's name.
            on_close: gets nothing.
            on_error: gets the error with which a connection broke.
            on_kill: gets a connection's id and how long it had slept.
            on_kill_error: gets the error.
            connect_arguments: go over ``config``.

        Raises :class:`ValueError` for a connection string, an argument or an option that cannot be; for
        an unknown one with the nearest name.
        """
        self._options = options_of(
            policy=policy, manage=manage, backoff=backoff, base_s=base_s, cap_s=cap_s,
            max_query_retries=max_query_retries, query_retry_backoff=query_retry_backoff,
            return_final_sql_query=return_final_sql_query, credentials=credentials,
            session_variables=session_variables, rng=rng, breaker=breaker, on_connect=on_connect,
            on_connect_error=on_connect_error, on_retry=on_retry, on_close=on_close, on_error=on_error,
            on_kill=on_kill, on_kill_error=on_kill_error, on_query_retry=on_query_retry,
        )  # fmt: skip
        self._asked = self._options  # behind a proxy those of another policy take over
        self._library = library
        self._config = _NOTHING
        if config is not None or connect_arguments:
            self.config(_NOTHING if config is None else config, **connect_arguments)
        self._session: Session | None = None
        self._connector: Connector | None = None
        self._rhythm = Rhythm(self._options.policy.unproven_gap_s)
        self._stats = Stats()
        self._view: View | None = None
        self._in_invocation = False
        self._deadline: float | None = None
        self._at_s: float | None = None  # when the last invocation ended, or this one began

    def __repr__(self) -> str:
        client = self.get_client()
        connection = f"connection {client.thread_id()}" if client is not None else "no connection"
        return f"<ConnectionManager {connection}, {self._rhythm.invocations_count} invocations>"

    # One invocation

    @contextmanager
    def invocation(self, context: Any = None) -> Iterator["ConnectionManager"]:
        """Around a handler's body: :meth:`begin`, and :meth:`end` on the way out, also after an error.

        ``context`` says how long the function has: the Lambda context, a number of seconds, or None for
        no deadline. Raises :class:`TypeError` for anything else.
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
        """Starts an invocation, for an explicit :meth:`end`; ``context`` as in :meth:`invocation`.

        Without it the first statement starts an invocation that has no deadline.
        """
        now, started = now_s(), time.monotonic()
        given_s = time_given_s(context)
        self._in_invocation = True
        self._rhythm.called(None if self._at_s is None else now - self._at_s)
        self._at_s = now
        self._deadline = None if given_s is None else started + given_s
        self._stats.reuses_count += self._open is not None

    def end(self) -> None:
        """Ends an invocation: keep, close, or kill, as the policy decides. Raises no error of MySQL's."""
        if not self._in_invocation:
            self.begin()
        session = self._open
        try:
            if session is not None:
                # Without the wait for it: how long the connection itself was in use.
                self._rhythm.worked(now_s() - max(self._at_s or 0.0, session.opened_at))
                session.served_count += 1
                self._decide_on(session)
        except Exception as error:
            # Asking failed, so this connection is of no further use; the answer is ready, and counts.
            if session is not None:
                session.lose(error)
        finally:
            if session is None:
                self.quit()  # in a child of a fork: leaves it to the parent
            if self._open is None:
                self._session = None
            self._in_invocation = False
            self._deadline = None
            self._at_s = now_s()

    def _decide_on(self, session: Session) -> None:
        options = self._options
        if options.policy.guards_session and session.must_not_freeze():
            session.close()
        elif options.manage:
            view = self._view or View()
            errors = library_errors(self._library)
            end = InvocationEnd(session, view, self._rhythm, options, self._stats, errors, self.remaining_s())
            end.carry_out(end.decide())
            self._view = view if view.has_seen else None

    def quit(self) -> None:
        """Closes the connection, whatever the policy says: for a container that knows that it is going."""
        if self._session is not None:
            self._session.close()

    # Statements

    def query(
        self, sql: str, args: Any = None, *, idempotent: bool = False, timeout_s: float | None = None
    ) -> Result:
        """Runs one statement, connecting first where needed. ``args`` as in PyMySQL.

        A statement is sent again only if it cannot have run, or with ``idempotent=True``, or, with
        ``max_query_retries``, after an answer that says that it took no effect; never in a
        transaction. It gets ``timeout_s`` seconds at most, and never more than the invocation has left.

        Raises :class:`NoConnection` when none was to be had before the deadline (nothing was sent),
        :class:`AnswerLost` when the connection broke with the statement under way,
        :class:`QueryTimeout` (one of those) when it ran out of time, :class:`TransactionLost` or
        :class:`SessionLost` when the connection was lost with a transaction open or with a state of its
        session's own, and PyMySQL's own errors for errors of the server.
        """
        return run_statement(self, sql, args, idempotent, timeout_s)

    def stream(self, sql: str, args: Any = None, *, timeout_s: float | None = None) -> Stream:
        """The rows of one statement as they come, for results that do not fit into memory::

            with db.stream("SELECT * FROM items") as rows:
                for row in rows: ...

        ``args`` as in PyMySQL. Each answer gets ``timeout_s`` seconds at most, and never more than the
        invocation has left. Until all rows were read, or the stream is closed, the connection is busy.
        Nothing is sent again. Raises what :meth:`query` raises, :class:`AnswerLost` in the middle of the
        rows, and :class:`TypeError` for another library than PyMySQL.
        """
        session = self._connected()
        errors = library_errors(self._library)
        return Stream(session, sql, args, lambda: self._limit_s(timeout_s), self.remaining_s, errors)

    def executemany(self, sql: str, rows: Iterable[Any], *, timeout_s: float | None = None) -> Result:
        """Runs the statement with each of ``rows``; the result counts what all of them changed.

        As in PyMySQL an INSERT takes all rows in one statement, up to 1 MB; else each row is a statement.
        Several statements run in a transaction, their own or the one that is open: all take effect, or none.
        Each gets ``timeout_s`` seconds. Raises what :meth:`query` raises.
        """
        session = self._connected()
        statements = statements_of(session.connection, sql, rows)
        in_one = self.transaction() if len(statements) > 1 and session.needs_transaction() else nullcontext()
        with in_one:
            return run_in_turn(
                lambda text, args: run_statement(self, text, args, False, timeout_s), statements
            )

    def transaction(self) -> TransactionChain:
        """``with db.transaction() as t: t.query(…)``, or a chain: ``db.transaction().query(…).commit()``."""
        return TransactionChain(self)

    def connection(self) -> ManagedConnection:
        """A DB-API connection (PEP 249), for what brings cursors of its own, such as an ORM.

        Nothing is connected before its first statement. Autocommit is as in the config: on by default, unlike
        in PEP 249. Raises :class:`TypeError` for another library than PyMySQL.
        """
        if not is_pymysql(self._library):
            raise TypeError("connection() needs PyMySQL: another library's own are at get_client()")
        return ManagedConnection(self)

    def change_user(
        self, user: str | None = None, password: str | None = None, database: str | None = None
    ) -> None:
        """Continues as another ``user`` with its ``password``, or with another ``database``; None: as before.

        The database alone is changed on the open connection. PyMySQL has no COM_CHANGE_USER, so another user
        means another connection; if that is refused, the old user stays. Raises PyMySQL's errors, and
        :class:`ValueError` for another user where ``credentials`` decide who is connected.
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

    def config(
        self, changes: Mapping[str, Any] | str = _NOTHING, **more: Unpack[ConnectArguments]
    ) -> dict[str, Any]:
        """Changes arguments of the next connect; returns all of them. A connection string will do, too.

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
        session = self._open
        return None if session is None else session.connection

    def get_counter(self) -> int:
        """How many invocations the present connection has served."""
        return 0 if self._open is None else self._open.served_count

    def get_error_count(self) -> int:
        """How many connections broke."""
        return self._stats.lost_count

    @property
    def stats(self) -> Stats:
        """A snapshot of the counts."""
        return replace(self._stats)

    @property
    def lease_s(self) -> int | None:
        """The lease that a session starts with, in seconds; None for a policy without one."""
        return self._options.policy.lease_s

    def remaining_s(self) -> float | None:
        """Seconds until this invocation's deadline; None when it has none."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    # The connection

    def connect(self) -> None:
        """Makes sure that there is a live connection; tries again while the server is full or out of reach.

        Raises :class:`NoConnection` at the deadline, and PyMySQL's errors for what waiting cannot cure.
        """
        self._connected()

    @property
    def _open(self) -> Session | None:
        return self._session if self._session is not None and self._session.is_open else None

    def _connected(self) -> Session:
        if not self._in_invocation:
            self.begin()
        before = self._session
        if before is not None and before.is_usable():
            return before
        policy = self._options.policy
        connector = self._connector or Connector(self._options, self._stats)
        if policy.keeps_refused_count:
            self._connector = connector
        needed_s = self._rhythm.busy_mean_s or 0.0
        try:
            connection = connector.connect(self._library, self._config, self.remaining_s(), needed_s)
        finally:
            if connector.met_full and policy.heeds_refusals:
                self._view = self._view or View()
                self._view.refused(now_s(), self._rhythm.invocations_count)
        errors = library_errors(self._library)
        version = str(getattr(connection, "server_version", ""))
        self._options = self._asked.with_policy(self._asked.policy.for_server(version))
        self._session = Session(connection, errors, self._options, self._stats, connector.try_s)
        self._session.is_replacement = before is not None and before.is_read_only
        return self._session

    def _limit_s(self, timeout_s: float | None) -> float | None:
        return self._options.policy.statement_limit_s(self.remaining_s(), timeout_s)
