"""ConnectionManager: one connection for one container, held as its policy decides."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pymysql

from loadtest.manager import backoff as backoffs
from loadtest.manager import census as asking
from loadtest.manager.errors import CLASSIC_RETRIED, LOST, REFUSED, AnswerLost, NoConnection, code_of, is_lost
from loadtest.manager.liveness import is_readable
from loadtest.manager.policy import (
    Census,
    Classic,
    Close,
    Decision,
    Keep,
    Kill,
    Look,
    Managed,
    Rhythm,
    decide_classic,
    decide_managed,
)
from loadtest.manager.transaction import Transaction

_shared_rng = random.Random()
# One for all: a fleet has thousands of managers.
_NOTHING: Mapping[str, Any] = {}
_FULL, _DECORRELATED = backoffs.full(), backoffs.decorrelated()


class Result(list[Any]):
    """The rows of a statement, with what it changed."""

    __slots__ = ("affected_rows", "insert_id")

    def __init__(self, rows: Any = (), affected_rows: int = 0, insert_id: int = 0) -> None:
        super().__init__(rows)
        self.affected_rows = affected_rows
        self.insert_id = insert_id


class ConnectionManager:
    """Lives at a function's module level, as long as its container.

    ``library`` is any module with a PyMySQL-compatible ``connect``, or such a function; ``config``
    and further keyword arguments go to it. Autocommit is on unless the config says otherwise.
    Not thread-safe: a container serves one invocation at a time. Nothing runs between invocations.
    """

    __slots__ = (
        "_backoff", "_census", "_census_at", "_config", "_connect_function", "_connection", "_deadline",
        "_ended_at", "_in_invocation", "_limit", "_limit_at", "_policy", "_retries_count", "_rhythm", "_rng",
        "_used_at",
    )  # fmt: skip

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        policy: Managed | Classic | None = None,
        library: Any = pymysql,
        backoff: backoffs.Backoff | None = None,
        rng: random.Random | None = None,
        **more: Any,
    ) -> None:
        self._config: Mapping[str, Any] = {**(config or {}), **more} if more else (config or _NOTHING)
        self._policy = policy or Managed()
        self._connect_function: Callable[..., Any] = getattr(library, "connect", library)
        classic = isinstance(self._policy, Classic)
        self._backoff = backoff or (_FULL if classic else _DECORRELATED)
        self._rng = rng or _shared_rng
        self._connection: Any = None
        self._rhythm = Rhythm()
        self._in_invocation = False
        self._deadline: float | None = None
        self._ended_at: float | None = None
        self._used_at = 0.0
        self._retries_count = 0
        self._limit: int | None = None
        self._limit_at = 0.0
        self._census: Census | None = None
        self._census_at = 0.0

    def __repr__(self) -> str:
        held = f"connection {self._connection.thread_id()}" if self._connection else "no connection"
        return f"<ConnectionManager {held}, {self._rhythm.invocations_count} invocations>"

    # One invocation

    @contextmanager
    def invocation(self, context: Any = None) -> Iterator["ConnectionManager"]:
        """Around a handler's body: :meth:`end` on the way out, also after an error.

        ``context`` is the Lambda context, a number of seconds, or None: how long the function has.
        """
        self._begin(context)
        try:
            yield self
        finally:
            self.end()

    def _begin(self, context: Any = None) -> None:
        now = time.monotonic()
        self._in_invocation = True
        self._rhythm.called(None if self._ended_at is None else now - self._ended_at)
        remaining = getattr(context, "get_remaining_time_in_millis", None)
        if remaining is not None:
            self._deadline = now + remaining() / 1000.0
        else:
            self._deadline = None if context is None else now + float(context)

    def end(self) -> None:
        """After each invocation: keep, close, or kill, as the policy decides."""
        if not self._in_invocation:
            self._begin()
        try:
            if self._connection is not None:
                self._carry_out(self._decide())
        except pymysql.MySQLError:
            # Asking failed, so this connection is of no further use; the answer is out already.
            self._drop()
        finally:
            self._in_invocation = False
            self._deadline = None
            self._ended_at = time.monotonic()

    def quit(self) -> None:
        """Closes the connection, whatever the policy: before the container goes, if it is told."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(pymysql.MySQLError, OSError):  # it was gone already, which is what was wanted
                connection.close()

    # Statements

    def query(self, sql: str, args: Any = None, *, idempotent: bool = False) -> Result:
        """Runs one statement, connecting first where needed. ``args`` as in PyMySQL.

        A statement is sent again only if it cannot have run, or with ``idempotent=True``.
        Raises :class:`NoConnection` when none was to be had before the deadline (nothing was sent),
        :class:`AnswerLost` when the connection broke with the statement under way, and PyMySQL's
        own errors for whatever the server answers.
        """
        repeats = 1 if idempotent or isinstance(self._policy, Classic) else 0
        while True:
            self.connect()
            try:
                return self._execute(sql, args)
            except pymysql.MySQLError as error:
                if not is_lost(error):
                    raise
                self._drop()
                if repeats == 0:
                    text = f"{error.args[-1]}: the statement may have run, or not"
                    raise AnswerLost(code_of(error) or 2013, text) from error
                repeats -= 1
            except BaseException:
                self._drop()  # cut in the middle of an answer: what is read next would belong to this one
                raise

    def transaction(self) -> Transaction:
        """``with db.transaction() as t: t.query(…)``: commits on the way out, rolls back on an error."""
        return Transaction(self)

    def remaining_s(self) -> float | None:
        """Seconds until this invocation's deadline; None when it has none."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    @property
    def lease_s(self) -> int | None:
        """The lease of the session in seconds; None for a policy without one."""
        return self._policy.lease_s if isinstance(self._policy, Managed) else None

    def _execute(self, sql: str, args: Any) -> Result:
        with self._connection.cursor() as cursor:
            affected = cursor.execute(sql, args)
            result = Result(cursor.fetchall(), affected, cursor.lastrowid or 0)
        self._used_at = time.monotonic()
        return result

    # Connecting

    def connect(self) -> None:
        """Makes sure that there is a live connection; waits its turn when the server is full.

        Raises :class:`NoConnection` at the deadline, PyMySQL's errors for what waiting cannot cure.
        """
        if not self._in_invocation:
            self._begin()
        if self._connection is not None:
            if isinstance(self._policy, Classic) or not self._is_dead():
                return
            self._drop()
        started, wait_s, tries = time.monotonic(), 0.0, 0
        while True:
            try:
                self._connection = self._connect_function(**self._arguments())
            except pymysql.MySQLError as error:
                tries += 1
                self._retries_count += 1
                wait_s = self._backoff(wait_s, self._retries_count, self._rng)
                if not self._may_retry(error, started, wait_s):
                    raise self._explained(error, started, tries) from error
                time.sleep(wait_s)
            else:
                self._retries_count = 0
                self._used_at = time.monotonic()
                return

    def _arguments(self) -> dict[str, Any]:
        arguments = {"autocommit": True, **self._config}
        if isinstance(self._policy, Managed) and "init_command" not in arguments:
            arguments["init_command"] = f"SET SESSION wait_timeout = {self._policy.lease_s}"
        return arguments

    def _may_retry(self, error: BaseException, started: float, wait_s: float) -> bool:
        if isinstance(self._policy, Classic):
            # Its flaw: the count is reset by a successful connect only, so a spent budget makes the
            # next invocation's first refusal final.
            return code_of(error) in CLASSIC_RETRIED and self._retries_count <= self._policy.max_retries
        self._retries_count = 0 if code_of(error) not in REFUSED | LOST else self._retries_count
        return code_of(error) in REFUSED | LOST and time.monotonic() + wait_s < self._give_up_at(started)

    def _give_up_at(self, started: float) -> float:
        policy = self._policy
        assert isinstance(policy, Managed)  # noqa: S101 (only asked for a managed connection)
        if self._deadline is None:
            return started + policy.patience_s
        return max(started, self._deadline - policy.margin_s)

    def _explained(self, error: pymysql.MySQLError, started: float, tries: int) -> pymysql.MySQLError:
        code = code_of(error)
        if code not in REFUSED or isinstance(self._policy, Classic):
            return error
        self._retries_count = 0
        waited_s = time.monotonic() - started
        seen = f", which had {self._census.used_count} of {self._census.limit_count}" if self._census else ""
        text = f"no connection after {waited_s:.1f} s and {tries} tries: {error.args[-1]}{seen}"
        return NoConnection(code, text)

    def _is_dead(self) -> bool:
        """Whether the server has closed the connection: a look at the socket, nothing is sent.

        PyMySQL cannot tell an expired lease from a lost answer. A live idle connection has nothing
        to read; a readable one holds the server's goodbye. A lease that has run out by our own
        clock is taken as expired: the server's answer may be on its way.
        """
        policy = self._policy
        if isinstance(policy, Managed) and time.monotonic() - self._used_at >= policy.lease_s:
            return True
        return is_readable(getattr(self._connection, "_sock", None))

    def _drop(self) -> None:
        """Lets go of a connection without a word to the server: it is gone, or in an unknown state."""
        connection, self._connection = self._connection, None
        if connection is not None:
            getattr(connection, "_force_close", connection.close)()

    # Deciding

    def _decide(self) -> Decision:
        policy, now = self._policy, time.monotonic()
        if isinstance(policy, Classic):
            if not policy.manage:
                return Keep()
            if self._census is None or now - self._census_at >= policy.used_cache_s:
                self._census = asking.classic_census(
                    self._connection, self._limit_count(policy.limit_cache_s)
                )
                self._census_at = now
            return decide_classic(self._census, policy)
        fresh = self._census if now - self._census_at < policy.look_every_s else None
        decision = decide_managed(self._rhythm, fresh, policy)
        if isinstance(decision, Look):
            limit = self._limit_count(policy.limit_cache_s)
            self._census = Census(asking.used_count(self._connection), limit)
            self._census_at = self._used_at = time.monotonic()
            decision = decide_managed(self._rhythm, self._census, policy)
        return Close() if isinstance(decision, Look) else decision

    def _limit_count(self, cache_s: float) -> int:
        now = time.monotonic()
        if self._limit is None or now - self._limit_at >= cache_s:
            self._limit, self._limit_at = asking.limit_count(self._connection), now
        return self._limit

    def _carry_out(self, decision: Decision) -> None:
        if isinstance(decision, Close):
            self.quit()
        elif isinstance(decision, Kill):
            died = self._kill(decision.idle_s)
            if died == 0 and decision.close_if_none_died:
                self.quit()

    def _kill(self, idle_s: float) -> int:
        died = 0
        for thread in asking.sleepers(self._connection, idle_s, str(self._config.get("user", ""))):
            try:
                asking.rows(self._connection, f"KILL {thread:d}")
                died += 1
            except pymysql.MySQLError as error:
                if is_lost(error):
                    raise
        return died
